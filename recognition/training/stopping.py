"""Ctrl-C at the end of a step, where all that was learned can be kept."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Stopped(KeyboardInterrupt):
    """Stopped by Ctrl-C, with everything up to this step saved."""

    def __init__(self, step: int) -> None:
        super().__init__(f"stopped after step {step}")
        self.step = step


@contextmanager
def asked_to_stop() -> Iterator[Callable[[], bool]]:
    """Tells whether Ctrl-C came; the second one stops at once, wherever that is.

    A signal somebody else answers is left to them, and threads but the main one may ask for none.
    """
    came = False

    def note(number: int, frame: FrameType | None) -> None:
        nonlocal came
        if came:
            signal.default_int_handler(number, frame)
        came = True

    main = threading.current_thread() is threading.main_thread()
    ours = [
        each for each in SIGNALS if main and signal.getsignal(each) is signal.default_int_handler
    ]
    try:
        for each in ours:
            signal.signal(each, note)
        yield lambda: came
    finally:
        for each in ours:
            signal.signal(each, signal.default_int_handler)
