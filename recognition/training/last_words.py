"""Of several processes that train together, one that stops stops all, and they say why it did.

Whoever stops leaves word where the processes met, and waits a moment until the others have heard
it. Their exchanges with it then fail, and they stop with its words. A process that was killed
leaves none: then the first whose exchange fails says so. Who does not come to notice, in a long
computation or in an exchange that waits on, ends itself when the others had time to.
"""

import os
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from threading import Event, Thread
from typing import Any

from recognition.errors import InputError
from recognition.training.ranks import Ranks

# torchrun may begin processes again, who have nothing to do with the words of those before
DIED, HEARD = (
    f"recognition/{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}/{what}"
    for what in ("died", "heard")  # the words; how many know of them
)
OFTEN, PATIENCE, GRACE = 0.5, 5.0, 15.0  # seconds: between looks; for being heard; for noticing


@contextmanager
def speaking(ranks: Ranks) -> Iterator[Ranks]:
    """Whoever stops leaves word of it, and the others stop with it.

    Raises:
        InputError: another process stopped.
    """
    if ranks.world == 1:
        yield ranks
        return
    listener = _Listener(ranks)
    listener.start()
    try:
        yield ranks
    except BaseException as error:
        listener.left.set()
        if not _is_of_an_exchange(error):
            _say(ranks, f"process {ranks.rank}: {str(error) or type(error).__name__}")
            raise
        reason = str(error).splitlines()[0][:200]
        words = listener.words or _say(ranks, f"another process is gone ({reason})")
        raise InputError(_stopped(ranks, words)) from error
    finally:
        listener.left.set()
        listener.join(PATIENCE)


class _Listener(Thread):
    """Looks for the words of a process that stops."""

    def __init__(self, ranks: Ranks) -> None:
        super().__init__(daemon=True)
        self.ranks, self.words, self.left = ranks, "", Event()

    def run(self) -> None:
        """Until there are some, or this process has left."""
        try:
            store = _store()
            while not store.check([DIED]):
                if self.left.wait(OFTEN):
                    return
            self.words = _heard(store)
        except RuntimeError:
            self.words = "another process is gone, at which all met"
        if not self.left.wait(GRACE):
            sys.stderr.write(f"recognition: {_stopped(self.ranks, self.words)}\n")
            sys.stderr.flush()
            os._exit(1)


def _stopped(ranks: Ranks, words: str) -> str:
    return f"training has stopped on process {ranks.rank}: {words}"


def _is_of_an_exchange(error: BaseException) -> bool:
    """Whether somebody else is gone, rather than that something is wrong here."""
    words = ("gloo", "nccl", "connection", "timed out", "socket")
    return isinstance(error, RuntimeError) and any(word in str(error).lower() for word in words)


def _say(ranks: Ranks, words: str) -> str:
    """Leave word unless there is some, and wait a moment until all know; the words that are there."""
    try:
        store = _store()
        store.compare_set(DIED, "", words)
        words = _heard(store)
        until = time.monotonic() + PATIENCE
        while store.add(HEARD, 0) < ranks.world and time.monotonic() < until:
            time.sleep(OFTEN / 10)
    except RuntimeError:  # the store went with the process that kept it
        pass
    return words


def _heard(store: Any) -> str:
    """The words there are, which this process now knows."""
    words: str = store.get(DIED).decode()
    store.add(HEARD, 1)
    return words


def _store() -> Any:
    """Where the processes met."""
    address, port = os.environ["MASTER_ADDR"], int(os.environ["MASTER_PORT"])
    from torch.distributed import TCPStore  # type: ignore[attr-defined]

    return TCPStore(address, port, is_master=False, timeout=timedelta(seconds=PATIENCE))
