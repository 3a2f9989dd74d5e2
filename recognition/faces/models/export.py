"""A torch embedder as one ONNX file with its card, written only if it embeds alike."""

import re
import tempfile
import warnings
from contextlib import redirect_stdout
from datetime import UTC, datetime
from io import StringIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from recognition.datasets._files import reason, shown
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.faces.embedder import Embedder
from recognition.faces.face import Pixels
from recognition.faces.models.card import Card, card_path
from recognition.faces.models.onnx import load_onnx, require_installed
from recognition.faces.models.passes import CHUNK, to_input
from recognition.faces.models.trial import noise
from recognition.faces.models.weight_bytes import file_hash
from recognition.progress import Watch, unwatched

TOLERANCE = 1e-4  # of a number of a unit embedding; a cosine then changes by less than 1e-3
_SUFFIX = ".onnx"


class Parity(NamedTuple):
    """How well an exported network agrees with the one it was made from.

    Attributes:
        noise: the largest difference of a number of the unit embeddings, over crops of noise.
        faces: the same over drawn faces and the crops that were given.
        crops: how many were compared.
    """

    noise: float
    faces: float
    crops: int


def export_onnx(
    embedder: Embedder,
    final: Path,
    *,
    crops: Pixels | None = None,
    tolerance: float = TOLERANCE,
    watch: Watch = unwatched,
) -> Parity:
    """Write a network for any batch as one ONNX file, and its card beside it, both or neither.

    The file is reloaded by onnxruntime and compared with the network before it takes its name. The
    card keeps the sha256 of the weights it was made from: embeddings of either can be compared.

    Args:
        embedder: of torch, as `load_embedder` gives it.
        final: where to; it must be new.
        crops: real ones (N, H, W, 3), compared beside noise and drawn faces.
        tolerance: largest difference of a number of two unit embeddings.
        watch: told how far it is.

    Raises:
        InputError: a library is missing, the place is taken, the network cannot be exported, or the
            exported one embeds otherwise; nothing is left behind.
    """
    from recognition.faces.models.network import TorchEmbedder

    require_installed("onnx", "onnxruntime", "onnxscript")
    if not isinstance(embedder, TorchEmbedder):
        raise InputError(
            f"expected a network of torch to export, got {embedder.contract.model}, which is none; "
            "an ONNX file is used as it is"
        )
    _require_free(final)
    with (
        watch("exporting", 3) as advance,
        tempfile.TemporaryDirectory(prefix=f".{final.name}.", dir=final.parent) as folder,
    ):
        part = Path(folder, final.name)
        _export(embedder, part)
        advance(1, "reloading")
        card_path(part).write_text(_card_of(embedder, part).to_json() + "\n", encoding="utf-8")
        again = load_onnx(part)
        advance(2, "comparing")
        parity = _compared(embedder, again, crops)
        if not max(parity.noise, parity.faces) <= tolerance:
            raise InputError(
                f"the exported network's embeddings differ by up to {max(parity[:2]):.2g}, and "
                f"{tolerance:.2g} is allowed; nothing was written; use the network itself, or "
                "allow more"
            )
        _take_names(part, final)
        advance(3)
    return parity


def _require_free(final: Path) -> None:
    if final.suffix != _SUFFIX:
        raise InputError(
            f"expected a file name that ends with {_SUFFIX}, got {shown(final)}; its card lies "
            "beside it as .json"
        )
    if not final.parent.is_dir():
        raise InputError(
            f"{shown(final.parent)} is no folder; make it first, or name another place"
        )
    for path in (final, card_path(final)):
        if path.exists() or path.is_symlink():
            raise InputError(f"{shown(path)} exists already; name another file, or remove it")


def _export(embedder: Any, part: Path) -> None:
    import torch

    if isinstance(embedder.network, torch.jit.ScriptModule):
        raise InputError(
            f"{embedder.contract.model} is TorchScript, which torch.onnx no longer takes; export the "
            "network it was made from, as package.module:factory@weights.safetensors"
        )
    example = torch.from_numpy(
        to_input(noise(embedder.contract.preprocessing), embedder.contract.preprocessing)
    )
    try:
        with warnings.catch_warnings(), redirect_stdout(StringIO()):
            warnings.simplefilter("ignore")  # torch warns of its own insides
            torch.onnx.export(
                embedder.network.eval(),
                (example.to(embedder.device),),
                part,
                input_names=["crops"],
                output_names=["embeddings"],
                dynamic_shapes=({0: torch.export.Dim("batch")},),
                dynamo=True,
                external_data=False,
                verbose=False,
            )
    except Exception as error:  # the exporter raises nearly anything
        raise InputError(
            f"{embedder.contract.model} cannot be exported by torch.onnx ({_why(error)}); "
            "use the network itself"
        ) from error
    part.chmod(0o600)  # weights learned from faces are personal data


def _why(error: Exception) -> str:
    """The exporter's first line, without the colours it writes for terminals."""
    return reason(ValueError(re.sub(r"\x1b\[[0-9;]*m", "", str(error))))


def _card_of(embedder: Embedder, part: Path) -> Card:
    told = embedder.contract
    return Card(
        told.preprocessing,
        name=_line(told.model),
        licence=_line(told.licence),
        sha256=file_hash(part, "an exported network"),
        original_sha256=told.sha256,
        source="recognition export onnx",
        date=datetime.now(UTC).date().isoformat(),
    )


def _line(text: str) -> str:
    return "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)


def _compared(one: Embedder, other: Embedder, crops: Pixels | None) -> Parity:
    from recognition.datasets.drawn import draw_faces

    p = one.contract.preprocessing
    random = noise(p, CHUNK + 1)  # a whole chunk, and a crop alone
    drawn = draw_faces(4, 2, size=max(p.height, p.width, 16)).images[:, : p.height, : p.width]
    faces = drawn if crops is None else np.concatenate([drawn, crops])
    return Parity(
        _difference(one, other, random), _difference(one, other, faces), len(random) + len(faces)
    )


def _difference(one: Embedder, other: Embedder, crops: Pixels) -> float:
    rows = (unit_rows(each.embed(crops)) for each in (one, other))
    return float(np.abs(next(rows) - next(rows)).max())


def _take_names(part: Path, final: Path) -> None:
    card_path(part).chmod(0o600)
    card_path(part).replace(card_path(final))
    try:
        part.replace(final)
    except BaseException:
        card_path(final).unlink()
        raise
