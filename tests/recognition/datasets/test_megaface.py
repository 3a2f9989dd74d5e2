"""MegaFace's feature files and lists: what the kit writes is read, anything else is named."""

import json
import os
import struct
from pathlib import Path

import numpy as np
import pytest
from fuzz import RANDOM, SOAK, damaged, refused

from recognition.datasets.megaface import read_features
from recognition.errors import InputError


def feature(values, header=None) -> bytes:
    values = np.asarray(values, "<f4")
    return struct.pack("<4i", *(header or (len(values), 1, 4, 5))) + values.tobytes()


def write(folder: Path, people=3, pictures=2, algorithm="my_net", dim=4, seed=0):
    """The kit's layout: person/person_n.png_algorithm.bin; returns what is in it."""
    random = np.random.default_rng(seed)
    found = {}
    for k in range(people):
        for n in range(pictures):
            picture = f"p_{k}/p_{k}_{n}.png"
            found[picture] = random.normal(size=dim).astype(np.float32)
            path = folder / f"{picture}_{algorithm}.bin"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(feature(found[picture]))
    return found


def names_of(folder: Path, pictures, people=None) -> Path:
    path = folder.parent / "list.json"
    ids = [p.split("/")[0] for p in pictures] if people is None else people
    path.write_text(json.dumps({"path": list(pictures), "id": ids}))
    return path


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "features"
    return path, write(path)


def test_a_folder_is_read_with_its_people(folder):
    path, known = folder
    found = read_features(path)
    assert found.ids.tolist() == sorted(known)
    assert found.labels.tolist() == [p.split("/")[0] for p in sorted(known)]
    for row, picture in zip(found.embeddings, found.ids.tolist(), strict=True):
        assert np.array_equal(row, known[picture])


def test_a_list_says_which_pictures_and_who(folder):
    path, known = folder
    wanted = sorted(known)[1:4][::-1]
    found = read_features(path, names_of(path, wanted, [7, "ann", 7]))
    assert found.ids.tolist() == wanted
    assert found.labels.tolist() == ["7", "ann", "7"]
    assert np.array_equal(found.embeddings, [known[p] for p in wanted])


def test_the_algorithm_is_what_follows_the_picture(tmp_path):
    write(tmp_path / "a", algorithm="net_v2_final")
    assert read_features(tmp_path / "a").ids[0] == "p_0/p_0_0.png"
    (tmp_path / "b" / "ann").mkdir(parents=True)
    (tmp_path / "b" / "ann" / "face_7_net.bin").write_bytes(feature([1, 2]))
    assert read_features(tmp_path / "b").ids.tolist() == ["ann/face_7"]


def test_failures_to_embed_are_counted_not_refused(folder):
    path, known = folder
    bad = sorted(known)[2]
    (path / f"{bad}_my_net.bin").write_bytes(feature([np.nan, 0, 0, 0]))
    found = read_features(path)
    assert [one.id for one in found.failures] == [bad]
    assert len(found) == 5


@pytest.mark.parametrize(
    "raw",
    [
        b"", b"\4\0\0\0", feature([1, 2, 3])[:-1], feature([1, 2, 3]) + b"\0",
        feature([1, 2], (3, 1, 4, 5)), feature([1, 2], (1, 2, 4, 5)), feature([1, 2], (2, 1, 8, 6)),
        feature([1, 2], (-2, 1, 4, 5)), feature([], (0, 1, 4, 5)), feature([1, 2], (2**31 - 1, 1, 4, 5)),
        struct.pack(">4i2f", 2, 1, 4, 5, 1, 2), b"\0" * (16 + 4 * 2**16 + 1),
    ],
)  # fmt: skip
def test_a_file_that_is_not_what_its_header_says_is_named(folder, raw):
    path, known = folder
    target = path / f"{sorted(known)[0]}_my_net.bin"
    target.write_bytes(raw)
    with pytest.raises(InputError, match=r"p_0_0\.png_my_net\.bin"):
        read_features(path)


def test_another_dimension_is_named_with_the_reason_it_may_have(folder):
    path, known = folder
    (path / f"{sorted(known)[3]}_my_net.bin").write_bytes(feature([1, 2, 3, 4, 100]))
    with pytest.raises(InputError, match=r"expected 4 dimensions .* got 5 in .*'cleaned'"):
        read_features(path)


def test_a_folder_of_two_algorithms_is_refused(folder):
    path, known = folder
    first = sorted(known)[0]
    (path / f"{first}_other.bin").write_bytes(feature([1, 2, 3, 4]))
    for names in (None, names_of(path, known)):
        with pytest.raises(InputError, match=r"one algorithm .* 'my_net', 'other'"):
            read_features(path, names)


def test_what_is_no_folder_of_features_is_refused(tmp_path, folder):
    with pytest.raises(InputError, match="there is none"):
        read_features(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="got none"):
        read_features(tmp_path / "empty")
    flat = tmp_path / "flat"
    flat.mkdir()
    (flat / "a.png_net.bin").write_bytes(feature([1, 2]))
    with pytest.raises(InputError, match="say who is on them with a list"):
        read_features(flat)
    (flat / "noname.bin").write_bytes(feature([1, 2]))
    with pytest.raises(InputError, match=r"PICTURE_ALGORITHM\.bin"):
        read_features(flat)
    path, known = folder
    with pytest.raises(InputError, match="for the first picture"):
        read_features(path, names_of(path, ["p_9/x.png"]))
    with pytest.raises(InputError, match=r"p_9/x\.png_my_net\.bin"):
        read_features(path, names_of(path, [sorted(known)[0], "p_9/x.png"]))
    os.mkfifo(path / "p_0/pipe.png_my_net.bin")
    with pytest.raises(InputError, match="no regular file"):
        read_features(path)


@pytest.mark.parametrize(
    "bad",
    [
        "../x.png",
        "/etc/x.png",
        "a/../../x.png",
        "a//x.png",
        "./x.png",
        "a\\..\\x.png",
        "a\0.png",
        "..",
        "",
    ],
)
def test_no_path_leads_out_of_the_folder(folder, bad):
    path, known = folder
    with pytest.raises(InputError, match=r"list\.json"):
        read_features(path, names_of(path, [sorted(known)[0], bad], ["a", "b"]))


@pytest.mark.parametrize(
    "content",
    [
        "[]", "{}", '{"path": [], "id": []}', '{"path": "a", "id": "b"}', '{"path": ["a"], "id": []}',
        '{"path": [1], "id": ["a"]}', '{"path": ["a"], "id": [1.5]}', '{"path": ["a"], "id": [true]}',
        '{"path": ["a"], "id": [" "]}', '{"path": ["a"], "id": [["b"]]}', '{"path": ["a", "a"], "id": [1, 1]}',
        "[" * 100_000, '{"path": {"a": 1}, "id": [1]}', '{"path": ["a"], "id": [' + "9" * 5000 + "]}",
    ],
)  # fmt: skip
def test_a_list_of_another_shape_is_refused(folder, content):
    path, _ = folder
    names = path.parent / "list.json"
    names.write_text(content)
    with pytest.raises(InputError, match=r"expected a list of pictures in JSON|every path once"):
        read_features(path, names)


def test_damaged_files_are_refused_or_read_soundly(folder):
    path, known = folder
    target = path / f"{sorted(known)[1]}_my_net.bin"
    good = target.read_bytes()
    refusals = 0
    for _, raw in damaged(good):
        target.write_bytes(raw)
        refusals += refused(
            lambda: read_features(path), lambda found: found.embeddings.shape[1:] == (4,)
        )
    assert refusals > RANDOM


def test_damaged_lists_are_refused_or_read_soundly(folder):
    path, known = folder
    names = names_of(path, sorted(known))
    good = names.read_bytes()
    refusals = 0
    for _, raw in damaged(good, count=RANDOM if not SOAK else 2 * RANDOM):
        names.write_bytes(raw)
        refusals += refused(
            lambda: read_features(path, names), lambda found: set(found.ids.tolist()) <= set(known)
        )
    assert refusals > RANDOM
