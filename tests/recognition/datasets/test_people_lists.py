"""LFW's lists of people: whole, by fold, or refused."""

from pathlib import Path

import pytest
from fuzz import damaged, refused

from recognition import PeopleList, read_people
from recognition.datasets.people_lists import read_chosen
from recognition.errors import InputError

FOLDS = "3\n2\nAnn_Bo\t1\nCy\t12\n1\nDi\t3\n2\nEd\t1\nFay_G_H\t2\n"
DEV = "3\nAnn_Bo\t1\nCy\t12\nDi\t3\n"


def write(folder: Path, text: str) -> Path:
    path = folder / "people.txt"
    path.write_text(text)
    return path


@pytest.mark.parametrize("text", [FOLDS, FOLDS.replace("\t", "  "), FOLDS + "\n\n"])
def test_people_and_their_folds(text: str, tmp_path: Path) -> None:
    found = read_people(write(tmp_path, text))
    assert found.names.tolist() == ["Ann_Bo", "Cy", "Di", "Ed", "Fay_G_H"]
    assert found.pictures.tolist() == [1, 12, 3, 1, 2]
    assert found.folds.tolist() == [1, 1, 2, 3, 3]
    assert found.within([3, 1]).tolist() == ["Ann_Bo", "Cy", "Ed", "Fay_G_H"]
    assert len(found) == 5


def test_development_lists_are_one_fold(tmp_path: Path) -> None:
    found = read_people(write(tmp_path, DEV))
    assert found.names.tolist() == ["Ann_Bo", "Cy", "Di"]
    assert set(found.folds.tolist()) == {1}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (DEV[:-5], "expected 3 people in a fold.*got 2"),
        (DEV + "Ed\t1\n", "line 5: expected a number"),
        (DEV + "1\nEd\t1\n", "expected 3 people.*got 2 runs"),
        (FOLDS[:-10], "expected 2 people in a fold"),
        (FOLDS[:19], "expected 3 folds.*got 1"),
        (FOLDS + "1\nGus\t1\n", "expected 3 folds.*got 4"),
        (FOLDS.replace("Di", "Cy"), "'Cy' twice"),
        (FOLDS.replace("\t3", "\t0"), "line 6: expected a name and a number"),
        (FOLDS.replace("Di\t3", "\nDi\t3"), "line 6: expected a name, but the line is blank"),
        (FOLDS.replace("Di\t3", "Di\t3\t4"), "expected a name and a number"),
        ("Ann\t1\n", "line 1: expected a number"),
        ("0\n", "line 1: expected a number"),
        ("\n\n", "got blank lines"),
        ("3\n", "expected 3 people"),
        ("999999999\n999999999\nAnn\t1\n", "expected 999,999,999 people in a fold"),
        (DEV[:-1], "line end"),
    ],
)
def test_other_lists_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message):
        read_people(write(tmp_path, text))


def test_an_option_is_a_number_or_a_list_or_folds_of_one(tmp_path: Path) -> None:
    path = write(tmp_path, FOLDS)
    assert read_chosen("500") == 500
    assert read_chosen(f"{path}") == ["Ann_Bo", "Cy", "Di", "Ed", "Fay_G_H"]
    assert read_chosen(f"{path}:2") == ["Di"]
    assert read_chosen(f"{path}:1,3-3") == ["Ann_Bo", "Cy", "Ed", "Fay_G_H"]
    assert read_chosen(f"{path}:1-3") == read_chosen(str(path))
    for text, message in {
        f"{path}:4": "expected folds from 1 to 3, got 4",
        f"{path}:0-2": "got 0",
        f"{path}:3-1": "got none",
        f"{path}:x": "check the path",
        "many": "check the path",
    }.items():
        with pytest.raises(InputError, match=message):
            read_chosen(text)
    odd = tmp_path / "odd:1"
    odd.write_text(DEV)
    assert read_chosen(str(odd)) == ["Ann_Bo", "Cy", "Di"]


@pytest.mark.parametrize("text", [FOLDS, DEV])
def test_damage_is_refused_in_words(text: str, tmp_path: Path) -> None:
    path = tmp_path / "people.txt"

    def sound(found: PeopleList) -> bool:
        return (
            len(found.names) == len(found.pictures) == len(found.folds) > 0
            and len(set(found.names.tolist())) == len(found)
            and bool((found.pictures > 0).all())
            and sorted(found.folds.tolist()) == found.folds.tolist()
        )

    for _, raw in damaged(text.encode()):
        path.write_bytes(raw)
        refused(lambda: read_people(path), sound)
