"""One name for every kind of model."""

import difflib
import re
from collections.abc import Callable
from pathlib import Path

from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.faces.embedder import Embedder
from recognition.faces.models.facenet import PUBLISHED, VARIABLE, find_weights, load_facenet
from recognition.faces.models.onnx import load_onnx
from recognition.faces.models.own_networks import load_safetensors, weights_in
from recognition.faces.models.torch_module import FORM, SCRIPT, load_module, load_script
from recognition.faces.models.weight_bytes import is_torchscript, read_bytes

WAYS = (
    "(1) recognition weights fetch, where there is an internet connection, (2) name a file of weights with "
    f"--model or ${VARIABLE}, or (3) train a network with recognition train "
    "and name the folder of its run"
)


def load_embedder(model: str | Path | None = None, *, device: str = "cpu") -> Embedder:
    """The network that a name or a file stands for, ready to embed crops. Nothing is downloaded.

    Args:
        model: one of

            * `face.onnx`, with its card `face.json` beside it (the extra `onnx`);
            * `arcface-0.backbone.safetensors` or `model.safetensors` of our own runs, or a run's
              folder, if it holds one network;
            * `20180402-114759-vggface2.pt`, facenet-pytorch's weights, by any path;
            * `vggface2` or `casia-webface`: those weights in facenet-pytorch's cache;
            * `package.module:factory@weights.safetensors`: any PyTorch network, with a card;
            * `script:face.pt`: a TorchScript file, which is code, with a card;
            * None: facenet-pytorch's weights, from `$RECOGNITION_FACENET_WEIGHTS` or its cache.
        device: cpu, cuda, cuda:1 or mps; one that is not there is refused, never replaced.

    Raises:
        InputError: there are no weights, or they cannot be used; it says why, and the way out.
    """
    name = "" if model is None else str(model)
    if model is None or name in PUBLISHED:
        return _facenet(name or None, device)
    if name.startswith(SCRIPT):
        return load_script(Path(name.removeprefix(SCRIPT)).expanduser(), device=device)
    path = Path(name).expanduser()
    if _DOTTED.match(name) and not path.exists():
        return load_module(name, device=device)
    if path.is_dir():
        path = weights_in(path)
    load = _BY_SUFFIX.get(path.suffix.lower())
    if load is None:
        near = difflib.get_close_matches(name, PUBLISHED, n=1)
        raise InputError(
            f"expected a model as .onnx, .safetensors or .pt, a run folder, {' or '.join(PUBLISHED)}"
            f", {FORM} or {SCRIPT}face.pt, got {shown(path)}; "
            + (f"did you mean {near[0]}?" if near else "name one of these")
        )
    return load(path, device)


def _facenet(name: str | None, device: str) -> Embedder:
    path = find_weights(name)
    if path is None:
        raise InputError(
            f"no weights of {name or 'a face network'} are here, and random ones recognise nobody; "
            f"{WAYS}"
        )
    return _BY_SUFFIX[".safetensors" if path.suffix == ".safetensors" else ".pt"](path, device)


def _pickled(path: Path, device: str) -> Embedder:
    if is_torchscript(read_bytes(path, "weights")[0]):
        raise InputError(
            f"{shown(path)} is a TorchScript file, which is code; if you trust its author, name it "
            f"{SCRIPT}{shown(path)}"
        )
    return load_facenet(path, device=device)


_DOTTED = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*(@|$)")
_BY_SUFFIX: dict[str, Callable[[Path, str], Embedder]] = {
    ".onnx": lambda path, device: load_onnx(path, device=device),
    ".safetensors": lambda path, device: load_safetensors(path, device=device),
    ".pt": _pickled,
    ".pth": _pickled,
}
