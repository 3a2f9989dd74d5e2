import json

import numpy as np
import pytest
from fuzz import damaged, refused
from safetensors.numpy import save, save_file

from recognition.datasets.weight_files import ClassWeights, read_weights
from recognition.errors import InputError

WEIGHTS = np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)
NAMES = ["ann", "bob", "Zoë"]


def sound(found):
    classes = len(found.labels)
    return (
        isinstance(found, ClassWeights)
        and found.weights.ndim in (2, 3)
        and found.weights.shape[0] == classes == len(set(found.labels))
        and bool(np.isfinite(found.weights).all() and np.abs(found.weights).max(-1).all())
    )


def written(path, weights=WEIGHTS, people=NAMES, **tensors):
    metadata = None if people is None else {"people": json.dumps(people)}
    save_file({"weight": weights, **tensors}, path, metadata)
    return path


@pytest.mark.parametrize("shape", [(3, 4), (3, 2, 4)])
@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_what_is_saved_is_read(tmp_path, shape, dtype):
    weights = np.random.default_rng(1).normal(size=shape).astype(dtype)
    found = read_weights(written(tmp_path / "head.safetensors", weights, counted=np.ones(2)))
    assert (found.weights == weights).all()
    assert found.weights.dtype == dtype
    assert found.labels.tolist() == NAMES
    np.savez(tmp_path / "head.npz", weights=weights, labels=NAMES)
    again = read_weights(str(tmp_path / "head.npz"))
    assert (again.weights == weights).all()
    assert again.labels.tolist() == NAMES


def test_labels_may_be_whole_numbers(tmp_path):
    numbers = np.array([2**24 + 1, 5, 0])
    path = written(tmp_path / "head.safetensors", people=None, labels=numbers)
    assert read_weights(path).labels.tolist() == ["16777217", "5", "0"]
    assert read_weights(written(path, people=[7, 8, 9])).labels.tolist() == ["7", "8", "9"]


def test_a_file_without_labels_says_what_to_write(tmp_path):
    path = written(tmp_path / "head.safetensors", people=None)
    with pytest.raises(InputError, match="JSON list under people in the metadata"):
        read_weights(path)
    np.savez(tmp_path / "head.npz", weight=WEIGHTS)
    with pytest.raises(InputError, match="write them as an array labels, in the order of the rows"):
        read_weights(tmp_path / "head.npz")


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"labels": NAMES}, "class weights under one of the names"),
        ({"weight": WEIGHTS, "weights": WEIGHTS, "labels": NAMES}, "under one of the names"),
        ({"weight": WEIGHTS[0], "labels": NAMES}, "got shape \\(4,\\) of float32"),
        ({"weight": WEIGHTS.astype(int), "labels": NAMES}, "of int64"),
        ({"weight": WEIGHTS, "labels": NAMES[:2]}, "label for each of 3 rows"),
        ({"weight": WEIGHTS, "labels": ["a", "b", "a"]}, "every person once, got 'a'"),
        ({"weight": WEIGHTS, "labels": [1.0, 2.0, 3.0]}, "text or whole numbers"),
        ({"weight": WEIGHTS * np.nan, "labels": NAMES}, "row 0 is all zeros"),
        ({"weight": WEIGHTS * [[1], [0], [1]], "labels": NAMES}, "row 1 is all zeros"),
    ],
)
def test_what_is_no_head_is_refused(tmp_path, arrays, message):
    np.savez(tmp_path / "head.npz", **arrays)
    with pytest.raises(InputError, match=message):
        read_weights(tmp_path / "head.npz")


@pytest.mark.parametrize(
    "people", ["ann", "{}", "[]", "[true, 1, 2]", "[null]", "[" * 100_000, '["a", "b"]', '["a"']
)
def test_names_that_are_none_are_refused(tmp_path, people):
    save_file({"weight": WEIGHTS}, tmp_path / "head.safetensors", {"people": people})
    with pytest.raises(InputError, match=r"JSON list of names|label for each of 3") as caught:
        read_weights(tmp_path / "head.safetensors")
    assert len(str(caught.value)) < 600


def test_other_files_are_refused(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        read_weights(tmp_path / "no.safetensors")
    (tmp_path / "head.pt").write_bytes(b"PK")
    with pytest.raises(InputError, match=r"got the suffix '\.pt'"):
        read_weights(tmp_path / "head.pt")
    objects = np.array([{"a": 1}, None, 2], dtype=object)
    np.savez(tmp_path / "head.npz", weight=WEIGHTS, labels=objects)
    with pytest.raises(InputError, match="text or whole numbers"):
        read_weights(tmp_path / "head.npz")


def test_damage_is_refused_or_harmless(tmp_path):
    np.savez(tmp_path / "good.npz", weights=WEIGHTS, labels=NAMES)
    plain = save({"weight": WEIGHTS}, {"people": json.dumps(NAMES)})
    kinds = {".safetensors": plain, ".npz": (tmp_path / "good.npz").read_bytes()}
    for suffix, good in kinds.items():
        path = tmp_path / f"damaged{suffix}"
        refusals = []
        for _, raw in damaged(good):
            path.write_bytes(raw)
            refusals.append(refused(lambda path=path: read_weights(path), sound))
        assert np.mean(refusals) > 1 / 3
