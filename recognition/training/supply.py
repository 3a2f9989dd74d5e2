"""Batches for a training run: shuffled epochs without end, decoded ahead by threads.

Which pictures are in a batch follows from the seed and the batch's number alone, so that a run
that was stopped goes on with the batch it was at.
"""

import itertools
import logging
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from threading import Event
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from recognition.datasets._files import listed
from recognition.datasets.picture_source import PictureSource
from recognition.errors import InputError
from recognition.training.ranks import ALONE, Ranks

AHEAD = 2  # batches that wait decoded, besides those that the threads are at

log = logging.getLogger(__name__)


class Batch(NamedTuple):
    """B pictures, the class of each, and their names.

    Attributes:
        images: (B, H, W, 3) uint8, RGB.
        labels: (B,) int64.
        ids: (B,).
    """

    images: Tensor
    labels: Tensor
    ids: tuple[str, ...]


class Supply:
    """The batches of a set of pictures; number k is the same wherever one begins.

    An epoch shows every picture once, but for a rest smaller than a batch: what is left over comes
    in another epoch. A set smaller than a batch gives batches of all of it.

    A picture that cannot be decoded is replaced by the next after its batch in the epoch's order,
    and warned of once.

    Attributes:
        size: pictures a batch.
        batches: how many of them make an epoch.
        counts: (C,) pictures of each class.
        notes: what to say of the set, a sentence each.
        broken: pictures that could not be decoded so far, by id, each with the reason.
    """

    def __init__(
        self,
        source: PictureSource,
        codes: npt.NDArray[np.int64],
        *,
        batch_size: int,
        seed: int = 0,
        workers: int = 2,
        ranks: Ranks = ALONE,
    ) -> None:
        """Nothing is decoded yet.

        Args:
            source: N pictures.
            codes: (N,) whole numbers, the class of each: 0 to C - 1, and each of these.
            batch_size: at least 1.
            seed: of the order in every epoch, at least 0.
            workers: threads, at least 1.
            ranks: of several processes each hands out its own part of every batch.

        Raises:
            InputError: arguments that are not as above, no pictures, or batches of fewer than one
                for each process.
        """
        for name, value, least in (
            ("batch_size", batch_size, 1),
            ("seed", seed, 0),
            ("workers", workers, 1),
        ):
            _require_whole(name, value, least)
        self.counts = class_counts(codes)
        if len(codes) != len(source):
            raise InputError(
                f"expected a class for each of the {len(source):,} pictures, got {len(codes):,} "
                "classes; give one a picture"
            )
        self._source, self._codes = source, codes.astype(np.int64)
        self._seed, self._workers = seed, workers
        self.size = min(batch_size, len(codes))
        self._part = ranks.part(self.size)
        if self.size < ranks.world:
            raise InputError(
                f"expected batches of a picture for each of the {ranks.world} processes, got "
                f"batches of {self.size}; take larger ones, or fewer processes"
            )
        self.batches = len(codes) // self.size
        self.notes = (*_alone(self.counts, source, codes), *_small(len(codes), batch_size))
        self.broken: dict[str, str] = {}

    def from_(self, number: int) -> Iterator[Batch]:
        """The batches `number`, `number` + 1 and so on, without end.

        Close the iterator, or forget it, and the threads stop.

        Raises:
            InputError: a negative number; or, with the batch in question, one of which more than
                half cannot be decoded.
        """
        _require_whole("number", number, 0)
        return self._ahead(number)

    def _ahead(self, number: int) -> Iterator[Batch]:
        stop = Event()
        # its threads know this object and the event, not the generator: whoever drops it ends them
        pool = ThreadPoolExecutor(self._workers, "supply")
        pending: deque[Future[_Made]] = deque()
        try:
            for order, index in self._orders(number):
                pending.append(pool.submit(self._make, order, index, stop))
                if len(pending) > self._workers + AHEAD:
                    yield self._told(pending.popleft().result())
        finally:
            stop.set()
            pool.shutdown(wait=False)  # what is in line sees the event and ends

    def _orders(self, number: int) -> Iterator[tuple[npt.NDArray[np.int64], int]]:
        """The epoch's order, and the place in it of each batch from `number` on."""
        begun, first = divmod(number, self.batches)
        for epoch in itertools.count(begun):
            order = np.random.default_rng((self._seed, epoch)).permutation(len(self._codes))
            for index in range(first, self.batches):
                yield order, index
            first = 0

    def _make(self, order: npt.NDArray[np.int64], index: int, stop: Event) -> "_Made":
        """The index-th batch of an epoch, and the pictures that could not be decoded for it."""
        start, end = index * self.size, (index + 1) * self.size
        after = end + self._part.start  # so that several processes do not take the same ones
        spare = itertools.chain(order[after:], order[:start], order[start:end])
        broken: dict[str, str] = {}
        images, rows = [], []
        wanted = deque(order[start:end][self._part].tolist())
        while wanted:
            if stop.is_set():
                raise _Stopped
            row = wanted.popleft()
            try:
                images.append(self._source.load(row))
                rows.append(row)
            except InputError as error:
                broken[str(self._source.ids[row])] = str(error)
                self._require_half(broken)
                wanted.appendleft(int(next(spare)))
        batch = Batch(
            torch.from_numpy(np.stack(images)),
            torch.from_numpy(self._codes[rows]),
            tuple(self._source.ids[rows].tolist()),
        )
        return _Made(batch, broken)

    def _require_half(self, broken: dict[str, str]) -> None:
        if len(broken) > min(max(1, self.size // 2), len(self._codes) - 1):
            name, reason = next(iter(broken.items()))
            raise InputError(
                f"expected pictures that can be decoded in a batch of {self.size:,}, but "
                f"{len(broken):,} cannot, more than half of it: {listed(broken)} ({name}: {reason})"
                "; look at these first"
            )

    def _told(self, made: "_Made") -> Batch:
        for name, reason in made.broken.items():
            if name not in self.broken:
                self.broken[name] = reason
                log.warning("a picture is left out, and others take its place: %s", reason)
        return made.batch


class _Made(NamedTuple):
    batch: Batch
    broken: dict[str, str]


class _Stopped(Exception):  # noqa: N818
    """Nobody waits for this batch any more."""


def class_counts(codes: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """How many pictures each class has, (C,).

    Raises:
        InputError: classes (N,) that are not whole numbers 0 to C - 1, each of them at least once.

    >>> class_counts(np.array([1, 0, 1])).tolist()
    [1, 2]
    """
    way_out = "number the people with np.unique(labels, return_inverse=True)"
    if codes.ndim != 1 or not len(codes) or not np.issubdtype(codes.dtype, np.integer):
        raise InputError(
            "expected the class of each picture, a whole number, of at least one picture, got "
            f"{codes.dtype} of shape {codes.shape}; {way_out}"
        )
    low, high = int(codes.min()), int(codes.max())
    if low < 0 or high >= len(codes):
        raise InputError(
            f"expected classes 0 to C - 1, at most as many as the {len(codes):,} pictures, got "
            f"{low} to {high}; {way_out}"
        )
    counts = np.bincount(codes)
    if not counts.all():
        missing = int((counts == 0).sum())
        raise InputError(
            f"expected classes 0 to {high} with pictures of each, but {missing:,} have none, "
            f"{int(counts.argmin())} among them; {way_out}"
        )
    return counts


def _alone(
    counts: npt.NDArray[np.int64], source: PictureSource, codes: npt.NDArray[np.int64]
) -> tuple[str, ...]:
    """A note on the classes with one picture, from which nothing is learned of what they share."""
    few = counts[codes] == 1
    if not few.any():
        return ()
    names = listed(source.labels[few].tolist(), 3)
    note = (
        f"{int(few.sum()):,} of {len(counts):,} people have one picture ({names}): what two "
        "pictures of them have in common cannot be learned"
    )
    return (note,)


def _small(pictures: int, batch_size: int) -> tuple[str, ...]:
    if pictures >= batch_size:
        return ()
    return (f"{pictures:,} pictures do not fill a batch of {batch_size:,}: every batch is of all",)


def _require_whole(name: str, value: object, least: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise InputError(f"{name}: expected a whole number >= {least}, got {value!r}")
