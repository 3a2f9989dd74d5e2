"""`recognition embed` as processes: stopped, without room on the disk, and two at once."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from face_fakes import save_photo

from recognition import read_faces

pytestmark = pytest.mark.skipif(os.name != "posix", reason="needs signals and limits")

CODE = """
import resource, sys, time
sys.path.insert(0, sys.argv.pop(1))
room = int(sys.argv.pop(1))
if room:
    resource.setrlimit(resource.RLIMIT_FSIZE, (room, room))
from types import SimpleNamespace
from face_fakes import FakeDetector, FakeEmbedder
class Slow(FakeDetector):
    def detect(self, pictures):
        time.sleep(0.05)
        print("x", file=sys.stderr, flush=True)
        return super().detect(pictures)
fakes = SimpleNamespace(
    load_embedder=lambda model, device: FakeEmbedder(), Mtcnn=lambda device: Slow()
)
sys.modules["recognition.faces.models.loading"] = fakes
sys.modules["recognition.faces.mtcnn"] = fakes
from recognition.cli import main
main()
"""


def command(*, room: int = 0) -> list[str]:
    tests = str(Path(__file__).parents[2])
    return [sys.executable, "-c", CODE, tests, str(room), "embed", "people", "--json"]


def begun(photographs: int) -> subprocess.Popen:
    """A process that has begun with so many photographs."""
    child = subprocess.Popen(command(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    for _ in range(photographs):
        child.stderr.readline()
    return child


@pytest.fixture
def people(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for number in range(40):
        save_photo(tmp_path / f"people/ann/{number}.png", 0.99, 0.98, shade=number)
    return tmp_path / "people"


def test_stopped_by_either_signal_it_leaves_parts_and_goes_on(people):
    for stop in (signal.SIGINT, signal.SIGTERM):
        with begun(20) as child:
            child.send_signal(stop)
            _, said = child.communicate(timeout=30)
        assert child.returncode == 130
        assert "the same command goes on" in said
        assert "Traceback" not in said
        assert list(Path("faces.npz.parts").iterdir())
        assert not Path("faces.npz").exists()
    done = subprocess.run(command(), capture_output=True, text=True, check=True)
    said = json.loads(done.stdout)
    assert said["reused"] > 10
    assert (said["photographs"], said["faces"]) == (40, 80)
    assert not Path("faces.npz.parts").exists()


def test_where_another_process_writes_it_says_so_and_does_nothing(people):
    with begun(1) as first:
        second = subprocess.run(command(), capture_output=True, text=True, check=False)
        _, said = first.communicate(timeout=60)
    assert (first.returncode, second.returncode) == (0, 2), said
    assert "another process is at it" in second.stderr
    assert "Traceback" not in second.stderr
    assert len(read_faces("faces.npz")) == 80


def test_a_full_disk_is_a_sentence_and_what_was_there_stays(people):
    subprocess.run(command(), capture_output=True, check=True)
    before = Path("faces.npz").read_bytes()
    save_photo(people / "bob/1.png", 0.99, shade=200)
    full = subprocess.run(command(room=4096), capture_output=True, text=True, check=False)
    assert full.returncode == 2, full.stderr
    assert "File too large; make room" in full.stderr
    assert "Traceback" not in full.stderr
    assert Path("faces.npz").read_bytes() == before
    left = {path.name for path in Path.cwd().rglob("*") if path.suffix in (".part", ".npz")}
    assert left == {"faces.npz"}
