"""Class weights of a trained head, with the person that each row stands for."""

import json
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._arrays import Container
from recognition.datasets._files import listed, refusing, require_file, shown
from recognition.datasets._npy import open_npz
from recognition.datasets._safetensors import open_safetensors
from recognition.errors import InputError

_OPEN = {".safetensors": open_safetensors, ".npz": open_npz}
_WEIGHTS = ("weight", "weights", "class_weights")
_LABELS = ("labels", "label", "people")
_FLOATS = (np.float16, np.float32, np.float64)
_EXPECTED = "a file of class weights (.safetensors or .npz)"


class ClassWeights(NamedTuple):
    """What a head has learned of each class.

    Attributes:
        weights: (C, D), or (C, K, D) with K sub-centres a class; as stored, not normalised.
        labels: (C,) str, the person of each row.
    """

    weights: npt.NDArray[np.floating[Any]]
    labels: npt.NDArray[np.str_]


def read_weights(path: Path | str) -> ClassWeights:
    """The class weights in a file; the suffix names the format.

    `.safetensors`: a tensor `weight` (C, D) or (C, K, D), and the labels as a JSON list under
    `people` in the metadata, as `recognition compare` writes them, or as a tensor `labels` of whole
    numbers. `.npz`: arrays `weights` and `labels`. Nothing is unpickled.

    Raises:
        InputError: no such file, a damaged one, one without weights or without labels, labels that
            do not fit the rows or come twice, or weights that are not finite.
    """
    path = Path(path)
    require_file(path, _EXPECTED)
    suffix = path.suffix.lower()
    if suffix not in _OPEN:
        raise InputError(
            f"expected {_EXPECTED} at {shown(path)}, got the suffix {listed([suffix])}; save them "
            "with numpy.savez(path, weights=..., labels=...)"
        )
    with refusing(path, _EXPECTED, "write it again"):
        container = _OPEN[suffix](path)
        weights = _weights(path, container)
        labels = _labels(path, suffix, container)
    _require_fit(path, weights, labels)
    return ClassWeights(weights, labels)


def _weights(path: Path, container: Container) -> npt.NDArray[np.floating[Any]]:
    found = [name for name in _WEIGHTS if name in container.arrays]
    if len(found) != 1:
        raise InputError(
            f"{shown(path)}: expected the class weights under one of the names {listed(_WEIGHTS)}, "
            f"got {listed(container.arrays, 20) or 'no arrays'}; name them weight"
        )
    shape, dtype = container.arrays[found[0]]
    if len(shape) not in (2, 3) or 0 in shape or dtype.newbyteorder("=") not in _FLOATS:
        kind = "an unknown type" if dtype.kind == "V" else dtype
        raise InputError(
            f"{shown(path)}: expected {found[0]} of shape (classes, dimensions), or (classes, "
            f"sub-centres, dimensions), in float16, float32 or float64, got shape {shape} of {kind}"
            "; save it as such a matrix, one row for each class"
        )
    weights = container.load(found[0])
    return weights.astype(weights.dtype.newbyteorder("="), copy=False)


def _labels(path: Path, suffix: str, container: Container) -> npt.NDArray[np.str_]:
    if suffix == ".safetensors":
        named = _metadata(path).get("people")
        if named is not None:
            return _of_json(path, named)
    found = [name for name in _LABELS if name in container.arrays]
    if len(found) != 1:
        where = (
            "as a JSON list under people in the metadata of safetensors.numpy.save_file, or as a "
            "tensor labels of whole numbers"
            if suffix == ".safetensors"
            else "as an array labels"
        )
        raise InputError(
            f"{shown(path)}: expected the person that each row of the class weights stands for, "
            f"and found none; write them {where}, in the order of the rows"
        )
    shape, dtype = container.arrays[found[0]]
    if len(shape) != 1 or dtype.kind not in "Uiu":
        raise InputError(
            f"{shown(path)}: expected {found[0]} in text or whole numbers, one a row, got shape "
            f"{shape} of {'an unknown type' if dtype.kind == 'V' else dtype}; save them so"
        )
    return container.load(found[0]).astype(np.str_)


def _metadata(path: Path) -> dict[str, str]:
    from safetensors import safe_open

    with safe_open(path, "numpy") as file:
        return file.metadata() or {}


def _of_json(path: Path, text: str) -> npt.NDArray[np.str_]:
    try:
        names = json.loads(text)
    except (ValueError, RecursionError):
        names = None
    if (
        not isinstance(names, list)
        or not names
        or not all(isinstance(x, str | int) and not isinstance(x, bool) for x in names)
    ):
        raise InputError(
            f"{shown(path)}: expected people in the metadata to be a JSON list of names, got "
            f"{listed([text])}; write json.dumps(names)"
        )
    return np.array([str(name) for name in names])


def _require_fit(
    path: Path, weights: npt.NDArray[np.floating[Any]], labels: npt.NDArray[np.str_]
) -> None:
    if len(labels) != len(weights):
        raise InputError(
            f"{shown(path)}: expected a label for each of {len(weights)} rows of class weights, "
            f"got {len(labels)}; write one for each, in the same order"
        )
    names, times = np.unique(labels, return_counts=True)
    if (times > 1).any():
        twice = listed(names[times > 1].tolist(), 3)
        raise InputError(
            f"{shown(path)}: expected every person once, got {twice} several times; keep one row "
            "for each, or save sub-centres as (classes, sub-centres, dimensions)"
        )
    largest = np.abs(weights).max(axis=-1)
    if not (np.isfinite(largest) & (largest > 0)).all():
        at = int(
            (~(np.isfinite(largest) & (largest > 0))).reshape(len(weights), -1).any(1).argmax()
        )
        raise InputError(
            f"{shown(path)}: expected finite class weights with a direction, but row {at} is all "
            "zeros, NaN or infinite; write the trained weights"
        )
