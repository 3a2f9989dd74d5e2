import dataclasses
import io
import os
import signal
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pytest

from recognition.comparisons import checkpoint
from recognition.comparisons.all_pairs import _tally
from recognition.comparisons.product import Candidates, Product, guard
from recognition.comparisons.walk import Plan
from recognition.comparisons.work import KINDS
from recognition.errors import InputError

PEOPLE = 100


def faces():
    random = np.random.default_rng(0)
    labels = np.repeat(np.arange(PEOPLE), 10)
    rows = random.normal(size=(PEOPLE, 8))[labels] + random.normal(size=(len(labels), 8))
    return rows.astype(np.float32), labels


class StoppedError(Exception):
    """Somebody stopped the work."""


def tally(path, *, stop_at=None, size=64, curve=20, tail_fmr=1e-3, rows=None, labels=None):
    """Saved after every row of blocks, and stopped after `stop_at` of them by progress."""
    told = []

    def progress(done, note=""):
        told.append(done)
        if len(told) == stop_at:
            raise StoppedError

    def choose(rows):
        def multiply(across, down, out):
            np.matmul(rows[across], rows[down].T, out=out)

        return Candidates(size, (Product("test", guard(rows.shape[1]), False, multiply),))

    plan = Plan(
        candidates=choose,
        least_tail=1,
        sample=2**16,
        seconds=0,
        pause=0,
    )
    given, people = faces()
    rows, labels = (given if rows is None else rows), (people if labels is None else labels)
    return _tally(rows, labels, tail_fmr, curve, path, progress, plan), told


def stopped(path, stop_at=5, **options):
    with pytest.raises(StoppedError):
        tally(path, stop_at=stop_at, **options)
    return path


def same(one, two):
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))


@pytest.fixture
def path(tmp_path):
    return tmp_path / "work"


def test_work_goes_on_where_it_stopped(path):
    whole, steps = tally(None)
    stopped(path)
    done, rest = tally(path, size=100)
    assert rest[0] > steps[4]  # what was done is not done again
    same(done, whole)
    assert list(path.parent.iterdir()) == []


def test_work_goes_on_however_often_it_stops(path):
    for _ in range(5):
        stopped(path, 2, size=90)
    assert path.stat().st_mode & 0o777 == 0o600
    done, rest = tally(path, size=90)
    assert len(rest) == 12 - 5 * 2
    same(done, tally(None)[0])


def test_a_floor_above_countless_ties_is_not_lowered_after_a_stop(path, monkeypatch):
    rows, labels = faces()
    rows[::20] = rows[0]  # 50 pictures of 50 people alike: more pairs than may be held
    monkeypatch.setattr("recognition.comparisons.work.SLACK", 0)
    options = {"rows": rows, "labels": labels}
    whole, steps = tally(None, **options)
    assert len(whole.tail) == 0
    assert 1 < whole.floor < 1.000001
    stopped(path, 14, **options)
    done, rest = tally(path, **options)
    assert len(rest) == len(steps) - 14
    same(done, whole)


KILLED = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {folder!r})
from test_checkpoint import tally
from recognition.comparisons import checkpoint
save, count = checkpoint.save, [0]
def saved(*arguments):
    save(*arguments)
    count[0] += 1
    if count[0] == 6:
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.save = saved
tally(Path(sys.argv[1]))
"""


@pytest.mark.skipif(os.name != "posix", reason="needs SIGKILL")
def test_work_goes_on_after_a_kill(path):
    code = KILLED.format(folder=str(Path(__file__).parent))
    done = subprocess.run([sys.executable, "-c", code, str(path)], capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert path.is_file()
    done, rest = tally(path)
    whole, steps = tally(None)
    assert len(rest) == len(steps) - 6
    same(done, whole)


def test_a_kill_while_saving_leaves_the_last_checkpoint(path, monkeypatch):
    stopped(path)
    before = path.read_bytes()

    def cut_short(file, array, **options):
        file.write(before[:100])
        raise StoppedError

    monkeypatch.setattr("recognition.whole_files.npy.write_array", cut_short)
    stopped(path)
    assert path.read_bytes() == before
    monkeypatch.undo()
    same(tally(path)[0], tally(None)[0])
    assert list(path.parent.iterdir()) == []


def test_work_of_other_data_or_options_is_refused(path):
    rows, labels = faces()
    stopped(path)
    before = path.read_bytes()
    changed = rows.copy()
    changed[7, 3] += 1e-3
    for change in (
        {"rows": changed},
        {"rows": rows.astype(np.float64)},
        {"rows": rows[:-1], "labels": labels[:-1]},
        {"labels": np.roll(labels, 1)},
        {"tail_fmr": 2e-3},
        {"curve": 10},
    ):
        with pytest.raises(InputError, match="belongs to others"):
            tally(path, **change)
    assert path.read_bytes() == before
    tally(path, rows=np.asfortranarray(rows), labels=labels.astype(str))  # the same data


def rewritten(path, compression=zipfile.ZIP_STORED, **changes):
    """The checkpoint with some of its members replaced, dropped or added."""
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    for name, value in changes.items():
        if value is None:
            del members[f"{name}.npy"]
            continue
        if not isinstance(value, bytes):
            file = io.BytesIO()
            np.save(file, value, allow_pickle=True)
            value = file.getvalue()
        members[f"{name}.npy"] = value
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, value in members.items():
            archive.writestr(name, value)


def header(text):
    text = text.ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


HUGE = "{'descr': '<f4', 'fortran_order': False, 'shape': (1000000000000,), }"
OBJECTS = np.array([{"a": 1}], dtype=object)


@pytest.mark.parametrize(
    "change",
    [
        {"compression": zipfile.ZIP_DEFLATED},
        {"scores": header(HUGE) + b"1234"},
        {"scores": OBJECTS},
        {"scores": b"nothing"},
        {"scores": None},
        {"more": np.zeros(3)},
        {"row": np.array(1.5)},
        {"row": np.array([1])},
        {"row": np.array(-1)},
        {"row": np.array(10**9)},
        {"first": np.array([], np.int32)},
        {"counts": np.array([1])},
        {"spread": np.array([1.0])},
        {"mark": np.array("elsewhere")},
    ],
    ids=str,
)
def test_an_altered_checkpoint_is_refused(path, change):
    rewritten(stopped(path), **change)
    with pytest.raises(InputError, match=r"(begin|name) an(ew|other)"):
        tally(path)


def test_pairs_outside_the_data_are_refused(path):
    stopped(path)
    with np.load(path) as found:
        second = found["second"].copy()
    second[0] = 10**6
    rewritten(path, second=second)
    with pytest.raises(InputError, match="do not fit together"):
        tally(path)


@pytest.mark.parametrize("keep", [0, 1, 100, 0.5, 0.999])
def test_a_checkpoint_cut_short_is_refused(path, keep):
    whole = stopped(path).read_bytes()
    path.write_bytes(whole[: int(keep * len(whole)) if isinstance(keep, float) else keep])
    with pytest.raises(InputError, match="cannot be read"):
        tally(path)


def test_a_checkpoint_with_a_flipped_bit_is_refused(path):
    whole = bytearray(stopped(path).read_bytes())
    at = whole.index(b"scores.npy") + 400  # within the scores
    whole[at] ^= 1
    path.write_bytes(whole)
    with pytest.raises(InputError, match="cannot be read"):
        tally(path)


def test_a_place_that_cannot_be_written_is_refused_before_work_begins(tmp_path):
    for place in (tmp_path / "none" / "work", tmp_path):
        with pytest.raises(InputError, match="make the folder first"):
            tally(place, stop_at=1)


def test_no_type_that_could_hold_code_is_read():
    assert {np.dtype(dtype).kind for dtype, _ in KINDS.values()} <= set("bif")


def test_a_fingerprint_depends_on_all_it_is_made_from():
    data = {"a": np.arange(10_000).reshape(5000, 2), "b": np.arange(4)}
    marks = {checkpoint.fingerprint(data, "x"), checkpoint.fingerprint(data, "y")}
    for change in (
        {"a": data["a"].reshape(2, 5000)},
        {"a": data["a"].astype(">i8")},
        {"a": data["a"][::-1]},
        {"b": np.arange(5)},
    ):
        marks.add(checkpoint.fingerprint({**data, **change}, "x"))
    assert len(marks) == 6
    assert checkpoint.fingerprint({"a": data["a"][::2]}, "") == checkpoint.fingerprint(
        {"a": data["a"][::2].copy()}, ""
    )
