"""Scores from files: every number as it was written, or a sentence about what is wrong."""

import math
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.comparisons.scores import ScoreLists, Scores
from recognition.datasets import _tables
from recognition.datasets.score_files import ScoreFile, read_scores
from recognition.errors import InputError


def or_refused(read: Callable[[], ScoreFile]) -> ScoreFile | None:
    """What is read, or None where it is refused with a way out."""
    try:
        return read()
    except InputError as refused:
        message = str(refused)
    assert "; " in message
    return None


FOUR = "bob bob b/1 0.5\nann ann a/1 .75\nann bob b/1 -1e-3\nann cy c/1 nan\nbob bob b/2 NaN\n"
FIVE = "".join(
    f"{c} model-of-{c} {r} {t} {s}\n" for c, r, t, s in (x.split() for x in FOUR.splitlines())
)
BOB = "probe_key,bio_ref_subject_id,probe_subject_id,score\n" + "".join(
    f"k,{c},{r},{s}\n" for c, r, _, s in (x.split() for x in FOUR.splitlines())
)
PEOPLE = BOB.replace("bio_ref_subject_id,probe_subject_id", "Person1,person2")
KINDS = "Score,MATED\n0.5,1\n.75,true\n-1e-3,0\nnan,False\n,1\n"


def write(folder: Path, text: str | bytes, name: str = "scores.txt") -> Path:
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


@pytest.mark.parametrize(
    "text", [FOUR, FIVE, BOB, PEOPLE, KINDS, "# comment\n" + FOUR], ids=range(6)
)
@pytest.mark.parametrize("rows", [1, 2, 2**16])
def test_every_format_says_the_same(text: str, rows: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_tables, "ROWS", rows)
    file = read_scores(write(tmp_path, text))
    assert file.mated.tolist() == [0.5, 0.75]
    assert file.nonmated.tolist() == [-1e-3]
    assert file.failures == (1, 1)
    assert file.mated.dtype == np.float64
    if text is KINDS:
        assert file.people is file.mated_person is file.nonmated_persons is None
        assert type(file.table()) is ScoreLists
        return
    assert file.people is not None
    assert file.mated_person is not None
    assert file.nonmated_persons is not None
    assert file.people.tolist() == ["ann", "bob", "cy"]
    assert file.mated_person.tolist() == [1, 0]
    assert file.nonmated_persons.tolist() == [[0, 1]]
    table = file.table()
    assert isinstance(table, Scores)
    assert table.people == 3
    assert table.threshold_allowing(0) > -1e-3


@pytest.mark.parametrize("last", ["", "a b\t", "12 13 "])
def test_two_lists_have_their_scores_last(last: str, tmp_path: Path) -> None:
    mated = write(tmp_path, "".join(f"{last}{s}\n" for s in ("0.25", "nan", "-7")), "mated")
    other = write(tmp_path, "".join(f"{last}{s}\n" for s in (".5", "NaN", "nan", "1e3")), "other")
    file = read_scores((mated, str(other)))
    assert file.mated.tolist() == [0.25, -7]
    assert file.nonmated.tolist() == [0.5, 1000]
    assert file.failures == (1, 2)
    assert type(file.table()) is ScoreLists
    negated = read_scores((mated, other), distances=True)
    assert negated.mated.tolist() == [-0.25, 7]


def test_distances_are_negated_once(tmp_path: Path) -> None:
    text = "img1_path,img2_path,verified,distance,threshold,model,similarity_metric,same\n"
    text += "a,b,True,0.0,0.4,ArcFace,cosine,1\na,c,True,0.3,0.4,ArcFace,cosine,0\n"
    path = write(tmp_path, text)
    for distances in (False, True):
        file = read_scores(path, distances=distances)
        assert file.mated.tolist() == [0.0]
        assert not np.signbit(file.mated).any()
        assert file.nonmated.tolist() == [-0.3]
    scores = write(tmp_path, "score,same\n1,0\n2,1\n", "s.csv")
    assert read_scores(scores, distances=True).mated.tolist() == [-2]
    assert read_scores(scores).mated.tolist() == [2]


def test_people_and_kinds_may_both_be_told(tmp_path: Path) -> None:
    text = "person1,person2,same,score\nann,ann,1,0.5\nann,bob,0,0.25\n"
    assert read_scores(write(tmp_path, text)).mated.tolist() == [0.5]
    with pytest.raises(InputError, match=r"line 3: .* got mated for 'ann', 'bob'"):
        read_scores(write(tmp_path, text.replace("bob,0", "bob,1")))
    with pytest.raises(InputError, match=r"line 2: .* got non-mated for 'ann', 'ann'"):
        read_scores(write(tmp_path, text.replace("ann,1", "ann,0")))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("score,same\n0.5,1\nx,0\n", r"line 3: expected the score to be a finite number, .* 'x'"),
        ("score,same\n0.5,1\n1_0,0\n", "line 3: .* got '1_0'"),
        ("score,same\n0.5,1\ninf,0\n", "line 3: .* got 'inf'"),
        ("score,same\n0.5,1\n1e999,0\n", "line 3: .* got '1e999'"),
        ("score,same\n0.5,1\nNA,0\n", "line 3: .* got 'NA'"),
        ("score,same\n0.5,1\n0.25,2\n", "line 3: expected 1 or true"),
        ("score,same\n0.5,1\n0.25\n", "line 3: expected 2 fields"),
        ("score,same\n0.5,1\n\n0.25,0\n", "line 3: expected a row, but the line is blank"),
        ("score,same\n0.5,1\n0.25,1\n", "no non-mated one among 2 comparisons"),
        ("score,same\n0.5,1\nnan,0\n", r"no non-mated one among 2 comparisons \(1 failed\)"),
        ("score,same\n0.5,0\n", "no mated one among 1"),
        ("score,same\n", "no mated one among 0"),
        ("score,same\n0.5,1\n0.25,0", "may be cut short"),
        ("score\n0.5\n", "1 columns; give two files"),
        ("0.5\n0.25\n", "1 columns; give two files"),
        ("score,other\n0.5,1\n", "expected a column mated .* or the columns person1"),
        ("same,other\n0.5,1\n", "expected a column score, or else distance"),
        ("same,score,distance\n1,0.5,1\n", "rename or remove one"),
        ("score,label,same\n1,0,1\n", "which say the same; remove one"),
        ("score,person1\n1,a\n", "expected both columns 'person1', 'person2'"),
        ("score,person1,person2\n1,a,a\n1,,a\n", "line 3: expected the name of a person"),
        ("verified,distance,a\nTrue,0.1,1\n", "verified is what a threshold decided, not the truth"),
        ("identity,distance,threshold,same\na,0.1,0.4,1\n", "a table of deepface.find, which leaves"),
        ("distance,same,model\n1,1,A\n2,0,B\n", "line 3: expected one model .* got 'A', 'B'"),
        (
            "distance,same,similarity_metric\n1,1,cosine\n2,0,euclidean\n",
            "line 3: expected one similarity_metric .* on different scales",
        ),
        ("a b c\n", "3 columns; add the columns"),
        ("ann ann a 0.5\nann bob b\n", "line 2: expected 4 fields"),
        ("ann ann a 0.5\nann bob b x\n", "line 2: expected the last field"),
        ("ann ann a 0.5\n# ann bob b\n", "line 2: expected the last field"),
        ("# c\n\nann ann a 0.5\n", "1: expected a header|got 0 columns"),
        ("ann ann a 0.5\n\nann bob b 0.25\n", "line 2: expected a row"),
        ("", "it is empty"),
        ("\n", "got 0 columns"),
        (b"ann ann a 0.5\nann b\xffb b 0.25\n", "line 2: expected UTF-8"),
    ],
)  # fmt: skip
def test_files_that_make_no_sense_are_refused(
    text: str | bytes, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=message) as refused:
        read_scores(write(tmp_path, text))
    assert "scores.txt" in str(refused.value)
    assert "; " in str(refused.value)


@pytest.mark.parametrize("rows", [1, 2, 3, 2**12])
def test_lines_are_counted_across_blocks(rows: int, tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_tables, "ROWS", rows)
    text = "score,same\n" + "1,0\n" * 5
    for bad in ("x,0\n", "1,x\n", "1\n", "\n1,0\n", 'x"y"\n', '"x"y\n', "\0,1\n"):
        with pytest.raises(InputError, match=r"s\.csv, line 7: "):
            read_scores(write(tmp_path, text + bad + "1,1\n", "s.csv"))


def test_a_name_ends_in_no_nul(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="NUL"):
        read_scores(write(tmp_path, "a a x 1\na a\0 x 2\n"))


def test_two_lists_must_be_two_lists(tmp_path: Path) -> None:
    good = write(tmp_path, "1\n", "good")
    with pytest.raises(InputError, match=r"got .*good twice; name the other one"):
        read_scores((good, good))
    with pytest.raises(
        InputError, match=r"list of non-mated scores.* at .*none, but there is no such file"
    ):
        read_scores((good, tmp_path / "none"))
    for text, message in [
        ("score\n1\n", "bad, line 1: expected the last field to be a finite number"),
        ("1\n2 3\n", "bad, line 2: expected 1 fields"),
        ("1\n\n2\n", "bad, line 2: expected a row"),
        ("nan\n", "no mated one"),
        ("# only\n", "no mated one"),
    ]:
        with pytest.raises(InputError, match=message):
            read_scores((write(tmp_path, text, "bad"), good))


def test_trailing_blank_lines_are_nothing(tmp_path: Path, monkeypatch: Any) -> None:
    for rows in (1, 2, 3, 100):
        monkeypatch.setattr(_tables, "ROWS", rows)
        for end in ("\n", "\r\n", "\r"):
            text = (FOUR + "\n\n\n").replace("\n", end)
            assert read_scores(write(tmp_path, text)).mated.tolist() == [0.5, 0.75]


SCORE = st.floats(allow_infinity=False) | st.sampled_from([0.0, 0.5, 1.0])
ROW = st.tuples(SCORE, st.sampled_from(["a", "b", "ö c"]), st.sampled_from(["a", "b", "d"]))


def naive(rows: list[tuple[float, str, str]]) -> tuple[list[Any], list[Any], tuple[int, int]]:
    mated = [(s, a) for s, a, b in rows if a == b and not math.isnan(s)]
    other = [(s, a, b) for s, a, b in rows if a != b and not math.isnan(s)]
    same = sum(a == b for _, a, b in rows)
    return mated, other, (same - len(mated), len(rows) - same - len(other))


def told(file: ScoreFile) -> tuple[list[Any], list[Any], tuple[int, int]]:
    assert file.people is not None
    assert file.mated_person is not None
    assert file.nonmated_persons is not None
    names = file.people.tolist()
    mated = zip(file.mated.tolist(), file.mated_person, strict=True)
    other = zip(file.nonmated.tolist(), file.nonmated_persons, strict=True)
    return (
        [(score, names[i]) for score, i in mated],
        [(score, names[i], names[j]) for score, (i, j) in other],
        tuple(file.failures),
    )


@given(rows=st.lists(ROW), cut=st.none() | st.integers(0))
def test_scores_survive_and_a_cut_is_refused_or_a_part(
    rows: list[tuple[float, str, str]], cut: int | None
) -> None:
    rows = [(1.0, "a", "a"), (0.0, "a", "b"), *rows]
    text = "score,person1,person2\n" + "".join(f"{s!r},{a},{b}\n" for s, a, b in rows)
    raw = text.encode()
    part = raw if cut is None else raw[: cut % (len(raw) + 1)]
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), part, "s.csv")
        file = or_refused(lambda: read_scores(path))
        assert file is not None or cut is not None
        if file is not None:
            assert told(file) == naive(rows[: part.count(b"\n") - 1])


@given(rows=st.lists(SCORE), cut=st.integers(0))
def test_a_list_cut_short_is_refused_or_a_part(rows: list[float], cut: int) -> None:
    text = "".join(f"{score!r}\n" for score in [0.5, *rows])
    part = text[: cut % (len(text) + 1)]
    with tempfile.TemporaryDirectory() as folder:
        mated, other = write(Path(folder), part, "m"), write(Path(folder), text, "o")
        file = or_refused(lambda: read_scores((mated, other)))
        if file is not None:
            kept = [0.5, *rows][: part.count("\n")]
            assert part.endswith("\n")
            assert file.mated.tolist() == [score for score in kept if not math.isnan(score)]


@given(
    raw=st.binary(max_size=200)
    | st.text(alphabet='0123.naif-e\t\n\r ,"', max_size=200).map(str.encode),
    begin=st.sampled_from([b"", b"a a x 1\n", b"score,same\n1,0\n", b"distance,same,model\n"]),
)
def test_any_bytes_are_refused_in_words_or_read(raw: bytes, begin: bytes) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = write(Path(folder), begin + raw)
        for given_path in (path, (path, write(Path(folder), b"1\n", "other"))):
            file = or_refused(partial(read_scores, given_path))
            if file is not None:
                assert np.isfinite(file.mated).all()
                assert len(file.mated)
                assert len(file.nonmated)
                assert file.table().nonmated_count == len(file.nonmated)
