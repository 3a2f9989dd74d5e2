"""IJB's files: read as they are, or refused with the file and the line."""

import re
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fuzz import damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from small_ijb import SmallIjb, small_ijb

from recognition.datasets import _whole_numbers
from recognition.datasets._whole_numbers import read_whole_numbers
from recognition.datasets.ijb import BY_FILES, BY_PAIRS, Ijb, read_ijb
from recognition.errors import InputError

FACES, POINTS = "ijbc_face_tid_mid.txt", "ijbc_name_5pts_score.txt"
PAIRS, PROBES = "ijbc_template_pair_label.txt", "ijbc_1N_probe_mixed.csv"
G1, G2 = "ijbc_1N_gallery_G1.csv", "ijbc_1N_gallery_G2.csv"


@pytest.fixture
def small() -> SmallIjb:
    return small_ijb()


def same(read: Ijb, drawn: SmallIjb) -> None:
    faces, ids = read.faces, read.templates
    assert faces.names.tolist() == drawn.names
    assert ids.tolist() == sorted(set(drawn.templates.tolist()))
    assert ids[faces.templates].tolist() == drawn.templates.tolist()
    assert faces.media.tolist() == drawn.media.tolist()
    pairs = read.pairs
    columns = (ids[pairs.first], ids[pairs.second], pairs.mated)
    assert list(zip(*(c.tolist() for c in columns), strict=True)) == drawn.pairs
    assert read.people[read.subjects].tolist() == [drawn.subjects[t] for t in ids.tolist()]


@pytest.mark.parametrize("name", ["ijbb", "ijbc", "a_b"])
def test_every_file_is_read_as_it_is(name: str, small: SmallIjb, tmp_path: Path) -> None:
    small.write(tmp_path, name)
    for folder in (tmp_path, tmp_path / "meta", str(tmp_path)):
        read = read_ijb(folder)
        same(read, small)
        assert read.name == name
        assert read.subjects_by == BY_FILES
        assert read.faces.scores is not None
        assert read.faces.scores.tolist() == small.scores.tolist()
        assert read.faces.landmarks is not None
        assert read.faces.landmarks.shape == (len(small.names), 5, 2)
        np.testing.assert_allclose(read.faces.landmarks[0, :2], [[30.5, 51.7], [65.5, 51.5]])
        named = {g.name: read.templates[g.templates].tolist() for g in read.galleries}
        assert {n: sorted(t) for n, t in small.galleries.items()} == {
            n: sorted(t) for n, t in named.items()
        }
        assert read.probes is not None
        assert sorted(read.templates[read.probes.templates]) == sorted(small.probes)
        assert len(read.notes) == (name != "a_b")  # so small a set was never published


def test_chunks_do_not_show(small: SmallIjb, tmp_path: Path, monkeypatch: Any) -> None:
    small.write(tmp_path)
    for size in (16, 17, 64, 1000):
        monkeypatch.setattr(_whole_numbers, "CHUNK", size)
        same(read_ijb(tmp_path), small)


def test_without_points_or_files_of_1n_the_rest_is_read(small: SmallIjb, tmp_path: Path) -> None:
    folder = small.write(tmp_path) / "meta"
    (folder / POINTS).unlink()
    assert read_ijb(folder).faces.scores is None
    for name in (G1, G2, PROBES):
        (folder / name).unlink()
    read = read_ijb(folder)
    assert (read.galleries, read.probes, read.subjects_by) == ((), None, BY_PAIRS)
    # every probe is mated with an enrolled template, so that the pairs tell the subjects
    drawn = np.array([small.subjects[t] for t in read.templates.tolist()])
    assert ((drawn[:, None] == drawn) == (read.subjects[:, None] == read.subjects)).all()


def test_templates_that_nothing_joins_are_people_of_their_own(
    small: SmallIjb, tmp_path: Path
) -> None:
    folder = small.write(tmp_path) / "meta"
    for name in (G1, G2, PROBES):
        (folder / name).unlink()
    lone = small.probes[0]
    kept = [pair for pair in small.pairs if not (pair[2] and lone in pair)]
    (folder / PAIRS).write_text("".join(f"{a} {b} {c}\n" for a, b, c in kept))
    read = read_ijb(folder)
    place = int(np.searchsorted(read.templates, lone))
    assert (read.subjects == read.subjects[place]).sum() == 1


Edit = Callable[[str], str]


def line(number: int, text: str) -> Edit:
    def edit(whole: str) -> str:
        lines = whole.splitlines(keepends=True)
        lines[number - 1 : number] = [text] if text else []
        return "".join(lines)

    return edit


def repeated(number: int) -> Edit:
    return lambda whole: whole + whole.splitlines(keepends=True)[number - 1]


def turned(whole: str) -> str:
    one, two, label = whole.splitlines()[0].split()
    return whole + f"{two} {one} {label}\n"


WRONG = [
    (FACES, line(3, ""), rf"{POINTS}, line 3: expected the faces of the other file"),
    (FACES, line(3, "3.jpg 1\n"), f"{FACES}, line 3: expected 3 fields"),
    (FACES, lambda whole: "1.jpg 1\n", f"{FACES}, line 1: expected faces, each N.jpg, template"),
    (FACES, line(3, "3.jpg x 1\n"), f"{FACES}, line 3: expected a template .* got 'x'"),
    (FACES, line(3, "3.jpg 1 -1\n"), f"{FACES}, line 3: expected a media .* got '-1'"),
    (FACES, line(3, "3.jpg 1 1.5\n"), f"{FACES}, line 3: expected a media .* got '1.5'"),
    (FACES, line(3, "3.jpg 1_0 1\n"), f"{FACES}, line 3: expected a template"),
    (FACES, line(3, "3.jpg 12345678901 1\n"), f"{FACES}, line 3: expected a template"),
    (FACES, line(3, "1.jpg 1 1\n"), f"{FACES}, line 3: expected every face once, got '1.jpg'"),
    (FACES, lambda whole: whole[:-1], "line end after the last line"),
    (FACES, lambda whole: "", "it is empty"),
    (POINTS, line(2, ""), f"{POINTS}, line 2: expected the faces of the other file .* '2.jpg'"),
    (POINTS, lambda whole: whole[: whole.index("9.jpg")], "a line for each of"),
    (POINTS, lambda whole: whole + whole, r"here no more faces, got '1.jpg'"),
    (POINTS, lambda whole: re.sub(r" 0\.\d+\n", " nan\n", whole, count=1), "line 1: .* got nan"),
    (POINTS, lambda whole: whole.replace(" 51.7 ", " "), "expected faces, each .* 11 fields"),
    (POINTS, lambda whole: whole.replace("51.7", "inf", 1), "line 1: .* got 'inf'"),
    (PAIRS, line(5, ""), ""),  # nobody can tell that a pair is missing
    (PAIRS, line(5, "1 2\n"), f"{PAIRS}, line 5: expected 3 whole numbers .* got '1 2'"),
    (PAIRS, line(5, "1 2 0 0\n"), f"{PAIRS}, line 5: expected 3 whole numbers"),
    (PAIRS, line(5, "1  2 0\n"), f"{PAIRS}, line 5: expected 3 whole numbers"),
    (PAIRS, line(5, "1  2\n"), f"{PAIRS}, line 5: expected 3 whole numbers .* got '1  2'"),
    (PAIRS, line(5, " 1 2\n"), f"{PAIRS}, line 5: expected 3 whole numbers .* got ' 1 2'"),
    (PAIRS, line(5, "\n"), f"{PAIRS}, line 5: expected 3 whole numbers .* got ''"),
    (PAIRS, line(5, "1 2.0 0\n"), f"{PAIRS}, line 5: expected 3 whole numbers"),
    (PAIRS, line(5, "1 -2 0\n"), f"{PAIRS}, line 5: expected 3 whole numbers"),
    (PAIRS, line(5, "1\n2 0\n"), f"{PAIRS}, line 5: expected 3 whole numbers"),
    (PAIRS, line(5, "1 1234567890 0\n"), f"{PAIRS}, line 5: expected 3 whole numbers"),
    (PAIRS, line(5, "1 99999 0\n"), f"{PAIRS}, line 5: expected templates that have faces"),
    (PAIRS, lambda whole: re.sub(r" 0\n", " 2\n", whole, count=1), "the label 1 .* got 2"),
    (PAIRS, lambda whole: re.sub(r" 0\n", " 1\n", whole, count=1), "agrees with the subjects"),
    (PAIRS, lambda whole: re.sub(r" 1\n", " 0\n", whole, count=1), "agrees with the subjects"),
    (PAIRS, lambda whole: re.sub(r" 1\n", " 0\n", whole), "of one person and of two"),
    (PAIRS, lambda whole: "".join(re.findall(r".* 0\n", whole)), "of one person and of two"),
    (PAIRS, repeated(4), r"expected every pair once, got \d+ and \d+ again \(1 such"),
    (PAIRS, turned, "expected every pair once"),
    (PAIRS, lambda whole: whole[:-1], "line end after the last line"),
    (PAIRS, lambda whole: whole + "7" * 10, "line end after the last line"),
    (G1, lambda whole: "", "it is empty"),
    (G1, line(1, "A,B,C\n"), f"{G1}, line 1: expected a CSV with the columns TEMPLATE_ID"),
    (G1, lambda whole: whole.splitlines(keepends=True)[0], "expected rows below the header"),
    (G1, line(2, "99999,1,x\n"), f"{G1}, line 2: expected templates that have faces"),
    (G1, line(2, "x,1,x\n"), f"{G1}, line 2: expected a template as a whole number"),
    (G1, lambda whole: whole + whole.splitlines()[1].split(",")[0] + ",x,y\n", "one subject of"),
]


@pytest.mark.parametrize(("name", "edit", "message"), WRONG, ids=range(len(WRONG)))
def test_files_that_do_not_fit_are_refused_by_line(
    name: str, edit: Edit, message: str, small: SmallIjb, tmp_path: Path
) -> None:
    path = small.write(tmp_path) / "meta" / name
    path.write_text(edit(path.read_text()))
    if not message:
        read_ijb(tmp_path)
        return
    with pytest.raises(InputError, match=message) as error:
        read_ijb(tmp_path)
    assert "; " in str(error.value) or str(error.value).endswith("?")


def test_files_that_were_mixed_up_are_refused(small: SmallIjb, tmp_path: Path) -> None:
    files = small.files()
    for one, other in ((FACES, PAIRS), (FACES, POINTS), (G1, PROBES), (PAIRS, G1), (G1, FACES)):
        folder = tmp_path / f"{one}-{other}"
        small.write(folder)
        (folder / "meta" / one).write_text(files[other])
        (folder / "meta" / other).write_text(files[one])
        with pytest.raises(InputError):
            read_ijb(folder)


def test_subjects_that_contradict_each_other_are_refused(small: SmallIjb, tmp_path: Path) -> None:
    folder = small.write(tmp_path) / "meta"
    path, files = folder / G2, small.files()
    path.write_text(files[G1])  # copies say the same
    assert read_ijb(folder).subjects_by == BY_PAIRS  # those of the other gallery are not named
    path.write_text(re.sub(r"(?m)^(\d+),\d+,", r"\1,7,", files[G1]))
    with pytest.raises(InputError, match="one template of each subject in a gallery, but '7' has"):
        read_ijb(folder)
    path.write_text(re.sub(r"(?m)^(\d+),\d+,", r"\1,1\1,", files[G1]))
    with pytest.raises(InputError, match="another file names"):
        read_ijb(folder)
    path.write_text(files[G2])
    (folder / PROBES).write_text(files[G2])
    with pytest.raises(InputError, match=r"expected other templates in .*G2"):
        read_ijb(folder)


def test_pairs_that_contradict_each_other_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x_face_tid_mid.txt").write_text("".join(f"{i}.jpg {i} 1\n" for i in range(1, 6)))
    pairs = tmp_path / "x_template_pair_label.txt"
    pairs.write_text("1 2 1\n2 3 1\n4 5 0\n3 1 0\n")
    with pytest.raises(InputError, match=r"line 4: .* got 0 for 3 and 1, which .* of one person"):
        read_ijb(tmp_path)
    pairs.write_text("1 1 1\n")
    with pytest.raises(InputError, match="line 1: expected two templates, got 1 with itself"):
        read_ijb(tmp_path)
    pairs.write_text("1 2 1\n2 3 1\n4 5 0\n")
    (tmp_path / "x_1N_gallery_A.csv").write_text("template_id,subject_id\n1,a\n3,b\n")
    with pytest.raises(InputError, match=r"x_1N_probe_mixed.csv is missing beside 'x_1N_gallery_A"):
        read_ijb(tmp_path)
    (tmp_path / "x_1N_probe_mixed.csv").write_text("template_id,subject_id\n4,a\n")
    with pytest.raises(InputError, match="they join templates of several subjects"):
        read_ijb(tmp_path)


def test_folders_of_something_else_are_refused(small: SmallIjb, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"there is no ..._face_tid_mid.txt in it"):
        read_ijb(tmp_path)
    with pytest.raises(InputError, match="there is no"):
        read_ijb(tmp_path / "none")
    small.write(tmp_path, "ijbb")
    small.write(tmp_path, "ijbc")
    with pytest.raises(InputError, match=r"the metadata of one set .* 'ijbb', 'ijbc'"):
        read_ijb(tmp_path)


def test_large_numbers_of_templates_are_looked_up_too(tmp_path: Path) -> None:
    (tmp_path / "x_face_tid_mid.txt").write_text("1.jpg 1 1\n2.jpg 2 1\n3.jpg 999999999 1\n")
    pairs = tmp_path / "x_template_pair_label.txt"
    pairs.write_text("1 2 1\n2 999999999 0\n")
    assert read_ijb(tmp_path).pairs.second.tolist() == [1, 2]
    pairs.write_text("1 2 1\n2 999999998 0\n")
    with pytest.raises(InputError, match="line 2: expected templates that have faces, but 9999999"):
        read_ijb(tmp_path)


NUMBERS = st.lists(st.tuples(*[st.integers(0, 10**9 - 1)] * 3), min_size=1)


@given(rows=NUMBERS, end=st.sampled_from(["\n", "\r\n"]), size=st.integers(40, 400))
def test_whole_numbers_survive(rows: list[tuple[int, ...]], end: str, size: int) -> None:
    text = "".join(f"{a} {b}\t{c}{end}" for a, b, c in rows)
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        patch.setattr(_whole_numbers, "CHUNK", size)
        path = Path(folder, "n.txt")
        path.write_text(text, newline="")
        columns = read_whole_numbers(path, 3, "numbers")
    assert list(zip(*(column.tolist() for column in columns), strict=True)) == rows


def test_a_line_without_end_does_not_fill_the_memory(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(_whole_numbers, "CHUNK", 64)
    (tmp_path / "n.txt").write_bytes(b"1" * 10_000)
    with pytest.raises(InputError, match="expected lines of a few numbers, got one of more than"):
        read_whole_numbers(tmp_path / "n.txt", 3, "numbers")


@pytest.mark.parametrize("name", [FACES, POINTS, PAIRS, G1, PROBES])
def test_damaged_files_are_refused_or_read_whole(name: str, tmp_path: Path) -> None:
    drawn = small_ijb(4)
    path = drawn.write(tmp_path) / "meta" / name

    def sound(read: Ijb) -> bool:
        faces, templates = len(read.faces), len(read.templates)
        return (
            faces == len(read.faces.templates) == len(set(read.faces.names.tolist()))
            and (read.faces.scores is None or np.isfinite(read.faces.scores).all())
            and 0 <= read.pairs.first.min() <= read.pairs.second.max() < templates
            and bool(
                (
                    (read.subjects[read.pairs.first] == read.subjects[read.pairs.second])
                    == read.pairs.mated
                ).all()
            )
            and len(read.subjects) == templates
        )

    for _, raw in damaged(path.read_bytes()):
        path.write_bytes(raw)
        refused(lambda: read_ijb(tmp_path), sound)
