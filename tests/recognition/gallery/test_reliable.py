"""Killed, full, read-only, raced and read meanwhile, a gallery is what it was or what it is to be."""

import os
import re
import resource
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import gallery_worker as worker
import numpy as np
import pytest
from fuzz import SOAK

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.gallery import embedded_gallery as gallery_module
from recognition.gallery import search_copy
from recognition.gallery.answers import Threshold
from recognition.gallery.embedded_gallery import EmbeddedGallery as Gallery
from recognition.gallery.records import Sample
from recognition.gallery.salvage import COPIED

KILLS, VECTORS, DIMENSION = (200, 100_000, 64) if SOAK else (6, 60, 8)
WRITERS, CHANGES = (8, 100) if SOAK else (3, 8)
ERASED = 300 if SOAK else 24
CONTRACT = Contract("test", "ab" * 32, DIMENSION, Preprocessing())
WORKER = Path(worker.__file__)
ROOT = WORKER.parents[1]


@contextmanager
def started(*words: object) -> Iterator[subprocess.Popen[str]]:
    """A worker, killed in the end."""
    paths = os.pathsep.join([str(ROOT), str(WORKER.parent)])
    process = subprocess.Popen(
        [sys.executable, str(WORKER), *map(str, words)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"},
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        assert process.stdout is not None
        process.stdout.close()


def line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline()


def state_of(gallery: Gallery) -> worker.State:
    state = {person.name: person.samples for person in gallery.people()}
    if gallery.threshold is not None:
        state["threshold"] = round(gallery.threshold.value * 1e6)
    return state


@pytest.fixture
def gallery(tmp_path: Path) -> Iterator[Gallery]:
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        yield gallery


def filled(gallery: Gallery, count: int) -> None:
    names = [f"base {number}" for number in range(count)]
    rows = np.random.default_rng(0).standard_normal((count, DIMENSION), np.float32)
    gallery.enroll_many(rows, names)


def test_whoever_is_killed_leaves_the_old_state_or_the_new_one(gallery: Gallery) -> None:
    random = np.random.default_rng(0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search_copy, "FLUSHED", 20)  # so that there is a cache from the beginning
        filled(gallery, VECTORS)
    folder, place, state = gallery.folder, 0, state_of(gallery)
    gallery.close()
    caught = 0  # kills between two changes' lines that left the change done
    for _ in range(KILLS):
        with started(folder, "chain", place) as process:
            assert line(process) == "ready\n"
            time.sleep(random.exponential(0.15))
            process.send_signal(signal.SIGKILL)
            assert process.stdout is not None
            lines = process.stdout.read().splitlines()
        steps = worker.chain(place)
        for told in lines:
            one = next(steps)
            assert told == str(one)
            state = worker.changed(state, *one)
        place += len(lines)
        with Gallery.open(folder) as again:
            found = state_of(again)
            if found != state:
                one = next(steps)
                state, place, caught = worker.changed(state, *one), place + 1, caught + 1
                assert found == state, "half a change"
            assert not again.problems, "the cache is the old one or the new one, too"
            for name in list(state)[-12:]:
                if name != "threshold":
                    (answer,) = again.identify(worker.vector(name, 0, DIMENSION), threshold=-1)
                    assert name.startswith("base") or answer.name == name
    with Gallery.open(folder) as again:
        assert len(again) == len(state) - ("threshold" in state)
        again.compact()
        listed = set(again._searched.cache.names())
        assert {path.name for path in (folder / "cache").iterdir()} == {*listed, "parts.json"}
        assert not list(folder.glob("*.part"))
    print(f"{KILLS} kills, {place} changes, {caught} of them done but not told")


def test_many_writers_end_in_the_serial_result_and_readers_see_no_half(gallery: Gallery) -> None:
    filled(gallery, 50)
    torn, looks, done = [], 0, threading.Event()

    def look() -> None:
        nonlocal looks
        random = np.random.default_rng(1)
        while not done.is_set():
            name = f"w{random.integers(WRITERS)} {2 * random.integers(CHANGES // 2)} "
            probes = [worker.vector(name + side, 0, DIMENSION) for side in ("left", "right")]
            answers = reader.identify(probes, threshold=0.999999)
            if (answers[0].name is None) != (answers[1].name is None):
                torn.append(name)
            looks += 1

    with Gallery.open(gallery.folder) as reader:
        threads = [threading.Thread(target=look) for _ in range(2)]
        for thread in threads:
            thread.start()
        with ExitStack() as stack:
            writers = [started(gallery.folder, "pairs", f"w{n}", CHANGES) for n in range(WRITERS)]
            processes = [stack.enter_context(each) for each in writers]
            codes = [process.wait(timeout=600) for process in processes]
        done.set()
        for thread in threads:
            thread.join()
        assert codes == [0] * WRITERS
        assert not torn
        assert looks > 5
    expected = {f"base {number}": 1 for number in range(50)}
    expected["everybody"] = WRITERS * len(range(0, CHANGES, 2))
    for writer in range(WRITERS):
        for at in range(0, CHANGES, 2):
            if at + 1 >= CHANGES or (at + 1) % 3 == 0:
                expected |= {f"w{writer} {at} {side}": 1 for side in ("left", "right")}
    with Gallery.open(gallery.folder) as again:
        assert state_of(again) == expected == state_of(gallery)
        probes = [worker.vector(name, 0, DIMENSION) for name in expected if name.startswith("w")]
        names = [name for name in expected if name.startswith("w")]
        for one in (again, gallery):
            assert [answer.name for answer in one.identify(probes, threshold=0.9)] == names


def test_one_gallery_serves_several_threads(gallery: Gallery) -> None:
    errors: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for at in range(6):
                name = f"{number} {at}"
                gallery.enroll(name, worker.vector(name, 0, DIMENSION))
                (answer,) = gallery.identify(worker.vector(name, 0, DIMENSION), threshold=0.99)
                assert answer.name == name
                if at % 2:
                    gallery.remove(name)
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not errors
    assert state_of(gallery) == {f"{n} {at}": 1 for n in range(4) for at in (0, 2, 4)}


def test_a_second_writer_is_told_who_the_first_is(gallery: Gallery) -> None:
    gallery._writer.patience = 0.2
    with started(gallery.folder, "hold") as process:
        line(process)
        with pytest.raises(InputError, match=f"process {process.pid} on .*, since 20..-") as error:
            gallery.enroll("ada", np.ones(DIMENSION))
        assert "it was waited for 0.2 s" in str(error.value)
        assert len(gallery) == 0, "reading goes on"
    gallery.enroll("ada", np.ones(DIMENSION))  # whoever died holds nothing


def test_a_gallery_does_not_outlive_a_fork(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery._store, "_process", -1)
    monkeypatch.setattr(gallery._searched, "guard", None)  # held by a thread that is not here
    for use in (gallery.people, lambda: gallery.identify(np.ones(DIMENSION))):
        with pytest.raises(InputError, match="open the gallery again after a fork"):
            use()


@pytest.mark.parametrize("where", ["limit", "tmpfs"])
def test_where_nothing_can_be_written_nothing_is_lost(
    tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_copy, "FLUSHED", 200)
    with _small_disk(tmp_path, where) as (folder, fill, free):
        with Gallery.create(folder / "g", CONTRACT) as gallery:
            filled(gallery, 30)
            gallery.erase("base 3")
            before = state_of(gallery)
            probes = np.random.default_rng(0).standard_normal((5, DIMENSION), np.float32)
            answers = gallery.identify(probes)
            fill()
            try:
                attempts: list[Callable[[], object]] = [
                    lambda: filled_many(gallery),
                    lambda: gallery.enroll("new", np.ones((4000, DIMENSION))),
                    lambda: Gallery.create(folder / "other", CONTRACT),
                ]
                for attempt in attempts:
                    with pytest.raises(InputError, match=r"written|made") as error:
                        attempt()
                    assert "\n" not in str(error.value)
                assert state_of(gallery) == before
                assert gallery.identify(probes) == answers
            finally:
                free()
            gallery.enroll("after", np.ones(DIMENSION))
        with Gallery.open(folder / "g") as again:
            assert state_of(again) == {**before, "after": 1}


def filled_many(gallery: Gallery) -> None:
    names = ["x" * 200 + str(number) for number in range(20_000)]
    gallery_module.CHUNK, chunk = len(names), gallery_module.CHUNK  # one transaction
    try:
        gallery.enroll_many(np.ones((len(names), DIMENSION)), names)
    finally:
        gallery_module.CHUNK = chunk


def test_a_read_only_folder_can_be_searched_and_nothing_else(tmp_path: Path) -> None:
    with _mounted(tmp_path):
        with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
            filled(gallery, 30)
            before, answers = state_of(gallery), gallery.identify(np.eye(DIMENSION))
        _mount("-o", "remount,ro", tmp_path)
        with Gallery.open(tmp_path / "g") as again:
            assert state_of(again) == before
            assert again.identify(np.eye(DIMENSION)) == answers
            for change in (
                lambda: again.enroll("new", np.ones(DIMENSION)),
                lambda: again.erase("base 1"),
                lambda: again.set_threshold(Threshold(0.5)),
                lambda: Gallery.create(tmp_path / "other", CONTRACT),
            ):
                with pytest.raises(InputError, match=r"cannot be (written to|made)"):
                    change()
            assert state_of(again) == before


@contextmanager
def _small_disk(
    path: Path, where: str
) -> Iterator[tuple[Path, Callable[[], None], Callable[[], None]]]:
    """A folder, what makes it impossible to write much into it, and what undoes that."""
    if where == "limit":
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        yield (
            path,
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**10, hard)),
            lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard)),
        )
        return
    ballast = path / "ballast"

    def fill() -> None:
        with suppress(OSError), ballast.open("wb", buffering=0) as file:
            while True:
                file.write(bytes(4096))

    with _mounted(path):
        yield path, fill, ballast.unlink


@contextmanager
def _mounted(path: Path) -> Iterator[None]:
    """A small disk of its own at a path."""
    if _mount("-t", "tmpfs", "-o", "size=3m", "tmpfs", path):
        pytest.skip("nothing can be mounted here, so there is no disk that is full or read-only")
    try:
        yield
    finally:
        subprocess.run(["umount", "--lazy", str(path)], check=True)


def _mount(*words: object) -> int:
    try:
        return subprocess.run(["mount", *map(str, words)], capture_output=True).returncode
    except FileNotFoundError:
        return 1


def files(folder: Path) -> list[tuple[Path, bytes]]:
    return [(path, path.read_bytes()) for path in folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("flushed", [3, 10**6])
def test_no_byte_of_anybody_erased_is_left(
    gallery: Gallery, flushed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Names and sources of all lengths, so that pages split and join; every person has a tag."""
    monkeypatch.setattr(search_copy, "FLUSHED", flushed)
    random = np.random.default_rng(5)
    tags: dict[str, bytes] = {}
    for number in range(ERASED):
        tag = "?".join(["", *(random.bytes(2).hex()[:3] for _ in range(6)), ""])  # floats near 1
        vector = np.frombuffer(tag[1:].encode().ljust(4 * DIMENSION, b"?"), "<f4")
        name = tag + "n" * int(random.choice([0, 10, 300, 5000, 20_000]))
        some = [vector] * int(random.integers(1, 4))
        sources = [tag + "s" * int(random.choice([0, 3000])) for _ in some]
        gallery.enroll(name, some, sources=sources, metadata={"tag": tag})
        gallery.enroll(name, some, metadata={"tag": tag[::-1], "more": tag * 3})
        tags[name] = tag.encode()[1:]
        if number % 3 == 2:
            gone = str(random.choice(list(tags)))
            receipt = gallery.erase(gone)
            assert receipt.complete, receipt.left
            forgotten = tags.pop(gone)
            for path, raw in files(gallery.folder):
                assert forgotten not in raw, path
    assert len(gallery) == len(tags)
    for name, tag in tags.items():
        assert any(tag in raw for _, raw in files(gallery.folder)), "the tag can be found"
        gallery.remove(name)
    assert gallery.compact().complete
    for path, raw in files(gallery.folder):
        assert not any(tag in raw for tag in tags.values()), path


@pytest.mark.parametrize("seed", range(40) if SOAK else [3])
def test_no_byte_is_left_where_records_were_moved_to_other_pages(tmp_path: Path, seed: int) -> None:
    """What is said of people grows and shrinks, so that SQLite keeps its tree even."""
    random = np.random.default_rng(seed)
    tags: dict[str, list[str]] = {}
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        for _ in range(60):
            tag = random.bytes(8).hex()
            if random.random() < 0.5 or not tags:
                name, size = tag + "n" * int(random.choice([0, 10, 3000, 40_000])), 20_000
                gallery.enroll(name, np.ones(DIMENSION), metadata={"x": "m" * size})
                tags[name] = [tag]
            else:
                name = str(random.choice(list(tags)))
                gallery.describe(name, {"say": tag * int(random.integers(1, 900))})
                tags[name].append(tag)
        for name, theirs in tags.items():
            assert gallery.erase(name).complete
            for path, raw in files(gallery.folder):
                assert not [tag for tag in theirs if tag.encode() in raw], path


def test_parts_without_the_person_are_not_written_again(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_copy, "FLUSHED", 10)
    monkeypatch.setattr(search_copy, "WHOLE", 5)
    filled(gallery, 10)
    gallery.enroll("ada", worker.vector("ada", 0, DIMENSION))
    for number in range(9):
        gallery.enroll(f"later {number}", worker.vector(str(number), 0, DIMENSION))
    first, second = gallery._searched.cache.names()
    gallery.erase("ada")
    assert gallery._searched.cache.names()[0] == first
    assert gallery._searched.cache.names()[1] != second


def test_who_reads_keeps_the_log_and_the_receipt_says_so(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gallery_module, "READERS", 0.1)
    gallery.enroll("ada", worker.vector("ada", 0, DIMENSION), sources=["TAG-OF-ADA"])
    with started(gallery.folder, "read") as process:
        line(process)
        receipt = gallery.erase("ada")
        assert not receipt.complete
        assert re.match("somebody reads the gallery", receipt.left[0])
    gallery.close()
    with Gallery.open(gallery.folder):
        pass  # finishes what was not
    assert not any(b"TAG-OF-ADA" in raw for _, raw in files(gallery.folder))


def test_an_erasure_waits_for_a_search_to_end(gallery: Gallery) -> None:
    gallery.enroll("ada", worker.vector("ada", 0, DIMENSION))
    begun = threading.Event()

    def read() -> None:
        with gallery._view():
            begun.set()
            time.sleep(0.3)

    thread = threading.Thread(target=read)
    thread.start()
    begun.wait()
    assert gallery.erase("ada").complete
    thread.join()


def test_what_a_crash_left_of_an_erasure_is_done_when_it_is_next_opened(
    gallery: Gallery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(search_copy, "FLUSHED", 1)
    gallery.enroll("bob", np.ones(DIMENSION))
    gallery.enroll("ada", np.frombuffer(b"TAG?" * DIMENSION, "<f4"), sources=["TAG?TAG?"])

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(gallery, "_forget", stop)
        with pytest.raises(KeyboardInterrupt):
            gallery.erase("ada")
    gallery.close()
    left = gallery.folder / "cache" / "half"
    copied = gallery.folder / f"{COPIED}x"  # of a repair that was killed
    for folder, name in ((left, "vectors.bin"), (copied, "damaged")):
        folder.mkdir()
        (folder / name).write_bytes(b"TAG?TAG?")
    assert any(b"TAG?TAG?" in raw for _, raw in files(gallery.folder))
    with Gallery.open(gallery.folder) as again:
        assert [person.name for person in again.people()] == ["bob"]
        assert not any(b"TAG?TAG?" in raw for _, raw in files(gallery.folder))


def test_small_enrolments_make_few_parts(gallery: Gallery, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search_copy, "FLUSHED", 64)
    monkeypatch.setattr(search_copy, "WHOLE", 256)
    most = 0
    for number in range(300):
        gallery.enroll(str(number), worker.vector(str(number), 0, DIMENSION))
        most = max(most, len(gallery._searched._parts))
    assert most <= 10
    with Gallery.open(gallery.folder) as again:
        assert not again.problems
        assert [a.name for a in again.identify(
            [worker.vector(str(n), 0, DIMENSION) for n in range(300)], threshold=0.99
        )] == [str(n) for n in range(300)]  # fmt: skip


def test_what_is_printed_holds_no_embedding(gallery: Gallery) -> None:
    gallery.enroll("ada", np.full(DIMENSION, 0.123456))
    gallery.set_threshold(Threshold(0.5))
    with gallery._view() as (snapshot, parts):
        rows = snapshot.rows(DIMENSION)
        things = (gallery, gallery._store, rows, parts[0], parts[0].part, parts[0].part.rows)
        for thing in (*things, Sample(np.full(3, 0.123456, np.float32))):
            assert "0.1234" not in repr(thing)
            assert "ada" not in repr(thing)


def test_many_are_enrolled_all_or_none_at_the_door(gallery: Gallery) -> None:
    rows = np.ones((3, DIMENSION))
    bad = rows.copy()
    bad[2] = 0
    for given, names, sources, words in (
        (bad, ["a", "b", "c"], (), "direction"),
        (rows, ["a", "b"], (), "the name of the person of each of 3, got 2"),
        (rows, ["a", "b", ""], (), "not empty"),
        (rows, ["a", "b", "c"], ("x",), "a source for each of 3"),
        (rows[:, :2], ["a", "b", "c"], (), f"expected {DIMENSION} dimensions"),
        (rows * 1e30, ["a", "b", "c"], (), "lengths"),
    ):
        with pytest.raises(InputError, match=words):
            gallery.enroll_many(given, names, sources=sources)
    for wrong in ({"a": {1, 2}}, {"a": float("nan")}, {"a": rows}):
        with pytest.raises(InputError, match="metadata"):
            gallery.enroll("ada", rows[0], metadata=wrong)
    assert len(gallery) == 0
    gallery.enroll_many(rows, ["a", "b", "a"], sources=["1", "2", "3"])
    assert state_of(gallery) == {"a": 2, "b": 1}
