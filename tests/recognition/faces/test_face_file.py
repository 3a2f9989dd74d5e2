"""What embed writes is read back as it was, and nothing that was changed in it is believed."""

import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo
from fuzz import damaged, refused

from recognition import InputError, embed_folder, read_faces
from recognition.faces.face_file import FaceFile


@pytest.fixture(scope="module", params=[False, True], ids=["by face", "labelled"])
def written(request, tmp_path_factory) -> bytes:
    folder = tmp_path_factory.mktemp("photos")
    for number in range(3):
        save_photo(folder / f"p/a{number}/x.png", 0.99, 0.97, 0.5, shade=40 + number)
    save_photo(folder / "p/b/none.png")
    (folder / "p/b/bad.png").write_text("text")
    out = folder / "faces.npz"
    fakes = {"model": FakeEmbedder(), "detector": FakeDetector()}
    embed_folder(folder / "p", out, labelled=request.param, **fakes)
    return out.read_bytes()


@pytest.fixture
def path(written: bytes, tmp_path: Path) -> Path:
    (tmp_path / "faces.npz").write_bytes(written)
    return tmp_path / "faces.npz"


def arrays(path: Path) -> dict[str, np.ndarray]:
    with np.load(path, allow_pickle=False) as file:
        return dict(file)


def sound(faces: FaceFile) -> bool:
    found = dict(faces._arrays())
    there = faces.places >= 0
    return (
        bool(np.isfinite(faces.embeddings[there]).all())
        and len(set(faces.ids.tolist())) == len(faces.ids)
        and all(len(found[name]) == len(faces) for name in ("photos", "digests", "boxes", "scores"))
        and faces.embeddings.shape[1] == faces.contract.dimension
        and set(faces.photos.tolist()) <= set(faces.photographs[:, 0].tolist())
        and len(faces.outcomes()) <= len(faces.photographs)
    )


def test_nothing_in_it_has_to_be_unpickled(path):
    assert not any(array.dtype.hasobject for array in arrays(path).values())


def test_what_is_saved_again_is_the_same(path, tmp_path):
    faces = read_faces(path)
    faces.save(tmp_path / "again.npz")
    assert (tmp_path / "again.npz").read_bytes() == path.read_bytes()


def test_only_what_is_of_the_rows_is_one_flat_array(path):
    """Readers of embeddings take every (N,) for a column."""
    flat = {name for name, array in arrays(path).items() if array.ndim == 1}
    assert flat - {"labels"} == {"ids", "photos", "digests", "places", "scores"}


def test_outcomes_are_those_that_were_written(path):
    faces = read_faces(path)
    outcomes = list(faces.outcomes().values())
    assert [len(outcome.faces) for outcome in outcomes] == [3, 3, 3, 0]
    for outcome in outcomes[:3]:
        assert [face.score for face in outcome.faces] == [0.99, 0.97, 0.5]
        assert (np.diff([face.box[2] - face.box[0] for face in outcome.faces]) < 0).all()
        assert (
            len(outcome.embedded) == len(outcome.embeddings) == (2 if faces.labels is None else 1)
        )


def test_damaged_files_of_faces(path):
    good = path.read_bytes()
    shares = []
    for _, raw in damaged(good):
        path.write_bytes(raw)
        shares.append(refused(lambda: read_faces(path), sound))
    assert np.mean(shares) > 0.8
    path.write_bytes(good)
    assert not refused(lambda: read_faces(path), sound)


def put(place: int | tuple[int, ...], value: object):
    def change(array: np.ndarray) -> np.ndarray:
        changed = array.copy()
        changed[place] = value
        return changed

    return change


CHANGES = {
    "an id twice": ("ids", lambda a: np.repeat(a[:1], len(a))),
    "an empty id": ("ids", put(0, "")),
    "fewer ids": ("ids", lambda a: a[:-1]),
    "ids as numbers": ("ids", lambda a: np.arange(len(a))),
    "ids in two columns": ("ids", lambda a: a[:, None]),
    "ids of objects": ("ids", lambda a: a.astype(object)),
    "embeddings in float64": ("embeddings", lambda a: a.astype(np.float64)),
    "another dimension": ("embeddings", lambda a: a[:, :-1]),
    "an embedding of zeros": ("embeddings", put(0, 0)),
    "an infinite embedding": ("embeddings", put((0, 0), np.inf)),
    "NaN in an embedding": ("embeddings", put((0, 0), np.nan)),
    "a box of three numbers": ("boxes", lambda a: a[:, :3]),
    "NaN in a box": ("boxes", put((0, 1), np.nan)),
    "four landmarks": ("landmarks", lambda a: a[:, :4]),
    "infinite landmarks": ("landmarks", put((0, 0, 0), np.inf)),
    "a score above 1": ("scores", put(0, 1.5)),
    "a score below 0": ("left_out_scores", put(0, -0.1)),
    "a score that is none": ("left_out_scores", put(0, np.nan)),
    "another photograph": ("photos", put(0, "nobody.jpg")),
    "another digest": ("digests", put(0, "0" * 64)),
    "no digest": ("photographs", put((0, 1), "zz")),
    "a photograph twice": ("photographs", lambda a: a[[0, *range(len(a))]]),
    "a place twice": ("places", put(0, 2)),
    "a place far off": ("left_out_places", put(0, 9)),
    "left out of nowhere": ("left_out_photos", put(0, "nobody.jpg")),
    "fewer boxes left out": ("left_out_boxes", lambda a: a[1:]),
    "skips of three": ("skipped", lambda a: np.hstack([a, a[:, :1]])),
    "no contract": ("contract", lambda a: np.array("{}")),
    "a contract in bytes": ("contract", lambda a: a.astype(bytes)),
    "another dimension in the contract": (
        "contract",
        lambda a: np.array(str(a).replace('"dimension": 27', '"dimension": 28')),
    ),
    "no settings": ("settings", lambda a: np.array("[]")),
    "settings of a later version": (
        "settings",
        lambda a: np.array(json.dumps({**json.loads(str(a)), "format": 2})),
    ),
    "settings in words": (
        "settings",
        lambda a: np.array(json.dumps({**json.loads(str(a)), "min_score": "high"})),
    ),
    "labels and no labels": (
        "settings",
        lambda a: np.array(
            json.dumps({**json.loads(str(a)), "labelled": not json.loads(str(a))["labelled"]})
        ),
    ),
}


@pytest.mark.parametrize("change", CHANGES)
def test_every_field_is_checked(path, change):
    name, changed = CHANGES[change]
    found = arrays(path)
    np.savez(path, **{**found, name: changed(found[name])})
    with pytest.raises(InputError, match="embed the photographs again"):
        read_faces(path)


@pytest.mark.parametrize(
    "name",
    ["embeddings", "ids", "photos", "digests", "contract", "settings", "photographs", "skipped"],
)
def test_every_field_has_to_be_there(path, name):
    found = arrays(path)
    del found[name]
    np.savez(path, **found)
    with pytest.raises(InputError, match=f"it has no {name}"):
        read_faces(path)


def test_labels_are_checked(path):
    found = arrays(path)
    labels = np.full(len(found["ids"]), " ")
    np.savez(path, **{**found, "labels": labels})
    with pytest.raises(InputError, match="embed the photographs again"):
        read_faces(path)


def test_a_header_that_lies_is_not_believed(path):
    buffer = io.BytesIO()
    np.save(buffer, np.zeros(1, np.float32))
    lie = buffer.getvalue().replace(b"(1,), }" + b" " * 12, b"(1000000000000,), }")
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, raw in members.items():
            archive.writestr(name, lie if name == "scores.npy" else raw)
    with pytest.raises(InputError, match=r"as the header of 'scores\.npy' says"):
        read_faces(path)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(InputError, match="expected faces that recognition embed wrote"):
        read_faces(tmp_path / "none.npz")
    assert not list(tmp_path.iterdir())
