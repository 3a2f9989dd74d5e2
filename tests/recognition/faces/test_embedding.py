"""From folders to a file of faces: what is in it, what is done again, and what a stop costs."""

import csv
import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
from face_fakes import FakeDetector, FakeEmbedder, save_photo

from recognition import InputError, embed_folder, read_embeddings, read_faces
from recognition.faces import embedding, finished_photos
from recognition.faces.embedding import Embedded
from recognition.faces.face_file import FaceFile


def run(folder: Path, out: Path, **options) -> Embedded:
    options = {"model": FakeEmbedder(), "detector": FakeDetector(), **options}
    return embed_folder(folder, out, **options)


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    save_photo(folder / "ann/1.png", 0.99, shade=10)
    save_photo(folder / "ann/2.png", 0.99, 0.98, 0.8, shade=40)
    save_photo(folder / "bob/1.png", 1.0, shade=80)
    save_photo(folder / "bob/2.png", 0.5, 0.99, shade=120)
    save_photo(folder / "bob/none.png", shade=160)
    save_photo(folder / "cid/doubtful.png", 0.7, shade=200)
    (folder / "cid/text.jpg").write_text("hello")
    (folder / "cid/notes.txt").write_text("hello")
    return folder


@pytest.fixture
def out(tmp_path: Path) -> Path:
    return tmp_path / "faces.npz"


def same(one: FaceFile, other: FaceFile) -> None:
    for name, values in one._arrays():
        np.testing.assert_array_equal(dict(other._arrays())[name], values, err_msg=name)


# -- what is written -------------------------------------------------------------------------------


def test_every_certain_face_is_a_row_with_its_photograph_and_place(photos, out):
    done = run(photos, out)
    faces = read_faces(out)
    same(faces, done.faces)
    assert faces.ids.tolist() == [
        "ann/1.png#0",
        "ann/2.png#0",
        "ann/2.png#1",
        "bob/1.png#0",
        "bob/2.png#1",
    ]
    assert faces.photos.tolist() == [name.partition("#")[0] for name in faces.ids.tolist()]
    assert faces.embeddings.shape == (5, 27)
    assert faces.embeddings.dtype == np.float32
    assert (faces.scores >= 0.95).all()
    assert faces.boxes[1].tolist() == [10, 10, 50, 50]
    assert faces.boxes[2].tolist() == [54, 10, 90, 46]
    assert faces.landmarks.shape == (5, 5, 2)
    assert faces.labels is None
    assert faces.contract == FakeEmbedder().contract
    assert faces.contract.versions == {"numpy": "2"}
    assert [(each.photo, each.place, each.face.score) for each in faces.doubtful] == [
        ("ann/2.png", 2, 0.8),
        ("bob/2.png", 0, 0.5),
        ("cid/doubtful.png", 0, 0.7),
    ]
    assert faces.others == ()
    assert faces.photographs[:, 0].tolist() == [
        "ann/1.png",
        "ann/2.png",
        "bob/1.png",
        "bob/2.png",
        "bob/none.png",
        "cid/doubtful.png",
    ]
    assert done.passed_over == 1
    assert done.count == 5


def test_the_embedding_is_that_of_its_own_face(photos, out):
    run(photos, out)
    faces = read_faces(out)
    assert len({row.tobytes() for row in faces.embeddings}) == len(faces)
    for row in (0, 3):
        alone = run(photos / faces.photos[row], out.with_name(f"{row}.npz"))
        np.testing.assert_array_equal(alone.faces.embeddings[0], faces.embeddings[row])


def test_what_cannot_be_used_is_listed_with_its_reason(photos, out):
    done = run(photos, out)
    with (out.parent / "faces.skipped.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["path"] for row in rows] == [skip.path for skip in done.skipped]
    reasons = {row["path"]: row["reason"] for row in rows}
    assert reasons["cid/text.jpg"] == "text; give a photograph"
    assert "bob/none.png" in reasons


def test_a_spreadsheet_takes_no_name_for_a_formula(photos, out):
    (photos / "=1+1.jpg").write_text("hello")
    run(photos, out)
    assert "\n'=1+1.jpg," in out.with_name("faces.skipped.csv").read_text().replace("\r", "")


def test_only_the_owner_may_read_it(photos, out):
    run(photos, out)
    assert out.stat().st_mode & 0o777 == 0o600
    assert out.with_name("faces.skipped.csv").stat().st_mode & 0o777 == 0o600


def test_nothing_else_is_left_behind(photos, out):
    run(photos, out)
    left = {path.name for path in out.parent.iterdir()} - {".faces.npz.lock"}
    assert left == {"photos", "faces.npz", "faces.skipped.csv"}


def test_the_same_photographs_make_the_same_bytes(photos, out, tmp_path):
    run(photos, out)
    run(photos, tmp_path / "again.npz")
    with zipfile.ZipFile(out) as archive:
        assert {member.date_time[0] for member in archive.infolist()} == {1980}
    assert out.read_bytes() == (tmp_path / "again.npz").read_bytes()


def test_all_that_is_detected_is_embedded_if_asked_for(photos, out):
    assert run(photos, out, min_score=0).faces.doubtful == ()
    assert len(read_faces(out)) == 8


# -- labels ----------------------------------------------------------------------------------------


def test_the_largest_certain_face_is_the_person_its_folder_names(photos, out):
    done = run(photos, out, labelled=True)
    faces = read_faces(out)
    assert faces.labels is not None
    assert faces.ids.tolist() == faces.photographs[:, 0].tolist()
    assert faces.labels.tolist() == ["ann", "ann", "bob", "bob", "bob", "cid"]
    assert faces.places.tolist() == [0, 0, 0, 1, -1, -1]
    assert [(each.photo, each.place) for each in faces.others] == [("ann/2.png", 1)]
    assert len(faces.doubtful) == 3
    assert done.count == 4


def test_a_photograph_without_a_face_counts_as_a_failure(photos, out):
    run(photos, out, labelled=True)
    table = read_embeddings(out)
    assert table.labels.tolist() == ["ann", "ann", "bob", "bob"]
    assert [(failure.id, failure.label) for failure in table.failures] == [
        ("bob/none.png", "bob"),
        ("cid/doubtful.png", "cid"),
    ]
    assert set(table.columns) == {"photos", "digests", "places", "scores"}


def test_a_photograph_in_nobodys_folder_is_skipped(photos, out):
    save_photo(photos / "stray.png", 1.0)
    skips = dict(run(photos, out, labelled=True).skipped)
    assert skips["stray.png"] == embedding.NOBODYS
    with pytest.raises(InputError, match="nobody's folder"):
        run(photos / "ann", out.with_name("other.npz"), labelled=True)


NAMES = [
    "line\nbreak",
    "é",
    "e\u0301",
    "=1+1",
    "\u202eabc",
    "x" * 255,
    "CON",
    "a'b\"c",
    "<b>",
    "１２",
]


@pytest.mark.parametrize("labelled", [False, True])
def test_people_and_photographs_may_have_any_name(tmp_path, out, labelled):
    for number, name in enumerate(NAMES):
        save_photo(tmp_path / "p" / name / f"{name[:200]}.png", 0.99, shade=20 * number)
    done = run(tmp_path / "p", out, labelled=labelled)
    same(read_faces(out), done.faces)
    assert done.skipped == ()
    assert len(done.faces) == len(NAMES)
    if labelled:
        table = read_embeddings(out)
        assert sorted(table.labels.tolist()) == sorted(NAMES)
    assert again(tmp_path / "p", out, labelled=labelled)[1] == 0


def test_a_person_must_have_a_name(photos, out):
    save_photo(photos / " /1.png", 0.99, shade=3)
    skips = dict(run(photos, out, labelled=True).skipped)
    assert skips[" /1.png"] == embedding.NAMELESS
    assert read_faces(out).labels is not None


def test_a_face_at_the_threshold_is_certain(tmp_path, out):
    save_photo(tmp_path / "p/ann/1.png", 0.99, 0.95)
    faces = run(tmp_path / "p", out, labelled=True).faces
    assert [each.place for each in faces.others] == [1]
    assert faces.doubtful == ()


class HalfBlind(FakeEmbedder):
    """Has no embedding for the second face of any photograph."""

    def embed(self, crops):
        rows = super().embed(crops)
        rows[crops[:, 60, 56, 1] == 15] = np.nan
        return rows


def test_a_certain_face_that_cannot_be_embedded_is_told_and_kept_in_mind(photos, out):
    done = run(photos, out, model=HalfBlind())
    before = out.read_bytes()
    assert [(each.photo, each.place, each.failure) for each in done.faces.failed] == [
        ("ann/2.png", 1, "its embedding is not finite"),
        ("bob/2.png", 1, "its embedding is not finite"),
    ]
    assert done.faces.others == ()
    assert again(photos, out, model=HalfBlind())[1] == 0
    assert out.read_bytes() == before


def test_every_part_is_used_whatever_their_numbers(photos, out):
    faces = run(photos, out).faces
    outcomes = list(faces.outcomes().values())
    kept = finished_photos.Parts(out, faces.contract, faces.settings)
    for outcome in outcomes[:3]:
        with kept:
            kept.keep(outcome)
    (kept.folder / "000001.npz").unlink()
    with kept:
        kept.keep(outcomes[3])
    assert [path.name for path in sorted(kept.folder.iterdir())] == [
        "000002.npz",
        "000003.npz",
        "000004.npz",
    ]
    assert list(kept.read()) == [outcome.digest for outcome in outcomes[1:4]]


# -- again -----------------------------------------------------------------------------------------


def again(photos: Path, out: Path, **options) -> tuple[Embedded, int]:
    """A second run, and how many photographs the detector was shown."""
    detector = FakeDetector()
    return run(photos, out, detector=detector, **options), detector.seen


@pytest.mark.parametrize("labelled", [False, True])
def test_what_is_unchanged_is_not_embedded_again(photos, out, labelled):
    first = run(photos, out, labelled=labelled)
    before = out.read_bytes()
    done, seen = again(photos, out, labelled=labelled)
    assert seen == 0
    assert (done.reused, done.fresh) == (6, 0)
    assert first.skipped == done.skipped
    assert out.read_bytes() == before


def test_touched_copied_and_restored_folders_are_unchanged(photos, out, tmp_path):
    run(photos, out)
    before = out.read_bytes()
    for path in photos.rglob("*.png"):
        os.utime(path, (1, 1))
    assert again(photos, out)[1] == 0
    shutil.copytree(photos, tmp_path / "copy")
    assert again(tmp_path / "copy", out)[1] == 0
    shutil.rmtree(photos)
    shutil.copytree(tmp_path / "copy", photos)
    assert again(photos, out)[1] == 0
    assert out.read_bytes() == before


def test_a_renamed_photograph_keeps_its_embedding(photos, out):
    first = run(photos, out)
    (photos / "ann/2.png").rename(photos / "bob/Ünï\n=code.png")
    done, seen = again(photos, out)
    assert seen == 0
    assert done.removed == ()
    assert "bob/Ünï\n=code.png#1" in done.faces.ids.tolist()
    old = first.faces.embeddings[first.faces.ids == "ann/2.png#1"]
    new = done.faces.embeddings[done.faces.ids == "bob/Ünï\n=code.png#1"]
    np.testing.assert_array_equal(old, new)


def test_two_names_of_the_same_bytes_are_two_photographs(photos, out):
    run(photos, out)
    shutil.copy(photos / "ann/1.png", photos / "ann/3.png")
    done, seen = again(photos, out)
    assert seen == 0
    assert {"ann/1.png#0", "ann/3.png#0"} <= set(done.faces.ids.tolist())


def test_removed_photographs_disappear_and_are_told(photos, out):
    run(photos, out)
    (photos / "ann/1.png").unlink()
    done, seen = again(photos, out)
    assert seen == 0
    assert done.removed == ("ann/1.png",)
    assert "ann/1.png#0" not in read_faces(out).ids.tolist()


def test_changed_photographs_are_embedded_anew(photos, out):
    first = run(photos, out)
    save_photo(photos / "ann/1.png", 0.99, 0.97, shade=250)
    done, seen = again(photos, out)
    assert seen == 1
    assert (done.fresh, done.reused) == (1, 5)
    assert "ann/1.png#1" in done.faces.ids.tolist()
    assert (done.faces.embeddings[0] != first.faces.embeddings[0]).any()
    same(done.faces, run(photos, out.with_name("anew.npz")).faces)


OTHERS = {
    "model": ({"model": FakeEmbedder("other")}, r"by fake \(.*asked for is faces by other \("),
    "preprocessing": ({"model": FakeEmbedder(mean=0)}, r"mean 127.5.*mean 0"),
    "detector": ({"detector": FakeDetector("another 2")}, "fake detector 1.*another 2"),
    "min_score": ({"min_score": 0.5}, "0.95 or more.*0.5 or more"),
    "labelled": ({"labelled": True}, "a row for each face.*a row for each photograph, labelled"),
}


@pytest.mark.parametrize("kind", OTHERS)
def test_two_contracts_or_settings_are_not_mixed(kind, photos, out):
    options, words = OTHERS[kind]
    run(photos, out)
    before = out.read_bytes()
    with pytest.raises(InputError, match=words) as refused:
        run(photos, out, **options)
    assert "--fresh" in str(refused.value)
    assert out.read_bytes() == before
    run(photos, out, **options, fresh=True)
    assert out.read_bytes() != before


# -- stopped ---------------------------------------------------------------------------------------


class StoppingDetector(FakeDetector):
    """Somebody presses Ctrl-C when most photographs are done, and their batches are full."""

    def detect(self, pictures):
        if self.seen >= 50:
            raise KeyboardInterrupt
        return super().detect(pictures)


@pytest.fixture
def many(tmp_path: Path) -> Path:
    for number in range(60):
        save_photo(tmp_path / f"many/p{number % 7}/{number}.png", 0.99, 0.97, 0.6, shade=4 * number)
    return tmp_path / "many"


def stop(many: Path, out: Path, **options) -> None:
    with pytest.raises(KeyboardInterrupt):
        run(many, out, detector=StoppingDetector(), **options)


@pytest.mark.parametrize("labelled", [False, True])
def test_after_ctrl_c_it_goes_on_where_it_was(many, out, labelled):
    stop(many, out, labelled=labelled)
    assert not out.exists()
    assert out.with_name("faces.npz.parts").stat().st_mode & 0o777 == 0o700
    done, seen = again(many, out, labelled=labelled)
    assert 10 <= seen <= 40
    assert done.reused + seen == 60
    assert not out.with_name("faces.npz.parts").exists()
    run(many, out.with_name("anew.npz"), labelled=labelled)
    assert out.read_bytes() == out.with_name("anew.npz").read_bytes()


def test_a_stopped_change_of_a_file_leaves_the_file_as_it_was(many, photos, out):
    run(photos, out)
    before = out.read_bytes()
    shutil.copytree(many, photos / "more")
    stop(photos, out)
    assert out.read_bytes() == before
    done, seen = again(photos, out)
    assert 10 <= seen <= 40
    assert len(done.faces) == 5 + 120


def test_a_damaged_part_is_not_used(many, out):
    stop(many, out)
    (part,) = out.with_name("faces.npz.parts").iterdir()
    raw = bytearray(part.read_bytes())
    raw[200] ^= 1
    part.write_bytes(raw)
    done, seen = again(many, out)
    assert seen == 60
    same(done.faces, run(many, out.with_name("anew.npz")).faces)


def test_parts_of_another_model_are_refused(many, out):
    stop(many, out)
    with pytest.raises(InputError, match=r"parts holds faces by fake .*other"):
        run(many, out, model=FakeEmbedder("other"))
    assert again(many, out, model=FakeEmbedder("other"), fresh=True)[1] == 60


def test_only_parts_are_removed(photos, out):
    folder = out.with_name("faces.npz.parts")
    folder.mkdir()
    (folder / "mine.txt").write_text("keep")
    run(photos, out)
    assert [path.name for path in folder.iterdir()] == ["mine.txt"]


KILLED = """
import sys, time
from pathlib import Path
sys.path.insert(0, {tests!r})
from face_fakes import FakeDetector, FakeEmbedder
from recognition import embed_folder
from recognition.faces import finished_photos
finished_photos.SECONDS = 0
class Slow(FakeDetector):
    def detect(self, photos):
        for _ in photos:
            with open(sys.argv[3], "a") as log:
                log.write("x")
            time.sleep(0.01)
        return super().detect(photos)
print("begun", flush=True)
embed_folder(sys.argv[1], sys.argv[2], model=FakeEmbedder(), detector=Slow())
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_a_kill_at_any_moment_costs_only_what_was_in_flight(many, tmp_path):
    photos, out, log = many, tmp_path / "faces.npz", tmp_path / "log"
    code = KILLED.format(tests=str(Path(__file__).parents[2]))
    command = [sys.executable, "-c", code, str(photos), str(out), str(log)]
    random = np.random.default_rng(int(os.environ.get("FACES_SEED", "0")))
    kills = 0
    for _ in range(6):
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
            assert child.stdout is not None
            child.stdout.readline()
            time.sleep(random.uniform(0.1, 0.45))
            child.send_signal(signal.SIGKILL)
        kills += child.returncode == -signal.SIGKILL
        if out.exists():
            read_faces(out)
    assert kills
    subprocess.run(command, check=True, capture_output=True)
    whole = run(photos, tmp_path / "whole.npz")
    assert out.read_bytes() == (tmp_path / "whole.npz").read_bytes()
    assert len(whole.faces) == 120
    done_again = len(log.read_text()) - 60
    assert done_again <= 24 * kills, "two batches of 8 photographs, and those looked at ahead"
    assert not (tmp_path / "faces.npz.parts").exists()


def test_a_full_disk_leaves_the_file_as_it_was(photos, out, monkeypatch):
    run(photos, out)
    before = out.read_bytes()
    save_photo(photos / "ann/9.png", 0.99, shade=7)

    def full(*arguments, **options):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("recognition.whole_files.npy.write_array", full)
    with pytest.raises(OSError, match="No space"):
        run(photos, out)
    assert out.read_bytes() == before
    assert not list(out.parent.glob("*.part"))


def test_finished_photographs_are_kept_every_few_seconds(photos, out, monkeypatch):
    monkeypatch.setattr(finished_photos, "SECONDS", 0)
    kept = []
    monkeypatch.setattr(
        finished_photos.Parts, "_flush", lambda self: kept.append(len(self._waiting))
    )
    run(photos, out)
    assert kept[:3] == [1, 2, 3]


# -- refused ---------------------------------------------------------------------------------------


def test_one_process_at_a_time(photos, out):
    with embedding.alone(out), pytest.raises(InputError, match="another process"):
        run(photos, out)
    run(photos, out)


def test_nothing_is_written_where_no_face_is(photos, out):
    for name in ("ann", "bob"):
        shutil.rmtree(photos / name)
    with pytest.raises(InputError, match="expected photographs with faces, but"):
        run(photos, out)
    (photos / "cid/doubtful.png").unlink()
    with pytest.raises(InputError, match="text; give a photograph"):
        run(photos, out)
    (photos / "cid/text.jpg").unlink()
    with pytest.raises(InputError, match=r"got 1 other file; name photographs"):
        run(photos, out)
    assert {path.name for path in out.parent.iterdir()} <= {"photos", ".faces.npz.lock"}


@pytest.mark.parametrize(
    ("name", "words"),
    [("faces.txt", "expected a .npz"), ("no/faces.npz", "folder that can be written to")],
)
def test_a_place_that_cannot_be_written_is_refused_before_any_work(name, words, photos, tmp_path):
    detector = FakeDetector()
    with pytest.raises(InputError, match=words):
        run(photos, tmp_path / name, detector=detector)
    assert detector.seen == 0


def test_another_file_of_that_name_is_not_overwritten(photos, out):
    np.savez(out, embeddings=np.eye(3), labels=np.arange(3))
    before = out.read_bytes()
    with pytest.raises(InputError, match="faces that recognition embed wrote"):
        run(photos, out)
    assert out.read_bytes() == before


def test_a_probability_is_from_0_to_1(photos, out):
    with pytest.raises(InputError, match="min_score"):
        run(photos, out, min_score=95)


def test_a_file_that_vanishes_meanwhile_is_skipped(photos, out):
    class Vanishing(FakeDetector):
        def detect(self, pictures):
            (photos / "cid/doubtful.png").unlink(missing_ok=True)
            (photos / "bob/none.png").unlink(missing_ok=True)
            return super().detect(pictures)

    for number in range(40):
        save_photo(photos / f"ann/{number + 100}.png", 0.99, shade=number)
    skips = dict(run(photos, out, detector=Vanishing()).skipped)
    assert skips["cid/doubtful.png"].startswith("No such file")
