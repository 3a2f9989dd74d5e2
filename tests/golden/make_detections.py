"""Measure tests/golden/{suppression,detections}.json with torchvision's own operator.

    python tests/golden/make_detections.py ../shared/data/photos

It needs facenet-pytorch 2.5.3 beside a torchvision whose operators load.
"""

import json
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image, ImageOps
from torchvision.ops import batched_nms, nms

HERE = Path(__file__).parent
CASES = [(seed, count) for seed in range(3) for count in (1, 2, 20, 200, 1100)]


def boxes(seed: int, count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Boxes on a coarse grid with few different scores, so that overlaps and scores tie."""
    random = np.random.default_rng(seed)
    corner = random.integers(0, 60, (count, 2))
    found = np.concatenate([corner, corner + random.integers(0, 24, (count, 2))], axis=1)
    scores = random.integers(0, 8, count) / 8
    groups = random.integers(0, 3, count)
    as_floats = (torch.from_numpy(each.astype(np.float32)) for each in (found, scores))
    return (*as_floats, torch.from_numpy(groups))


def suppression() -> list[dict[str, object]]:
    return [case(*each, threshold) for each in CASES for threshold in (0.0, 0.5, 0.7)]


def case(seed: int, count: int, threshold: float) -> dict[str, object]:
    where, scores, groups = boxes(seed, count)
    batched = batched_nms(where, scores, groups, threshold).tolist()
    return {
        "seed": seed,
        "count": count,
        "threshold": threshold,
        "nms": nms(where, scores, threshold).tolist(),
        # above 1,000 boxes the order of equal scores is left to torch's sort
        "batched": sorted(batched) if count > 1000 else batched,
    }


def detections(photos: Path) -> dict[str, object]:
    detector, found = MTCNN(keep_all=True), {}
    for path in sorted(path for path in photos.rglob("*") if path.is_file()):
        with Image.open(path) as image:
            rgb = ImageOps.exif_transpose(image)
            if rgb.has_transparency_data:
                white = Image.new("RGBA", rgb.size, "white")
                rgb = Image.alpha_composite(white, rgb.convert("RGBA"))
            boxes, scores, points = detector.detect(rgb.convert("RGB"), landmarks=True)
        found[path.relative_to(photos).as_posix()] = [
            {
                "box": [round(float(v), 3) for v in box],
                "score": round(float(score), 6),
                "landmarks": [[round(float(v), 3) for v in point] for point in five],
            }
            for box, score, five in zip(boxes, scores, points, strict=True)
        ]
    return found


def main() -> None:
    versions = {
        name: metadata.version(name) for name in ("facenet-pytorch", "torch", "torchvision")
    }
    source = f"torchvision's operator, as it is built for its torch; {versions}"
    command = "python tests/golden/make_detections.py ../shared/data/photos"
    for name, inputs, rows in (
        ("suppression", "boxes(seed, count) of the command's file", suppression()),
        (
            "detections",
            "shared data, upright, transparency on white; MTCNN(keep_all=True), largest first",
            detections(Path(sys.argv[1])),
        ),
    ):
        told = {"source": source, "command": command, "inputs": inputs, "rows": rows}
        (HERE / f"{name}.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
