"""Lists of pairs: the rows that the protocol means, or a sentence about what is wrong."""

import tempfile
from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.datasets.embedding_files import Failure
from recognition.datasets.pair_lists import PairList, read_pairs
from recognition.errors import InputError


def or_refused(read: Callable[[], PairList]) -> PairList | None:
    """What is read, or None where it is refused with a way out."""
    try:
        return read()
    except InputError as refused:
        message = str(refused)
    assert "; " in message
    return None


IDS = ["Ann_0001", "Ann_0002", "Ann_0003", "Bo_B_0001", "Bo_B_0002", "Cy_0012"]
LABELS = ["Ann", "Ann", "Ann", "Bo_B", "Bo_B", "Cy"]
LFW = (
    "2\t2\n"
    "Ann\t1\t2\nAnn\t1\t3\nAnn\t1\tBo_B\t2\nBo_B\t1\tCy\t12\n"
    "Bo_B\t1\t2\nAnn\t2\t3\nAnn\t3\tCy\t12\nCy\t12\tBo_B\t2\n"
)
FIRST = [0, 0, 0, 3, 3, 1, 2, 5]
SECOND = [1, 2, 4, 5, 4, 2, 5, 4]
MATED = [True, True, False, False, True, True, False, False]


def write(folder: Path, text: str | bytes, name: str = "pairs.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def check(pairs: PairList) -> None:
    assert pairs.first.tolist() == FIRST
    assert pairs.second.tolist() == SECOND
    assert pairs.mated.tolist() == MATED
    assert (pairs.first.dtype, pairs.mated.dtype) == (np.int64, np.bool_)
    assert pairs.failures == (0, 0)
    assert not pairs.notes


@pytest.mark.parametrize(
    "pattern",
    [
        "{name}_{n:04d}",
        "{name}_{n:04d}.jpg",
        "lfw/{name}/{name}_{n:04d}.jpg",
        "d:\\lfw\\{name}\\{name}_{n:04d}.png",
        "{name}/{n}.png",
        "x/{name}/{n:03d}.png",
    ],
)
@pytest.mark.parametrize("blanks", [False, True])
def test_lfw_names_find_their_pictures(pattern: str, blanks: bool, tmp_path: Path) -> None:
    ids = [pattern.format(name=i.rpartition("_")[0], n=int(i.rpartition("_")[2])) for i in IDS]
    path = write(tmp_path, LFW.replace("\t", "  ") if blanks else LFW)
    pairs = read_pairs(path, ids, LABELS)
    check(pairs)
    assert pairs.folds is not None
    assert pairs.folds.tolist() == [1, 1, 1, 1, 2, 2, 2, 2]
    assert len(pairs) == 8


def test_names_with_dots_need_no_suffix(tmp_path: Path) -> None:
    text = "1\nA.B.\t1\t2\nA.B.\t1\tC\t1\n"
    pairs = read_pairs(write(tmp_path, text), ["A.B._0001", "A.B._0002", "C_0001"], ["a", "a", "c"])
    assert pairs.second.tolist() == [1, 2]


def test_a_file_name_is_preferred_to_a_folder(tmp_path: Path) -> None:
    ids = ["Ann/1.png", "Ann/2.png", "x/Ann_0001.png", "Bo/1.png"]
    pairs = read_pairs(write(tmp_path, "1\nAnn\t1\t2\nAnn\t1\tBo\t1\n"), ids, ["a", "a", "a", "b"])
    assert pairs.first.tolist() == [2, 2]


def test_development_lists_are_one_fold(tmp_path: Path) -> None:
    text = "4\n" + "".join(line + "\n" for line in LFW.splitlines()[1:])
    pairs = read_pairs(write(tmp_path, text, "pairsDevTrain.txt"), IDS, LABELS)
    check(pairs)
    assert pairs.folds is not None
    assert set(pairs.folds) == {1}


@pytest.mark.parametrize(
    ("one", "two", "truth", "values"),
    [
        ("id1", "id2", "mated", "10"),
        ("image1_path", "IMAGE2_PATH", "label", ["1.0", "0.0"]),
        ("id1", "id2", "same", ["True", "FALSE"]),
        ("id1", "id2", "", ""),
    ],
)
@pytest.mark.parametrize("folds", [False, True])
def test_tables_of_pairs(
    one: str, two: str, truth: str, values: list[str], folds: bool, tmp_path: Path
) -> None:
    text = f"x,{one},{two}{',' + truth if truth else ''}{',fold' if folds else ''}\n"
    for row, (i, j, mated) in enumerate(zip(FIRST, SECOND, MATED, strict=True)):
        told = f",{values[0 if mated else 1]}" if truth else ""
        text += f"?,{IDS[i]},{IDS[j]}{told}{f',{7 * (row // 4)}' if folds else ''}\n"
    pairs = read_pairs(write(tmp_path, text, "pairs.csv"), IDS, LABELS)
    check(pairs)
    assert (pairs.folds is not None) == folds
    if pairs.folds is not None:
        assert pairs.folds.tolist() == [0, 0, 0, 0, 7, 7, 7, 7]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (LFW.replace("2\t2", "2\t3", 1), r"2 x 3 mated .* 12 in all, got 8; the file is cut short"),
        (LFW.replace("2\t2", "2\t1", 1), "4 in all, got more, in line 6"),
        (LFW.replace("2\t2", "0\t2", 1), "0 in all, got more, in line 2"),
        ("10\t300\n", "6000 in all, got 0"),
        ("999999999\t999999999\n", "got 0; the file is cut short"),
        (LFW.replace("Ann\t2\t3", "Ann\t2\tCy\t12"), "got 1 mated ones in fold 2"),
        (LFW.replace("Ann\t2\t3", "Ann\t2\tAnn\t3"), "line 7: expected 'name n m'"),
        (LFW.replace("Ann\t2\t3", "Ann\t2\tx"), r"line 7: .* got 'Ann\\t2\\tx'"),
        (LFW.replace("Ann\t2\t3", "Ann\t2"), "line 7"),
        (LFW.replace("Ann\t2\t3", "\t2\t3"), "line 7"),
        (LFW.replace("Ann\t2\t3", "Ann\t-2\t3"), "line 7"),
        (LFW.replace("Ann\t2\t3", "Ann\t2\t3\t4\t5"), "line 7"),
        (LFW.replace("Ann\t2\t3\n", "\nAnn\t2\t3\n"), "line 7: .* got ''"),
        (LFW.replace("Ann\t2\t3", "Ann\t2\t9"), r"1 of 7 are not: 'Ann_0009', while the table"),
        (LFW.replace("Bo_B\t1\t2", "Bo_B\t1\t1"), r"line 6: expected two pictures, .* \(1 such"),
        (LFW[:-1], "cut short"),
        ("", "it is empty"),
        ("name n m\n", "line 1: expected LFW's pairs.txt"),
        ("id1,id2\n", "expected pairs below the header"),
        ("id1,other\na,b\n", "expected the columns id1 and id2"),
        ("id1,image1,id2\na,b,c\n", "which say the same; remove one"),
        ("id1,id2,same\nAnn_0001,Ann_0002,yes\n", "line 2: expected 1 or true .* got 'yes'"),
        ("id1,id2,same\nAnn_0001,Ann_0002,-1\n", "line 2: expected 1 or true"),
        ("id1,id2,same\nAnn_0001,Ann_0002,\n", "line 2: expected 1 or true"),
        ("id1,id2,fold\nAnn_0001,Ann_0002,a\n", "line 2: expected fold to be a whole number"),
        ("id1,id2,fold\nAnn_0001,Ann_0002,1.5\n", "line 2: expected fold to be a whole number"),
        ("id1,id2\nAnn_0001,Ann_0002\n", "expected mated and non-mated pairs, but got only one"),
        (
            "id1,id2,same\nAnn_0001,Ann_0002,1\nAnn_0001,Cy_0012,1\n",
            r"line 3: .* got mated, but the labels differ: 'Ann_0001', 'Cy_0012' \(1 of 2 pairs\)",
        ),
        (
            "id1,id2,same\nAnn_0001,Ann_0002,0\nAnn_0001,Cy_0012,0\n",
            r"line 2: .* got non-mated, but the labels are the same",
        ),
        (
            "id1,id2,fold\nAnn_0001,Ann_0002,1\nAnn_0001,Cy_0012,1\nAnn_0001,Cy_0012,2\n",
            "in every fold, but fold 2 has only one kind; .* leave the column fold out",
        ),
        ("id1,id2\nx1,x2\nx3,x4\nx5,x6\n", r"6 of 6 are not: 'x1', 'x2', 'x3', 'x4', 'x5', \.\.\."),
    ],
)  # fmt: skip
def test_lists_that_make_no_sense_are_refused(text: str, message: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_pairs(write(tmp_path, text), IDS, LABELS)
    assert "pairs.txt" in str(refused.value)
    assert "; " in str(refused.value)


def test_a_name_that_could_be_two_pictures_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="1 of 6 could be more than one: 'Ann_0001'"):
        read_pairs(write(tmp_path, LFW), [*IDS, "b/Ann_0001.png"], [*LABELS, "Ann"])
    folders = [*IDS[1:], "Ann/1.png", "Ann/01.png"]
    with pytest.raises(InputError, match="could be more than one: 'Ann_0001'"):
        read_pairs(write(tmp_path, LFW), folders, [*LABELS[1:], "Ann", "Ann"])


def test_folders_that_are_not_asked_for_may_be_unclear(tmp_path: Path) -> None:
    ids, labels = [*IDS, "Ann/1.png", "Ann/01.png"], [*LABELS, "Ann", "Ann"]
    check(read_pairs(write(tmp_path, LFW), ids, labels))


def test_labels_and_ids_are_of_one_table(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="label for each of 6 ids, got 5"):
        read_pairs(write(tmp_path, LFW), IDS, LABELS[:5])


def test_pairs_with_a_failed_picture_are_counted_not_dropped(tmp_path: Path) -> None:
    failed = [Failure("Ann_0003", "Ann", "NaN"), Failure("unlisted", "x", "NaN")]
    ids = [i for i in IDS if i != "Ann_0003"]
    labels = ["Ann", "Ann", "Bo_B", "Bo_B", "Cy"]
    pairs = read_pairs(write(tmp_path, LFW), ids, labels, failed=failed)
    assert pairs.failures == (2, 1)
    assert pairs.failures.mated == 2
    assert pairs.first.tolist() == [0, 0, 2, 2, 4]
    assert pairs.second.tolist() == [1, 3, 4, 3, 3]
    assert pairs.mated.tolist() == [True, False, False, True, False]
    assert pairs.folds is not None
    assert pairs.folds.tolist() == [1, 1, 1, 2, 2]
    assert not pairs.notes


def test_a_fold_emptied_by_failures_is_noted(tmp_path: Path) -> None:
    failed = [Failure("Bo_B_0001", "Bo_B", "NaN"), Failure("Ann_0003", "Ann", "NaN")]
    ids = ["Ann_0001", "Ann_0002", "Bo_B_0002", "Cy_0012"]
    pairs = read_pairs(write(tmp_path, LFW), ids, ["Ann", "Ann", "Bo_B", "Cy"], failed=failed)
    assert pairs.failures == (3, 2)
    assert pairs.notes == ("pictures that could not be embedded leave one kind of pairs in fold 2",)
    text = "id1,id2\n" + "Ann_0001,Ann_0002\n" * 4 + "Ann_0003,Cy_0012\n" * 4
    with pytest.raises(InputError, match="4 mated and 0 non-mated pairs of 8 have a picture"):
        read_pairs(
            write(tmp_path, text), IDS[1:], LABELS[1:], failed=[Failure("Ann_0001", "Ann", "")]
        )


def test_a_failed_picture_still_tells_a_wrong_label(tmp_path: Path) -> None:
    text = "id1,id2,same\nAnn_0001,Ann_0002,1\nAnn_0001,Cy_0012,0\nAnn_0002,gone,1\n"
    with pytest.raises(InputError, match=r"line 4: .* got mated, but the labels differ"):
        read_pairs(write(tmp_path, text), IDS, LABELS, failed=[Failure("gone", "x", "NaN")])


def test_repeated_pairs_are_noted_whichever_way_round(tmp_path: Path) -> None:
    text = "id1,id2\n" + "".join(
        f"{IDS[i]},{IDS[j]}\n" for i, j in [(0, 1), (1, 0), (0, 5), (0, 5), (0, 5), (1, 5)]
    )
    pairs = read_pairs(write(tmp_path, text), IDS, LABELS)
    assert pairs.notes == ("3 of 6 pairs repeat an earlier one and count again",)
    assert len(pairs) == 6


PAIRS = list(combinations(range(6), 2))


@given(chosen=st.lists(st.sampled_from(PAIRS)), told=st.booleans(), cut=st.integers(0))
def test_a_table_cut_short_is_refused_or_a_part(
    chosen: list[tuple[int, int]], told: bool, cut: int
) -> None:
    rows = [(0, 1), (0, 5), *chosen]
    text = f"id1,id2{',same' * told}\n"
    for i, j in rows:
        text += f"{IDS[i]},{IDS[j]}" + f",{int(LABELS[i] == LABELS[j])}" * told + "\n"
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), text[: cut % (len(text) + 1)])
        pairs = or_refused(lambda: read_pairs(path, IDS, LABELS))
        if pairs is not None:
            read = list(zip(pairs.first.tolist(), pairs.second.tolist(), strict=True))
            assert read == rows[: len(read)]
            assert pairs.mated.tolist() == [LABELS[i] == LABELS[j] for i, j in read]


@given(cut=st.integers(0, len(LFW)))
def test_a_list_cut_short_is_refused(cut: int) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), LFW[:cut])
        if cut == len(LFW):
            check(read_pairs(path, IDS, LABELS))
        else:
            with pytest.raises(InputError, match="; "):
                read_pairs(path, IDS, LABELS)


@given(
    raw=st.binary(max_size=200)
    | st.text(alphabet='0123\t\n\r ,"Ann_id', max_size=200).map(str.encode),
    begin=st.sampled_from([b"", b"1\n", b"2\t2\n", b"id1,id2\n", b"id1,id2,same,fold\n"]),
)
def test_any_bytes_are_refused_in_words(raw: bytes, begin: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), begin + raw)
        with pytest.raises(InputError, match="; "):
            read_pairs(path, IDS, LABELS)
