"""A batch is what its number says, whoever decodes it, and whatever was broken on the way."""

import gc
import itertools
import logging
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from recognition.datasets.picture_source import PictureSource, of_pictures, open_pictures
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError
from recognition.training.supply import AHEAD, Batch, Supply, class_counts


class Watched:
    """N pictures of one pixel each that tells its number; some are broken, and loads are counted."""

    def __init__(self, count: int, broken: tuple[int, ...] = (), people: int = 3) -> None:
        self.labels = np.array([f"person {i % people}" for i in range(count)])
        self.ids = np.array([f"picture {i}" for i in range(count)])
        self.source, self.skipped, self.notes = "numbers", (), ()
        self.broken, self.loads = broken, Counter[int]()
        self.before: Callable[[int], None] = lambda _: None

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, place: int) -> np.ndarray:
        self.loads[place] += 1
        self.before(place)
        if place in self.broken:
            raise InputError(
                f"numbers: expected a picture in picture {place}, got none; replace it"
            )
        return np.full((1, 1, 3), place % 256, np.uint8)

    def of(self, people: np.ndarray) -> PictureSource:
        raise NotImplementedError

    @property
    def codes(self) -> np.ndarray:
        return np.unique(self.labels, return_inverse=True)[1]


def supply(source: Watched, batch_size: int = 4, seed: int = 0, workers: int = 2) -> Supply:
    return Supply(source, source.codes, batch_size=batch_size, seed=seed, workers=workers)


def take(supply: Supply, number: int, count: int) -> list[Batch]:
    return list(itertools.islice(supply.from_(number), count))


def shown(batches: list[Batch]) -> list[tuple[int, ...]]:
    """The numbers of the pictures in each batch, which its three parts agree on."""
    found = []
    for images, labels, ids in batches:
        assert images.dtype == torch.uint8
        assert labels.dtype == torch.int64
        places = images[:, 0, 0, 0].tolist()
        assert ids == tuple(f"picture {place}" for place in places)
        assert labels.tolist() == [place % 3 for place in places]
        found.append(tuple(places))
    return found


def places(batch: Batch) -> list[int]:
    return [int(name.split()[1]) for name in batch.ids]


def ended(name: str = "supply") -> bool:
    """Whether the threads of supplies end, soon."""
    for _ in range(200):
        if not any(thread.name.startswith(name) for thread in threading.enumerate()):
            return True
        time.sleep(0.01)
    return False


# -- what a batch is -------------------------------------------------------------------------------


@settings(max_examples=25)
@given(
    count=st.integers(3, 20),
    batch_size=st.integers(1, 25),
    seed=st.integers(0, 2**40),
    start=st.integers(0, 12),
    workers=st.integers(1, 4),
    broken=st.sets(st.integers(0, 19), max_size=2),
)
def test_a_batch_is_the_same_wherever_one_begins_and_whoever_decodes(
    count: int, batch_size: int, seed: int, start: int, workers: int, broken: set[int]
) -> None:
    def batches(start: int, end: int, workers: int) -> list[tuple[int, ...]] | str:
        source = Watched(count, tuple(broken))
        try:
            return shown(take(supply(source, batch_size, seed, workers), start, end - start))
        except InputError as error:
            return str(error)

    whole = batches(0, 16, 1)
    rest = batches(start, 16, workers)
    if isinstance(whole, str):  # with the broken in one batch
        assert "more than half" in whole
    else:
        assert whole[start:] == rest


def test_an_epoch_shows_every_picture_once_but_for_a_rest() -> None:
    source = Watched(14)
    found = supply(source)
    assert (found.size, found.batches) == (4, 3)
    batches = shown(take(found, 0, 60))
    left_out = Counter[int]()
    for epoch in range(20):
        seen = [place for batch in batches[3 * epoch : 3 * epoch + 3] for place in batch]
        assert len(set(seen)) == len(seen) == 12
        left_out.update(set(range(14)) - set(seen))
    assert len(left_out) > 7  # by turns, not always the same
    assert len({tuple(batches[3 * epoch]) for epoch in range(20)}) == 20


def test_seeds_and_epochs_are_shuffled_apart() -> None:
    source = Watched(60)
    first = [
        shown(take(supply(source, 60, seed), epoch, 1))[0] for seed in (0, 1) for epoch in (0, 1)
    ]
    assert len(set(first)) == 4
    assert all(sorted(order) == list(range(60)) for order in first)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_set_smaller_than_a_batch_gives_batches_of_all_of_it(count: int) -> None:
    source = Watched(count)
    found = supply(source, 4)
    assert (found.size, found.batches) == (count, 1)
    for batch in shown(take(found, 5, 4)):
        assert sorted(batch) == list(range(count))
    assert f"{count} pictures do not fill a batch of 4" in found.notes[-1]


def test_pictures_on_disk_come_as_they_are_read(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for name in ("ann/1.png", "ann/2.png", "bo/1.png", "bo/2.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(random.integers(0, 256, (9, 7, 3), np.uint8)).save(tmp_path / name)
    source = open_pictures(tmp_path, side=8)
    codes = np.array([0, 0, 1, 1])
    (batch,) = take(Supply(source, codes, batch_size=4, seed=1), 0, 1)
    assert batch.images.shape == (4, 8, 8, 3)
    assert sorted(batch.ids) == source.ids.tolist()
    for name, label, pixels in zip(batch.ids, batch.labels.tolist(), batch.images, strict=True):
        place = source.ids.tolist().index(name)
        assert codes[place] == label
        assert np.array_equal(pixels.numpy(), source.load(place))


def test_a_batch_is_nobody_elses_memory() -> None:
    pictures = Pictures(
        np.zeros((4, 2, 2, 3), np.uint8),
        np.array(["a", "a", "b", "b"]),
        np.array(list("1234")),
        "x",
    )
    codes = np.array([0, 0, 1, 1])
    found = Supply(of_pictures(pictures), codes, batch_size=4)
    (batch,) = take(found, 0, 1)
    batch.images.fill_(7)
    batch.labels.fill_(7)
    codes[:] = 9
    assert not pictures.images.any()
    assert sorted(take(found, 0, 1)[0].labels.tolist()) == [0, 0, 1, 1]


# -- pictures that cannot be decoded ---------------------------------------------------------------


def test_a_broken_picture_is_replaced_by_the_next_after_its_batch() -> None:
    sound = shown(take(supply(Watched(14)), 0, 3))
    order = [place for batch in sound for place in batch]
    source = Watched(14, (order[1], order[4]))
    batches = shown(take(supply(source), 0, 3))
    # the first spare of batch 0 is broken as well, so it takes the one after it
    assert batches[0] == (order[0], order[5], order[2], order[3])
    assert batches[1] == (order[8], *order[5:8])
    assert batches[2] == sound[2]


def test_the_last_batch_takes_what_is_left_over_and_then_the_first() -> None:
    sound = shown(take(supply(Watched(13)), 0, 3))
    left_over = set(range(13)) - {place for batch in sound for place in batch}
    source = Watched(13, (sound[2][0], sound[2][3]))
    assert shown(take(supply(source), 2, 1)) == [
        (*left_over, *sound[2][1:3], sound[0][0]),
    ]


def test_where_nothing_else_is_left_a_batch_shows_its_own_twice() -> None:
    (batch,) = shown(take(supply(Watched(4, (2,))), 0, 1))
    assert sorted(Counter(batch).values()) == [1, 1, 2]


def test_broken_pictures_are_kept_with_the_reason_and_told_once(
    caplog: pytest.LogCaptureFixture,
) -> None:
    found = supply(Watched(14, (5, 9)))
    with caplog.at_level(logging.WARNING, "recognition.training.supply"):
        batches = take(found, 0, 30)
    assert len(batches) == 30
    assert set(found.broken) == {"picture 5", "picture 9"}
    assert "expected a picture in picture 5, got none" in found.broken["picture 5"]
    assert len(caplog.records) == 2
    assert {record.levelname for record in caplog.records} == {"WARNING"}
    assert "a picture is left out" in caplog.messages[0]
    for message, reason in zip(caplog.messages, found.broken.values(), strict=True):
        assert message.endswith(reason)


def test_only_what_was_asked_for_is_told() -> None:
    sound = shown(take(supply(Watched(40)), 0, 10))
    found = supply(Watched(40, (sound[2][0],)))
    batches = found.from_(0)
    next(batches), next(batches)
    time.sleep(0.05)  # the threads are past it
    assert found.broken == {}
    next(batches)
    assert set(found.broken) == {f"picture {sound[2][0]}"}


@pytest.mark.parametrize(("size", "broken"), [(4, 2), (5, 2), (2, 1), (1, 1)])
def test_half_of_a_batch_may_be_broken_and_no_more(size: int, broken: int) -> None:
    sound = shown(take(supply(Watched(20), size), 0, 4))
    ends = [*sound[1][:broken]]
    batches = shown(take(supply(Watched(20, tuple(ends)), size), 1, 1))
    assert len(set(batches[0])) == size
    ends.append(sound[1][broken] if broken < size else sound[2][0])
    source = Watched(20, tuple(ends))
    for workers in (1, 3):
        found = supply(source, size, workers=workers).from_(0)
        shown([next(found)])  # the batch before it is sound
        with pytest.raises(InputError, match=f"but {broken + 1} cannot, more than half of it") as e:
            next(found)
        assert f"(picture {ends[0]}: numbers: expected a picture" in str(e.value)
    assert ended()


@pytest.mark.parametrize("count", [1, 2, 7])
@pytest.mark.parametrize("size", [1, 2, 7, 9])
def test_where_all_are_broken_it_ends(count: int, size: int) -> None:
    with pytest.raises(InputError, match="more than half"):
        take(supply(Watched(count, tuple(range(count))), size), 0, 1)


# -- threads ---------------------------------------------------------------------------------------


def waiting(source: Watched, size: int) -> int:
    """How many batches are decoded when nothing more is."""
    seen = -1
    while seen != (seen := sum(source.loads.values())):
        time.sleep(0.1)
    return seen // size


@pytest.mark.parametrize("workers", [1, 3])
def test_threads_decode_a_few_batches_ahead_and_wait(workers: int) -> None:
    source = Watched(200)
    batches = supply(source, 2, workers=workers).from_(0)
    assert not source.loads  # nothing before the first is asked for
    next(batches)
    assert waiting(source, 2) == 1 + workers + AHEAD
    next(batches)
    assert waiting(source, 2) == 2 + workers + AHEAD


def test_pictures_are_decoded_by_as_many_threads_as_asked_for() -> None:
    source = Watched(60)
    together = threading.Barrier(3)
    names = set()

    def meet(_: int) -> None:
        names.add(threading.current_thread().name)
        together.wait(10)

    source.before = meet
    take(supply(source, 1, workers=3), 0, 1)
    assert len(names) == 3
    together.abort()


def _close(batches: Iterator[Batch]) -> None:
    batches.close()  # type: ignore[attr-defined]


def _throw(batches: Iterator[Batch]) -> None:
    with pytest.raises(KeyboardInterrupt):
        batches.throw(KeyboardInterrupt)  # type: ignore[attr-defined]


@pytest.mark.parametrize("end", [_close, _throw, lambda _: None], ids=["close", "throw", "forget"])
def test_threads_end_with_the_iterator_in_the_middle_of_a_batch(
    end: Callable[[Iterator[Batch]], None],
) -> None:
    source = Watched(1500)
    rest = {place for batch in take(supply(source, 300), 1, 2) for place in places(batch)[5:]}
    assert ended()
    source.loads.clear()
    held = threading.Event()
    source.before = lambda place: held.wait(20) and None if place in rest else None
    batches = supply(source, 300).from_(0)
    next(batches)
    assert waiting(source, 1) == 300 + 6 + 6  # both threads are in a sixth picture
    end(batches)
    del batches
    gc.collect()
    held.set()
    assert ended()
    assert sum(source.loads.values()) == 300 + 6 + 6


def test_a_supply_may_be_asked_twice_at_once() -> None:
    found = supply(Watched(20))
    one, other = found.from_(0), found.from_(3)
    both = [(next(one), next(other)) for _ in range(6)]
    assert shown([first for first, _ in both])[3:] == shown([second for _, second in both])[:3]


@pytest.mark.parametrize("error", [RuntimeError("a bug"), MemoryError(), KeyboardInterrupt()])
def test_what_a_thread_meets_is_raised_where_batches_are_asked_for(error: BaseException) -> None:
    sound = shown(take(supply(Watched(20)), 0, 3))
    source = Watched(20)

    def fail(place: int) -> None:
        if place == sound[2][1]:
            raise error

    source.before = fail
    found = supply(source)
    batches = found.from_(0)
    assert shown([next(batches), next(batches)]) == sound[:2]
    with pytest.raises(type(error)):
        next(batches)
    assert found.broken == {}
    assert ended()


def test_whoever_waits_for_a_batch_can_be_interrupted() -> None:
    source = Watched(20)
    held = threading.Event()

    def hold(_: int) -> None:
        time.sleep(0.2)  # until the main thread waits
        signal.pthread_kill(threading.main_thread().ident, signal.SIGINT)
        held.wait(20)

    source.before = hold
    started = time.monotonic()
    with pytest.raises(KeyboardInterrupt):
        next(supply(source, workers=1).from_(0))
    assert time.monotonic() - started < 10
    held.set()
    assert ended()


# -- what is refused, and what is noted ------------------------------------------------------------


@pytest.mark.parametrize(
    ("codes", "message"),
    [
        ([0, 1, 3, 3], "expected classes 0 to 3 with pictures of each, but 1 have none, 2 among"),
        ([1, 1, 2, 2], "but 1 have none, 0 among them; number the people with np.unique"),
        ([-1, 0, 0, 1], r"got -1 to 1; number"),
        ([0, 1, 2, 10**12], "at most as many as the 4 pictures, got 0 to 1000000000000"),
        ([0.0, 1, 1, 0], "a whole number, of at least one picture, got float64"),
        ([[0, 1], [1, 0]], r"got int64 of shape \(2, 2\)"),
        ([], "of at least one picture"),
        ([0, 1, 0], "a class for each of the 4 pictures, got 3 classes"),
        (["a", "b", "a", "b"], "a whole number, of at least one picture, got <U1"),
        ([True, False, True, False], "got bool"),
    ],
)
def test_classes_that_are_none_are_refused(codes: list[object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        Supply(Watched(4), np.array(codes), batch_size=2)


@pytest.mark.parametrize(
    ("option", "value", "least"),
    [
        ("batch_size", 0, 1),
        ("batch_size", 2.0, 1),
        ("workers", 0, 1),
        ("workers", True, 1),
        ("seed", -1, 0),
    ],
)
def test_numbers_that_are_none_are_refused(option: str, value: object, least: int) -> None:
    options = {"batch_size": 2, option: value}
    with pytest.raises(InputError, match=f"{option}: expected a whole number >= {least}, got"):
        Supply(Watched(4), np.array([0, 1, 0, 1]), **options)  # type: ignore[arg-type]


@pytest.mark.parametrize("number", [-1, 1.5])
def test_a_batch_before_the_first_is_refused_at_once(number: int) -> None:
    with pytest.raises(InputError, match="number: expected a whole number >= 0"):
        supply(Watched(4)).from_(number)


def test_people_with_one_picture_are_noted() -> None:
    assert supply(Watched(9)).notes == ()
    source = Watched(7, people=4)  # person 3 has one
    found = supply(source)
    assert found.counts.tolist() == [2, 2, 2, 1]
    (note,) = found.notes
    assert note.startswith("1 of 4 people have one picture ('person 3'): what two pictures")


def test_classes_are_counted_whatever_whole_numbers_they_are() -> None:
    for dtype in (np.uint8, np.int32, np.uint64):
        codes = np.array([1, 0, 1, 2], dtype)
        assert class_counts(codes).tolist() == [1, 2, 1]
        (batch,) = take(Supply(Watched(4), codes, batch_size=4), 0, 1)
        assert batch.labels.dtype == torch.int64
