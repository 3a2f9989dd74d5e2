"""BLUFR's configuration files: read as scipy reads them, refused where they make no sense."""

import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
import scipy.io
from fuzz import RANDOM, damaged, refused

from recognition.datasets._mat import read_mat
from recognition.datasets.blufr import Blufr, place_pictures, read_blufr
from recognition.datasets.embedding_files import Failure
from recognition.errors import InputError

PEOPLE = ["ann", "bob", "cy", "dee", "eve", "fay"]
IMAGES = [f"{name}_{n:04d}.jpg" for name in PEOPLE for n in (1, 2, 3)]
LABELS = np.repeat(np.arange(1, 7), 3)


def cells(lists):
    made = np.empty((len(lists), 1), object)
    for place, each in enumerate(lists):
        made[place, 0] = each if isinstance(each, str) else np.array(each, float).reshape(-1, 1)
    return made


def variables(**change):
    """Two trials: the first three people are enrolled, the others are strangers; one is trained on."""
    test = [list(range(4, 19)), list(range(1, 16))]
    gallery = [[4, 7], [1, 4, 7]]
    probes = [[x for x in t if x not in g] for t, g in zip(test, gallery, strict=True)]
    made = {
        "imageList": cells(IMAGES),
        "labels": LABELS.reshape(-1, 1).astype(float),
        "trainIndex": cells([[1, 2, 3], [16, 17, 18]]),
        "testIndex": cells(test),
        "galIndex": cells(gallery),
        "probIndex": cells(probes),
        "devTrainIndex": np.arange(1.0, 4).reshape(-1, 1),
    } | change
    return {name: value for name, value in made.items() if value is not None}


def write(path: Path, compressed: bool = True, **change) -> Path:
    scipy.io.savemat(path, variables(**change), do_compression=compressed)
    return path


@pytest.mark.parametrize("compressed", [True, False])
def test_it_reads_what_scipy_reads(tmp_path, compressed):
    path = write(tmp_path / "config.mat", compressed)
    found, expected = read_blufr(path), scipy.io.loadmat(path)
    assert found.images.tolist() == [str(each[0][0]) for each in expected["imageList"]]
    assert found.labels.tolist() == expected["labels"].ravel().astype(int).astype(str).tolist()
    for number, trial in enumerate(found.trials):
        for ours, theirs in (
            ("test", "testIndex"),
            ("gallery", "galIndex"),
            ("probes", "probIndex"),
        ):
            assert (
                getattr(trial, ours).tolist()
                == (expected[theirs][number, 0].ravel().astype(int) - 1).tolist()
            )


def test_types_orders_and_names_of_all_kinds(tmp_path):
    values = {
        "a": np.array([[1, 2], [3, 4]], np.int16), "b": np.array([[1.5]], np.float32),
        "c": "grün", "d": cells([[1], [2, 3]]), "e": np.empty((0, 0)), "f": np.uint8([[7]]),
    }  # fmt: skip
    path = tmp_path / "all.mat"
    scipy.io.savemat(path, values)
    found = read_mat(path, set("abcdef"))
    assert found["a"].tolist() == [[1, 2], [3, 4]]
    assert (found["b"].item(), found["c"], found["f"].item()) == (1.5, "grün", 7)
    assert [each.ravel().tolist() for each in found["d"]] == [[1], [2, 3]]
    assert found["e"].shape == (0, 0)
    assert set(read_mat(path, {"a"})) == {"a"}


def test_the_other_byte_order(tmp_path):
    def element(kind, data):
        return struct.pack(">II", kind, len(data)) + data + b"\0" * (-len(data) % 8)

    body = (element(6, struct.pack(">II", 6, 0)) + element(5, struct.pack(">ii", 1, 2))
            + element(1, b"x") + element(9, struct.pack(">dd", 1, 2.5)))  # fmt: skip
    path = tmp_path / "big.mat"
    path.write_bytes(
        b"MATLAB 5.0".ljust(124) + struct.pack(">H", 0x100) + b"MI" + element(14, body)
    )
    assert read_mat(path, {"x"})["x"].tolist() == scipy.io.loadmat(path)["x"].tolist() == [[1, 2.5]]


def test_other_names_and_no_training_do_too(tmp_path):
    given = variables(trainIndex=None, galIndex=None, probIndex=None)
    whole = variables()
    given |= {"galleryIndex": whole["galIndex"], "probeIndex": whole["probIndex"]}
    scipy.io.savemat(tmp_path / "a.mat", given)
    assert read_blufr(tmp_path / "a.mat").trials[0].gallery.tolist() == [3, 6]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"galIndex": None}, "expected a variable galIndex"),
        ({"galleryIndex": cells([[1], [1]])}, "expected a variable galIndex"),
        ({"labels": LABELS[:-1].astype(float)}, "a label for each of 18"),
        ({"labels": LABELS + 0.5}, "whole numbers counted from 1"),
        ({"labels": LABELS - 1.0}, "whole numbers counted from 1"),
        ({"imageList": np.ones(18)}, "cell array of file names"),
        ({"imageList": cells(["x.jpg"] * 18)}, "every file name"),
        ({"galIndex": np.arange(3.0)}, "a list for each trial"),
        ({"galIndex": cells([[4, 4], [1, 4, 7]])}, "different places"),
        ({"galIndex": cells([[4, 19], [1, 4, 7]])}, "different places"),
        ({"galIndex": cells([[4, 7]])}, "same number of trials"),
        ({"galIndex": cells([[4, 8], [1, 4, 7]])}, "to be its test pictures"),
        ({"trainIndex": cells([[4, 5], [16]])}, "trial 1 does both with 1 people"),
        ({"testIndex": None, "deep": 1}, "neither numbers nor text"),
        ({"galIndex": {"a": 1}}, "class 2"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(tmp_path, change, message):
    if "deep" in change:  # a cell within a cell
        inner = np.empty((2, 1), object)
        inner[0, 0], inner[1, 0] = cells([[1]]), cells([[2]])
        change = {"testIndex": inner}
    path = write(tmp_path / "config.mat", **change)
    with pytest.raises(InputError, match=message) as error:
        read_blufr(path)
    assert "config.mat" in str(error.value)


def test_strangers_and_enrolled_are_both_needed(tmp_path):
    test = [[1, 2, 4, 5], [1, 2, 4, 5]]
    change = {"trainIndex": None, "testIndex": cells(test), "galIndex": cells([[1, 4]] * 2),
              "probIndex": cells([[2, 5]] * 2)}  # fmt: skip
    with pytest.raises(InputError, match="and of others"):
        read_blufr(write(tmp_path / "config.mat", **change))


def test_version_7_3_is_sent_to_save_again(tmp_path):
    path = tmp_path / "config.mat"
    path.write_bytes(
        b"MATLAB 7.3 MAT-file, Platform".ljust(512) + b"\x89HDF\r\n\x1a\n" + b"\0" * 100
    )
    with pytest.raises(InputError, match="-v7"):
        read_blufr(path)


def test_a_bomb_does_not_go_off(tmp_path):
    path = tmp_path / "config.mat"
    packed = zlib.compress(bytes(2**27), 9)
    head = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM"
    path.write_bytes(head + struct.pack("<II", 15, len(packed)) + packed)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_blufr(path)


HEAD = b"MATLAB 5.0".ljust(124) + struct.pack("<H", 0x100) + b"IM"


def element(kind, data):
    return struct.pack("<II", kind, len(data)) + data + b"\0" * (-len(data) % 8)


def numbers(name, values):
    body = (element(6, struct.pack("<II", 9, 0)) + element(5, struct.pack("<ii", 1, len(values)))
            + element(1, name) + element(2, values))  # fmt: skip
    return element(14, body)


def packed(data, cut=0):
    small = zlib.compress(data)
    small = small[: len(small) - cut]
    return struct.pack("<II", 15, len(small)) + small


def test_all_variables_together_may_not_unpack_to_more(tmp_path):
    path = tmp_path / "config.mat"
    one = packed(numbers(b"x", bytes(40 * 2**20)))
    path.write_bytes(HEAD + one)
    assert read_mat(path, set()) == {}
    path.write_bytes(HEAD + one + one)
    with pytest.raises(InputError, match="unpacks to more than"):
        read_mat(path, set())


def test_a_cut_checksum_and_a_lying_tag_are_seen(tmp_path):
    path = tmp_path / "config.mat"
    for raw in (packed(numbers(b"x", b"ab"), cut=2), struct.pack("<HH", 14, 6) + bytes(8)):
        path.write_bytes(HEAD + raw)
        with pytest.raises(ValueError, match=r"cut short|more than it can hold"):
            read_mat(path, {"x"})
    path.write_bytes(HEAD + packed(numbers(b"x", b"ab")))
    assert read_mat(path, {"x"})["x"].tolist() == [[97, 98]]


@pytest.mark.parametrize("compressed", [True, False])
def test_damaged_files_are_refused_or_read_soundly(tmp_path, compressed):
    good = write(tmp_path / "good.mat", compressed).read_bytes()
    path = tmp_path / "bad.mat"

    def sound(found: Blufr) -> bool:
        return all(
            trial.test.min() >= 0 and trial.test.max() < len(found.images) == len(found.labels)
            for trial in found.trials
        )

    refusals = 0
    for _, raw in damaged(good):
        path.write_bytes(raw)
        refusals += refused(lambda: read_blufr(path), sound)
    assert refusals > RANDOM


def test_pictures_are_found_by_their_file_names(tmp_path):
    protocol = read_blufr(write(tmp_path / "config.mat"))
    order = np.random.default_rng(0).permutation(18)
    people = np.repeat(PEOPLE, 3)
    for form in ("lfw/{}", "{}"):
        ids = np.array([form.format(IMAGES[i]) for i in order])
        placed = place_pictures(protocol, ids, people[order])
        assert order[placed.rows].tolist() == list(range(18))
        assert placed.labels.tolist() == people.tolist()
    stems = [IMAGES[i].removesuffix(".jpg") for i in range(17)]
    lost = [Failure(IMAGES[17], "fay", "NaN")]
    assert place_pictures(protocol, stems, people[:17], failed=lost).rows.tolist() == [
        *range(17),
        -1,
    ]
    with pytest.raises(InputError, match="1 of 18 are not in the table"):
        place_pictures(protocol, stems, people[:17])
    with pytest.raises(InputError, match="could be several"):
        place_pictures(protocol, [*IMAGES, "other/ann_0001.jpg"], [*people, "ann"])
    with pytest.raises(InputError, match="check the labels"):
        place_pictures(protocol, IMAGES, np.where(people == "bob", "ann", people))
