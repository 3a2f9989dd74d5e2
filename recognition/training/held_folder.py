"""The folder of a run while somebody trains in it: new or its own, for one run at a time, with its log."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from filelock import FileLock, Timeout

from recognition.datasets._files import shown
from recognition.errors import InputError
from recognition.report.results_folder import check_free
from recognition.training.checkpoint import LAST
from recognition.training.logs import CSV
from recognition.training.ranks import Ranks
from recognition.training.run_files import CONFIG

LOG, LOCK = "run.log", ".lock"
# what there may be before there is a configuration, with which a run begins
BEGUN = frozenset({LOCK, LOG, CSV, LAST, *(f"{name}.part" for name in (CSV, LAST, CONFIG))})


def check_new(folder: Path) -> None:
    """Refuse a folder with anything in it but what a run leaves that was killed as it began.

    Raises:
        InputError: there is something else, or no right to write.
    """
    there = {each.name for each in folder.iterdir()} if folder.is_dir() else set()
    if LOCK not in there or not there <= BEGUN or folder.is_symlink():
        check_free(folder)


def hold(held: ExitStack, folder: Path, ranks: Ranks) -> None:
    """Keep the folder, and write its log, until the stack is closed.

    Raises:
        InputError: another process trains in it.
    """
    if ranks.first:
        held.enter_context(alone(folder))
        held.enter_context(_logged(folder / LOG))
    ranks.wait()


@contextmanager
def alone(folder: Path) -> Iterator[None]:
    """The folder, made where there is none, for one run at a time."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    lock = FileLock(folder / LOCK)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise InputError(
            f"another process trains in {shown(folder)}; wait for it, or name another folder"
        ) from None
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _logged(file: Path) -> Iterator[None]:
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    above = logging.getLogger("recognition")
    level = above.level
    above.addHandler(handler)
    above.setLevel(logging.INFO)
    try:
        yield
    finally:
        above.removeHandler(handler)
        above.setLevel(level)
        handler.close()
