"""Reading back what `recognition embed` wrote, each field checked before it is believed."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.contract import Contract
from recognition.datasets._arrays import Container
from recognition.datasets._files import refusing, require_file
from recognition.datasets._npy import open_npz
from recognition.datasets.pictures import Skipped
from recognition.faces.face import Face
from recognition.faces.face_file import FORMAT, FaceFile, LeftOut, Settings

Array = npt.NDArray[Any]

_PER_ROW = {
    "embeddings": ("f4", 2),
    "ids": ("U", 1),
    "photos": ("U", 1),
    "digests": ("U", 1),
    "places": ("i8", 1),
    "boxes": ("f4", 2),
    "landmarks": ("f4", 3),
    "scores": ("f8", 1),
}
_LEFT_OUT = {
    "left_out_photos": ("U", 2),
    "left_out_places": ("i8", 2),
    "left_out_boxes": ("f4", 2),
    "left_out_landmarks": ("f4", 3),
    "left_out_scores": ("f8", 2),
}
_TOLD = {"contract": ("U", 0), "settings": ("U", 0), "photographs": ("U", 2), "skipped": ("U", 2)}
_WIDTHS = {
    "boxes": (4,),
    "landmarks": (5, 2),
    "left_out_photos": (2,),
    "left_out_places": (1,),
    "left_out_boxes": (4,),
    "left_out_landmarks": (5, 2),
    "left_out_scores": (1,),
    "photographs": (3,),
    "skipped": (2,),
}


def read_faces(path: Path | str) -> FaceFile:
    """The embedded faces in a file that `recognition embed` wrote.

    Raises:
        InputError: another file, or one that is damaged.
    """
    path = Path(path)
    expected = "faces that recognition embed wrote"
    require_file(path, f"{expected},")
    with refusing(path, expected, "embed the photographs again, into another file"):
        container = open_npz(path)
        kinds = {**_PER_ROW, **_LEFT_OUT, **_TOLD}
        if "labels" in container.arrays:
            kinds["labels"] = ("U", 1)
        found = {name: _loaded(container, name, *kind) for name, kind in kinds.items()}
        return _checked(found)


def _loaded(container: Container, name: str, kind: str, dimensions: int) -> Array:
    if name not in container.arrays:
        raise ValueError(f"it has no {name}")
    shape, dtype = container.arrays[name]
    fits = dtype.kind == "U" if kind == "U" else dtype == np.dtype(f"<{kind}")
    width = _WIDTHS.get(name, shape[1:])
    if not fits or len(shape) != dimensions or shape[1:] != width:
        raise ValueError(f"{name} is an array of shape {shape} and type {dtype}")
    values = container.load(name)
    if kind == "U" and values.size and dtype.itemsize:
        points = np.ascontiguousarray(values).reshape(-1).view(dtype.newbyteorder("=")).view("u4")
        if ((points > 0x10FFFF) | ((points >= 0xD800) & (points < 0xE000))).any():
            raise ValueError(f"{name} holds what is no Unicode")
    return values


def _checked(found: dict[str, Array]) -> FaceFile:
    contract = Contract.from_json(str(found["contract"]))
    settings = _settings(str(found["settings"]))
    rows, photographs = len(found["ids"]), found["photographs"]
    _require("as many of everything as faces", _lengths(found, _PER_ROW) == {rows})
    _require("as many of everything left out", len(_lengths(found, _LEFT_OUT)) == 1)
    _require("labels where they were asked for", settings.labelled == ("labels" in found))
    _require("its contract's dimensions", found["embeddings"].shape[1] == contract.dimension)
    for ids in (found["ids"], photographs[:, 0]):
        _require("every id once", len(set(ids.tolist())) == len(ids) and "" not in ids.tolist())
    _require("sha256 of photographs", all(map(_is_sha256, photographs[:, 1].tolist())))
    digests = dict(photographs[:, :2].tolist())
    pairs = zip(found["photos"].tolist(), found["digests"].tolist(), strict=True)
    _require("each face's photograph", all(digests.get(name) == digest for name, digest in pairs))
    whose = found["left_out_photos"][:, 0].tolist()
    _require("the photographs of what was left out", all(name in digests for name in whose))
    lost = found["places"] < 0
    _require("faces", settings.labelled or not lost.any())
    _require_faces(found, lost)
    _require("places of faces", _numbered(found, lost))
    if settings.labelled:
        labels = found["labels"].tolist()
        _require("a row for each photograph", sorted(found["photos"]) == sorted(digests))
        _require("labels", len(found["labels"]) == rows and all(map(str.strip, labels)))
    return FaceFile(
        **{name: found[name] for name in _PER_ROW},
        labels=found.get("labels"),
        contract=contract,
        settings=settings,
        photographs=photographs,
        left_out=tuple(
            LeftOut(name, int(place), Face(box, points, float(score)), failure)
            for (name, failure), (place,), box, points, (score,) in zip(
                found["left_out_photos"].tolist(),
                found["left_out_places"],
                found["left_out_boxes"],
                found["left_out_landmarks"],
                found["left_out_scores"],
                strict=True,
            )
        ),
        skipped=tuple(Skipped(name, reason) for name, reason in found["skipped"].tolist()),
    )


def _require(what: str, there: bool | np.bool_) -> None:
    if not there:
        raise ValueError(f"expected {what}, got something else")


def _settings(text: str) -> Settings:
    told = json.loads(text)
    if told.pop("format") != FORMAT:
        raise ValueError("it is of another version of the format")
    settings = Settings(**told)
    kinds = (type(settings.detector), type(settings.min_score), type(settings.labelled))
    if kinds != (str, float, bool) or not 0 <= settings.min_score <= 1:
        raise ValueError("its settings are damaged")
    return settings


def _require_faces(found: dict[str, Array], lost: Array) -> None:
    """Finite numbers where there is a face, NaN in all of a row where there is none."""
    for name in ("embeddings", "boxes", "landmarks", "scores"):
        values = found[name].reshape(len(lost), -1)
        _require(
            f"finite {name}", np.isfinite(values[~lost]).all() and np.isnan(values[lost]).all()
        )
    _require("embeddings with a direction", found["embeddings"].any(axis=1).all())
    for name in ("left_out_boxes", "left_out_landmarks", "left_out_scores"):
        _require(f"finite {name}", np.isfinite(found[name]).all())
    for name in ("scores", "left_out_scores"):
        values = found[name][~np.isnan(found[name])]
        _require("probabilities", ((values >= 0) & (values <= 1)).all())


def _numbered(found: dict[str, Array], lost: Array) -> bool:
    """Whether the detections of each photograph, embedded or not, are numbered from 0."""
    names = [*found["photos"][~lost].tolist(), *found["left_out_photos"][:, 0].tolist()]
    places = [*found["places"][~lost].tolist(), *found["left_out_places"][:, 0].tolist()]
    by_photo: dict[str, list[int]] = {}
    for name, place in zip(names, places, strict=True):
        by_photo.setdefault(name, []).append(place)
    return all(sorted(each) == list(range(len(each))) for each in by_photo.values())


def _lengths(found: dict[str, Array], names: dict[str, tuple[str, int]]) -> set[int]:
    return {len(found[name]) for name in names}


def _is_sha256(text: str) -> bool:
    return len(text) == 64 and set(text) <= set("0123456789abcdef")
