"""Photographs a second of detection and embedding, beside a plain loop over facenet-pytorch.

    python tests/benchmarks/faces.py                          # ../shared/data/photos
    python tests/benchmarks/faces.py FOLDER --files 60 --rounds 5 --memory 0

The plain loop is what its README shows: `MTCNN(keep_all=True)(image)` and `net(face[None])` for
each face. Ours is `embed_photos` with the same crop (facenet's box, 160 pixels) and every
detection embedded. Both read the same JPEG files, made from the photographs by cutting and
resizing them at random, in processes of their own that take turns; the first files warm up. The
network has random weights from a seed: time is the same whatever they are. Beside a torchvision
whose operators do not load, the plain loop runs through the same door as ours, with this package's
non-maximum suppression; the first line says so.

What was expected before anything was measured: half of the plain loop's time goes into making
pictures smaller and pooling them, which one table of sums and a layout with channels last save; 16
faces at once take a third of one at a time; one photograph a thread keeps both cores busy. That
would make 2 to 3 times as many. The plain loop's memory grows with every new size, as torch keeps
the convolutions it has prepared for each; ours see a few sizes only.
"""

import argparse
import json
import os
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image, ImageOps

from recognition.backbones.facenet import submodule
from recognition.comparisons.threads import threads
from recognition.contract import Contract, Preprocessing
from recognition.faces.facenet_mtcnn import mtcnn_module
from recognition.faces.models.network import TorchEmbedder
from recognition.faces.mtcnn import Mtcnn
from recognition.faces.photos import PhotoFile, find_photos
from recognition.faces.pipeline import embed_photos
from recognition.faces.torchvision_operators import operators

PHOTOS = Path(__file__).parents[3] / "shared" / "data" / "photos"
WARM = 6
CROP = Preprocessing(alignment="box", height=160, width=160)
Found = tuple[np.ndarray, np.ndarray]  # (n, 4) boxes and (n, 512) embeddings of a photograph


def make_files(source: Path, folder: Path, count: int, seed: int) -> None:
    """Photographs of as many sizes: a random part of one, at a random scale."""
    random = np.random.default_rng(seed)
    originals = [Image.open(file.path) for file in find_photos(source).files]
    originals = [ImageOps.exif_transpose(image).convert("RGB") for image in originals]
    for number in range(count):
        image = originals[number % len(originals)]
        size = np.array(image.size)
        cut = (size * random.uniform(0, 0.15, 2)).astype(int)
        end = (size * random.uniform(0.85, 1, 2)).astype(int)
        scale = random.uniform(0.4, 1.0)
        part = image.crop((*cut, *end))
        sides = [max(40, round(side * scale)) for side in part.size]
        part.resize(sides, Image.Resampling.LANCZOS).save(folder / f"{number:04}.jpg", quality=92)


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return submodule("models.inception_resnet_v1").InceptionResnetV1().eval()


class Plain:
    """The loop of facenet-pytorch's README, remembering the boxes as well."""

    def __init__(self) -> None:
        self.detector, self.net = mtcnn_module().MTCNN(keep_all=True), network()
        self.boxes: list[Any] = []
        self.detect, self.detector.detect = self.detector.detect, self.remembered

    def remembered(self, *args: Any, **options: Any) -> Any:
        found = self.detect(*args, **options)
        self.boxes.append(found[0])
        return found

    def __call__(self, files: Sequence[PhotoFile]) -> Iterator[Found]:
        for file in files:
            with Image.open(file.path) as image:
                faces = self.detector(ImageOps.exif_transpose(image).convert("RGB"))
            rows = []
            if faces is not None:
                with torch.no_grad():
                    rows = [self.net(face[None])[0].numpy() for face in faces]
            where = self.boxes.pop()
            found = np.zeros((0, 4)) if where is None else where
            yield found.astype(np.float32), np.array(rows, np.float32).reshape(-1, 512)


class Ours:
    def __init__(self) -> None:
        self.detector = Mtcnn()
        self.embedder = TorchEmbedder.of(network(), Contract("random", "0" * 64, 512, CROP))

    def __call__(self, files: Sequence[PhotoFile]) -> Iterator[Found]:
        for outcome in embed_photos(files, self.detector, self.embedder, min_score=0):
            boxes = np.array([face.box for face in outcome.faces], np.float32).reshape(-1, 4)
            yield boxes[outcome.embedded], outcome.embeddings


def resident() -> float:
    """MiB in use now."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def child(args: argparse.Namespace) -> None:
    """One method over all files: seconds, processor time, memory on the way, and what was found."""
    method = {"plain": Plain, "ours": Ours}[args.child]()
    files = find_photos(args.folder).files
    for _ in method(files[:WARM]):
        pass
    found, memory = [], {0: resident()}
    began, worked = time.perf_counter(), time.process_time()
    for each in method(files[WARM:]):
        found.append(each)
        if len(found) in (100, 200, 300, 400, len(files) - WARM):
            memory[len(found)] = resident()
    seconds, cpu = time.perf_counter() - began, time.process_time() - worked
    told = {"pace": len(found) / seconds, "cpu": cpu / len(found)}
    boxes, rows = ([each[k] for each in found] for k in (0, 1))
    np.savez(
        args.folder / f"{args.child}.npz",
        boxes=np.concatenate(boxes),
        rows=np.concatenate(rows),
        counts=[len(each) for each in boxes],
    )
    print(json.dumps({**told, "memory": memory}))


def start(method: str, folder: Path) -> dict[str, Any]:
    words = [sys.executable, __file__, "--child", method, "--folder", str(folder)]
    said = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=True).stdout
    return dict(json.loads(said))


def compare(folder: Path) -> None:
    """Whether both found the same faces, and gave them the same embeddings."""
    one, two = (np.load(folder / f"{name}.npz") for name in ("plain", "ours"))
    print(f"faces: plain loop {one['counts'].sum()}, ours {two['counts'].sum()}", end="")
    if not np.array_equal(one["counts"], two["counts"]):
        where = np.flatnonzero(one["counts"] != two["counts"]).tolist()
        print(f"; their number differs on photographs {where}")
        return
    a, b = one["boxes"], two["boxes"]
    sides = np.minimum(a[:, 2:], b[:, 2:]) - np.maximum(a[:, :2], b[:, :2])
    shared = np.maximum(sides, 0).prod(1)
    iou = shared / ((a[:, 2:] - a[:, :2]).prod(1) + (b[:, 2:] - b[:, :2]).prod(1) - shared)
    same = (a.astype(int) == b.astype(int)).all(1)  # whole pixels, which the crop is cut by
    apart = np.abs(one["rows"] - two["rows"]).max(1)
    print(
        f"; smallest IoU {iou.min():.6f}; largest difference of embeddings {apart[same].max():.1e}"
    )
    if not same.all():
        print(
            f"{(~same).sum()} of the crops differ by a pixel, as a side of the box lies on a whole "
            f"one; the largest difference of their embeddings is {apart[~same].max():.1e}"
        )


def speed(args: argparse.Namespace, folder: Path) -> None:
    found: dict[str, list[dict[str, Any]]] = {"plain": [], "ours": []}
    for _ in range(args.rounds):
        for name, runs in found.items():
            runs.append(start(name, folder))
    print(f"{'':10}  {'photos/s':>8}  {'ratio':>6}  {'CPU s a photo':>13}  {'ratio':>6}")
    for name, runs in found.items():
        pairs = list(zip(runs, found["plain"], strict=True))
        ratio = statistics.median(run["pace"] / other["pace"] for run, other in pairs)
        work = statistics.median(run["cpu"] / other["cpu"] for run, other in pairs)
        pace, cpu = (statistics.median(run[key] for run in runs) for key in ("pace", "cpu"))
        print(f"{name:10}  {pace:8.2f}  {ratio:6.2f}  {cpu:13.3f}  {work:6.2f}", flush=True)
    compare(folder)


def memory(folder: Path) -> None:
    for name in ("plain", "ours"):
        told = start(name, folder)
        steps = ", ".join(f"{mib:.0f} after {n}" for n, mib in told["memory"].items())
        print(f"{name}: {told['pace']:.2f} photos/s, MiB in use: {steps}", flush=True)
    compare(folder)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="?", type=Path, default=PHOTOS)
    parser.add_argument("--files", type=int, default=60, help="to time; 0: none")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--memory", type=int, default=500, help="files to watch memory on; 0: none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--child", choices=("plain", "ours"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.child:
        child(args)
        return
    if not args.photos.is_dir():
        print(f"no photographs at {args.photos}: name a folder of some")
        return
    whose = "torchvision's" if operators().whole else "this package's, in both"
    print(
        f"{threads()} threads of {os.cpu_count()} cores, {platform.machine()}, load "
        f"{os.getloadavg()[0]:.1f}, torch {torch.__version__}, non-maximum suppression: {whose}"
    )
    for count, measure in (
        (args.files, lambda folder: speed(args, folder)),
        (args.memory, memory),
    ):
        if count:
            with tempfile.TemporaryDirectory() as name:
                make_files(args.photos, Path(name), count + WARM, args.seed)
                measure(Path(name))


if __name__ == "__main__":
    main()
