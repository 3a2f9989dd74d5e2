"""As many threads as may work, in each of which a matrix product keeps to its thread."""

import os
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from threadpoolctl import threadpool_limits


def threads() -> int:
    """How many threads may work: OMP_NUM_THREADS where it is set, or else one per core."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


@contextmanager
def workers() -> Iterator[ThreadPoolExecutor]:
    """A pool in which numpy's products, and torch's if it is loaded, take one thread each.

    A block that one thread multiplies and looks through is still in its cache when it looks, and
    no thread waits for another. What the process allows itself is as before when the pool is gone.
    """
    torch = sys.modules.get("torch")  # for its product; nothing is imported for it here
    allowed = torch.get_num_threads() if torch else 1

    def keep_to_one() -> None:
        if torch:
            torch.set_num_threads(1)  # of this thread, and of those that begin later

    try:
        with (
            threadpool_limits(1, user_api="blas"),
            ThreadPoolExecutor(threads(), initializer=keep_to_one) as pool,
        ):
            yield pool
    finally:
        if torch:
            torch.set_num_threads(allowed)
