"""How long work tells how far it is, without knowing who looks."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
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


def _ignore(done: int, note: str = "") -> None:
    pass
