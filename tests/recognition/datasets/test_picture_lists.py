"""A CSV of pictures: paths below its folder, a person for each, and nothing from elsewhere."""

from pathlib import Path

import numpy as np
import pytest
from fuzz import damaged, refused
from picture_files import encoded

from recognition.datasets.picture_lists import LABEL, PATH, read_picture_list
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError

NAMES = ["a/1.jpg", "a/2.jpg", "b.png", "odd name/ü,1.jpg"]
PEOPLE = ["ann", "ann", "bo", "cy"]
CSV = 'path,label\na/1.jpg,ann\na/2.jpg,ann\nb.png,bo\n"odd name/ü,1.jpg", cy \n'


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for shade, name in enumerate(NAMES):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(encoded(50 * shade))
    return tmp_path


def read(folder: Path, text: str, **options: object) -> Pictures:
    (folder / "list.csv").write_text(text, encoding="utf-8")
    return read_picture_list(folder / "list.csv", size=8, **options)


def test_pictures_are_read_in_the_order_of_the_file(folder: Path) -> None:
    found = read(folder, CSV)
    assert found.ids.tolist() == NAMES
    assert found.labels.tolist() == PEOPLE
    assert found.images[:, 4, 4, 0].astype(int) == pytest.approx([0, 50, 100, 150], abs=4)
    assert found.skipped == ()
    assert found.notes == ()


@pytest.mark.parametrize("path", PATH)
@pytest.mark.parametrize("label", LABEL)
def test_columns_have_many_names(path: str, label: str, folder: Path) -> None:
    found = read(folder, f"x,{label.upper()},{path}\n0,ann,a/1.jpg\n1,7,b.png\n")
    assert found.labels.tolist() == ["ann", "7"]


def test_paths_of_windows_and_of_here_are_the_same(folder: Path) -> None:
    assert len(read(folder, "path,label\n./a\\1.jpg,ann\n a/2.jpg ,ann\n")) == 2


def test_what_is_missing_or_broken_is_skipped(folder: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"no picture")
    (folder / "empty.jpg").write_bytes(b"")
    text = CSV + "gone.jpg,ann\nbroken.jpg,bo\nempty.jpg,bo\na,bo\n"
    found = read(folder, text)
    assert found.ids.tolist() == NAMES
    assert [skipped.path for skipped in found.skipped] == [
        "gone.jpg",
        "broken.jpg",
        "empty.jpg",
        "a",
    ]
    assert found.skipped[0].reason == "No such file or directory"
    assert found.skipped[3].reason == "not a regular file"
    with pytest.raises(InputError, match="none of 1 can be used"):
        read(folder, "path,label\ngone.jpg,ann\n")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("path,label\n../a/1.jpg,ann\n", "line 2: expected a path below the folder"),
        ("path,label\na/../../x.jpg,ann\n", "below the folder"),
        ("path,label\n/etc/passwd,ann\n", "below the folder"),
        ("path,label\nC:\\x.jpg,ann\n", "below the folder"),
        ("path,label\n..\\x.jpg,ann\n", "below the folder"),
        ("path,label\na/1.jpg\0,ann\n", "below the folder"),
        ("path,label\na/1.jpg,ann\n\\\\host\\share\\1.jpg,ann\n", "line 3.*below the folder"),
        ("path,label\na/1.jpg,ann\n./a/1.jpg,bo\n", "'./a/1.jpg' is in line 2 too"),
        ("path,label\na/1.jpg, \n", "got 'a/1.jpg' and ' '"),
        ("path,label\n,ann\n", "a path and a label"),
        ("path,label\n", "pictures below the header"),
        ("path,fold\na/1.jpg,1\n", "the columns path and label"),
        ("a/1.jpg,ann\n", "the columns path and label"),
        ("path,file,label\na/1.jpg,a/1.jpg,ann\n", "say the same"),
        ("path,label\na/1.jpg,ann", "line end"),
        ("path,label\na/1.jpg\n", "expected 2 fields"),
    ],
)
def test_tables_that_make_no_sense_are_refused(text: str, message: str, folder: Path) -> None:
    with pytest.raises(InputError, match=message):
        read(folder, text)


def test_some_of_the_people(folder: Path) -> None:
    assert read(folder, CSV, people=["ann"]).ids.tolist() == NAMES[:2]
    found = read(folder, CSV, people=2, seed=1)
    assert len(found.people) == 2
    assert "2 of 3 people" in found.notes[0]


def test_damage_is_refused_in_words(folder: Path) -> None:
    good = CSV.encode()
    for _, raw in damaged(good):
        (folder / "list.csv").write_bytes(raw)
        refused(
            lambda: read_picture_list(folder / "list.csv", size=8),
            lambda found: (
                set(found.ids.tolist()) <= set(NAMES)
                and len(found) == len(found.labels) > 0
                and bool((np.strings.str_len(found.labels) > 0).all())
            ),
        )
