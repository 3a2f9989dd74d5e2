"""`detect_faces`: a folder of crops and drawings that is there whole or not at all."""

import csv
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, drawn, save_photo
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from recognition.errors import InputError
from recognition.faces import detection
from recognition.faces.alignment import crop_face, similarity, template
from recognition.faces.detection import COLUMNS, RECIPES, detect_faces
from recognition.faces.file_names import file_stem, safe_cell


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    save_photo(folder / "ann/1.png", 0.99, 0.8, shade=10)
    save_photo(folder / "bob/=1+1.png", 1.0, shade=80)
    save_photo(folder / "bob/none.png", shade=160)
    (folder / "cid.jpg").write_text("hello")
    (folder / "notes.txt").write_text("hello")
    return folder


def run(photos, out, **options):
    return detect_faces(photos, out, **{"detector": FakeDetector(), **options})


def table(out):
    with (out / "faces.csv").open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_certain_faces_are_cut_and_all_are_listed(photos, tmp_path):
    out = tmp_path / "out"
    done = run(photos, out)
    rows = table(out)
    assert [(r["photo"], r["face"], r["certain"]) for r in rows] == [
        ("ann/1.png", "0", "yes"),
        ("ann/1.png", "1", "no"),
        ("bob/=1+1.png", "0", "yes"),
    ]
    assert tuple(rows[0]) == COLUMNS
    assert not rows[1]["crop"]
    assert float(rows[0]["right"]) == 50
    assert float(rows[0]["mouth_right_y"]) == pytest.approx(10 + 0.8 * 40, abs=0.01)
    (face, _) = FakeDetector().detect([drawn(0.99, 0.8, shade=10)])[0]
    wanted = crop_face(drawn(0.99, 0.8, shade=10), face, RECIPES["112"])
    np.testing.assert_array_equal(np.asarray(Image.open(out / rows[0]["crop"])), wanted)
    assert all((out / row["drawing"]).is_file() for row in rows)
    assert len(list((out / "drawings").iterdir())) == done.photographs == 3
    assert len(list((out / "crops").iterdir())) == 2
    assert [skip.path for skip in done.skipped] == ["cid.jpg"]
    assert [tuple(skip) for skip in done.faceless] == [("bob/none.png", "no face")]
    assert done.passed_over == 1
    with (out / "skipped.csv").open(newline="") as file:
        assert [row["path"] for row in csv.DictReader(file)] == ["cid.jpg", "bob/none.png"]
    assert (out / "sheet-1.jpg").is_file()


@pytest.mark.parametrize(("size", "shape"), [("112x96", (112, 96, 3)), ("160", (160, 160, 3))])
def test_the_other_recipes_are_used(photos, tmp_path, size, shape):
    out = tmp_path / "out"
    run(photos, out, size=size)
    crops = [np.asarray(Image.open(path)) for path in (out / "crops").iterdir()]
    assert {crop.shape for crop in crops} == {shape}


def test_doubtful_faces_are_cut_where_that_is_asked(photos, tmp_path):
    run(photos, tmp_path / "out", doubtful=True)
    assert all(row["crop"] for row in table(tmp_path / "out"))
    assert [row["certain"] for row in table(tmp_path / "out")] == ["yes", "no", "yes"]
    run(photos, tmp_path / "low", min_score=0.5)
    assert [row["certain"] for row in table(tmp_path / "low")] == ["yes"] * 3


def test_many_crops_fill_several_sheets(photos, tmp_path, monkeypatch):
    monkeypatch.setattr(detection, "SHEET", 1)
    run(photos, tmp_path / "out")
    assert sorted(p.name for p in (tmp_path / "out").glob("sheet*")) == [
        "sheet-1.jpg",
        "sheet-2.jpg",
    ]


def test_a_face_that_cannot_be_cut_is_listed(photos, tmp_path):
    class Flat(FakeDetector):
        def detect(self, photos):
            found = super().detect(photos)
            for face in (face for faces in found for face in faces):
                face.landmarks[:] = 5
            return found

    done = run(photos, tmp_path / "out", detector=Flat())
    uncut = ["ann/1.png#0", "bob/=1+1.png#0"]
    assert [skip.path for skip in done.skipped] == [*uncut, "cid.jpg"]
    assert not list((tmp_path / "out/crops").iterdir())


def test_a_photograph_that_changes_meanwhile_is_skipped(photos, tmp_path):
    class Changing(FakeDetector):
        def detect(self, pixels):
            save_photo(photos / "ann/1.png", 0.99, shade=200)
            return super().detect(pixels)

    done = run(photos / "ann", tmp_path / "first")
    assert done.photographs == 1
    with pytest.raises(InputError, match="changed meanwhile"):
        run(photos / "ann", tmp_path / "out", detector=Changing())
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "options", [{"size": "113"}, {"min_score": -0.1}, {"min_score": float("nan")}]
)
def test_options_that_make_no_sense_are_refused(photos, tmp_path, options):
    with pytest.raises(InputError):
        run(photos, tmp_path / "out", **options)
    assert not (tmp_path / "out").exists()


def test_nothing_is_left_where_nothing_can_be_read(photos, tmp_path):
    with pytest.raises(InputError, match=r"cid.jpg cannot be used: "):
        run(photos / "cid.jpg", tmp_path / "out")
    (photos / "empty").mkdir()
    with pytest.raises(InputError, match="expected photographs, got nothing"):
        run(photos / "empty", tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


def test_a_folder_that_is_there_is_left_alone(photos, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine").write_text("mine")
    detector = FakeDetector()
    with pytest.raises(InputError, match="exists already"):
        run(photos, tmp_path / "out", detector=detector)
    assert detector.seen == 0
    assert (tmp_path / "out/mine").read_text() == "mine"


def test_an_interrupt_leaves_nothing(photos, tmp_path):
    class Stopped(FakeDetector):
        def detect(self, pixels):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(photos, tmp_path / "out", detector=Stopped())
    assert sorted(path.name for path in tmp_path.iterdir()) == ["photos"]


NAMES = ["../../x", "/etc/passwd", "CON", "nul.txt", "a\nb", "a\0b", "..", "", "é" * 300, "\udce9"]


@pytest.mark.parametrize("name", [*NAMES, "=cmd", "C:\\x", "-rf", ".hidden"])
def test_a_name_is_never_a_path(name):
    stem = file_stem(name)
    assert stem.isascii()
    assert stem.replace("-", "").replace("_", "").isalnum()
    assert 13 < len(stem) <= 80
    assert stem.split("-")[0].upper() not in {"", "CON", "NUL"} or "-" in stem


@given(st.lists(st.text(st.characters(), max_size=90), unique=True, max_size=8))
def test_different_names_have_different_files(names):
    assert len({file_stem(name).lower() for name in names}) == len(names)


@given(st.text())
def test_no_cell_is_a_formula_and_other_text_stays(text):
    cell = safe_cell(text)
    assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r"} or not text
    assert cell in (text, "'" + text)


def test_hostile_names_stay_in_the_folder(tmp_path):
    folder = tmp_path / "photos"
    for name in ("..png", "CON.png", "new\nline.png", "a b.png", "A B.png", "-x.png"):
        save_photo(folder / name, 0.99)
    out = tmp_path / "deep/out"
    run(folder, out)
    assert len(list((out / "crops").iterdir())) == len(list((out / "drawings").iterdir()))
    assert len(table(out)) == 5, "`..png` is hidden"
    assert sorted(p.name for p in tmp_path.iterdir()) == ["deep", "photos"]
    assert {p.name for p in out.parent.iterdir()} == {"out"}


def test_faces_of_real_photographs_lie_on_the_template(shared_data, tmp_path):
    """The fit leaves a few pixels: people differ, and turn their heads."""
    done = detect_faces(shared_data / "photos/people", tmp_path / "out")
    certain = [found.face for found in done.faces if found.certain]
    assert len(certain) == 7
    for face in certain:
        forward = similarity(face.landmarks, template(112, 112))
        laid = face.landmarks @ forward[:, :2].T + forward[:, 2]
        assert np.abs(laid - template(112, 112)).max() < 8
        assert np.abs(laid - template(112, 112)).mean() < 3
