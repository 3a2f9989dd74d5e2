"""How long work tells how far it is, without knowing who looks."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from time import perf_counter
from typing import Protocol


class Advance(Protocol):
    """Told how much of a stage is done by now, and a word about it."""

    def __call__(self, done: int, note: str = "") -> None: ...


class Watch(Protocol):
    """Somebody who wants to see progress."""

    def __call__(self, what: str, total: int) -> AbstractContextManager[Advance]:
        """A stage of `total` steps begins; report to what is handed out until it ends."""
        ...


@contextmanager
def unwatched(what: str, total: int) -> Iterator[Advance]:
    """Nobody looks."""
    yield _ignore


def numbered(watch: Watch, place: str) -> Watch:
    """The same watcher, told with every stage which part of the whole it is: `3/7 arcface`."""
    return lambda what, total: watch(f"{place} {what}", total)


class Timed:
    """The same watcher, and how long each stage took.

    Attributes:
        seconds: by the name of the stage, those of a name added up; stages within another one are
            part of it.
    """

    def __init__(self, watch: Watch) -> None:
        self.seconds: dict[str, float] = {}
        self._watch, self._within = watch, 0

    @contextmanager
    def __call__(self, what: str, total: int) -> Iterator[Advance]:
        """A stage begins, and is timed until it ends."""
        start, self._within = perf_counter(), self._within + 1
        try:
            with self._watch(what, total) as advance:
                yield advance
        finally:
            self._within -= 1
            if not self._within:
                self.seconds[what] = self.seconds.get(what, 0.0) + perf_counter() - start


def _ignore(done: int, note: str = "") -> None:
    pass
