"""Files of weights, read once: the bytes that are hashed are the bytes that are used."""

import hashlib
import io
import os
import tempfile
import zipfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING

from recognition.datasets._files import refusing, require_file, shown
from recognition.errors import InputError
from recognition.whole_files import sync_folder

if TYPE_CHECKING:
    from torch import Tensor, nn

MOST_BYTES = 4 << 30
AGAIN = "copy or fetch it again"


def read_bytes(path: Path, expected: str) -> tuple[bytes, str]:
    """A file's bytes, and their sha256 in hexadecimal digits.

    Raises:
        InputError: no such file, an empty one, or one too large for weights.
    """
    size = require_file(path, expected)
    if size > MOST_BYTES:
        raise InputError(
            f"expected {expected} of at most {MOST_BYTES >> 30} GB at {shown(path)}, got "
            f"{size:,} bytes; check the path"
        )
    with refusing(path, expected, AGAIN):
        raw = path.read_bytes()
        return raw, hashlib.sha256(raw).hexdigest()


def file_hash(path: Path, expected: str) -> str:
    """The sha256 of a file of any size, in hexadecimal digits.

    Raises:
        InputError: no such file, or an empty one.
    """
    require_file(path, expected)
    with refusing(path, expected, AGAIN), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def tensors_of_safetensors(raw: bytes, path: Path) -> dict[str, "Tensor"]:
    """The tensors in the bytes of a .safetensors file.

    Raises:
        InputError: they are something else.
    """
    from safetensors.torch import load

    with refusing(path, "weights in safetensors", AGAIN):
        return load(raw)


def tensors_of_torch(raw: bytes, path: Path) -> dict[str, "Tensor"]:
    """The tensors in the bytes of a state dict that torch.save wrote; nothing of it is executed.

    Raises:
        InputError: they are something else, a pickle that calls what is no tensor among them.
    """
    import torch

    expected = "a state dict, tensors by name, as torch.save writes it"
    with refusing(path, expected, AGAIN):
        found = torch.load(io.BytesIO(raw), map_location="cpu", weights_only=True)
        if not isinstance(found, Mapping) or not all(
            isinstance(name, str) and isinstance(value, torch.Tensor)
            for name, value in found.items()
        ):
            raise InputError(
                f"expected {expected} at {shown(path)}, got another object; save "
                "network.state_dict() with torch.save"
            )
        return dict(found)


def fill(network: "nn.Module", tensors: Mapping[str, "Tensor"], path: Path, name: str) -> None:
    """Load every tensor, or refuse: names and shapes must be the network's, one for one.

    Raises:
        InputError: one is missing, unknown or of another shape.
    """
    wanted = network.state_dict()
    wrong = sorted(wanted.keys() ^ tensors.keys()) or [
        key for key, value in wanted.items() if tensors[key].shape != value.shape
    ]
    if wrong:
        had = "it is missing" if wrong[0] not in tensors else "it is not one of them"
        if wrong[0] in wanted and wrong[0] in tensors:
            had = f"it has shape {tuple(tensors[wrong[0]].shape)}, not "
            had += f"{tuple(wanted[wrong[0]].shape)}"
        raise InputError(
            f"{shown(path)}: expected the {len(wanted)} tensors of {name}, but {len(wrong)} differ"
            f", {wrong[0][:80]!r} among them: {had}; name the file that was saved from this network"
        )
    with refusing(path, f"weights of {name}", AGAIN):
        network.load_state_dict(tensors, strict=True)


def is_torchscript(raw: bytes) -> bool:
    """Whether the bytes are a TorchScript archive, which holds code beside its tensors."""
    try:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive:
            return any(name.endswith("/constants.pkl") for name in archive.namelist())
    except Exception:  # zipfile raises nearly anything on a broken one
        return False


@contextmanager
def written_beside(final: Path) -> Iterator[Path]:
    """A hidden file that takes its name when it is whole, and is gone when anything fails."""
    handle, name = tempfile.mkstemp(prefix=f".{final.name}.", suffix=".part", dir=final.parent)
    os.close(handle)
    partial = Path(name)
    try:
        yield partial
        with partial.open("rb+") as file:
            os.fsync(file.fileno())
        partial.replace(final)
        sync_folder(final.parent)
    finally:
        partial.unlink(missing_ok=True)


def versions(*packages: str) -> dict[str, str]:
    """The installed versions, for the contract."""
    return {package: metadata.version(package) for package in packages}
