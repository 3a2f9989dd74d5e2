"""What a run says of itself, in a file of its folder."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recognition.cli.console import command_line

log = logging.getLogger("recognition")


@contextmanager
def logged(file: Path) -> Iterator[None]:
    """Write what the package logs into a file, the command first, with the time of each line."""
    handler = logging.FileHandler(file, encoding="utf-8")
    handler.setFormatter(logging.Formatter("%(asctime)s %(message)s"))
    level = log.level
    log.addHandler(handler)
    log.setLevel(logging.INFO)
    try:
        log.info("%s", command_line())
        yield
    finally:
        log.removeHandler(handler)
        log.setLevel(level)
        handler.close()
