"""A file that somebody named: what is wrong with it is said in the caller's words."""

import stat
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import islice
from pathlib import Path

from recognition.errors import InputError


def require_file(path: Path, expected: str) -> int:
    """The size in bytes of a regular, not empty file that can be read.

    Raises:
        InputError: there is none at `path`.
    """
    way_out = "check the path"
    try:
        status = path.stat()
        if stat.S_ISDIR(status.st_mode):
            came, way_out = "it is a folder", "name one file in it"
        elif not stat.S_ISREG(status.st_mode):  # opening a pipe would wait for ever
            came, way_out = "it is no regular file", "write it to a file first"
        elif not status.st_size:
            came, way_out = "it is empty", "write it again"
        else:
            with path.open("rb"):
                return status.st_size
    except FileNotFoundError:
        came = "there is no such file"
    except (OSError, ValueError) as error:  # ValueError: a NUL in the path
        came = reason(error)
    raise InputError(f"expected {expected} at {shown(path)}, but {came}; {way_out}")


@contextmanager
def refusing(path: Path, expected: str, way_out: str) -> Iterator[None]:
    """Whatever a library raises on a broken file becomes one sentence about that file."""
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # the libraries raise nearly anything on a broken file
        raise InputError(
            f"expected {expected} at {shown(path)}, but it cannot be read ({reason(error)}); "
            f"{way_out}"
        ) from error


def reason(error: BaseException) -> str:
    """Why something could not be read, short enough for a sentence."""
    words = str(getattr(error, "strerror", None) or error).strip().splitlines()
    return printable(words[0][:160]) if words else type(error).__name__


def shown(path: Path) -> str:
    """A path that can be printed whatever bytes are in it."""
    return printable(str(path))


def listed(names: Iterable[str], most: int = 5) -> str:
    """The first few names, quoted, each cut to what fits in a sentence.

    >>> listed(["a", "b", "c"], most=2)
    "'a', 'b', ..."
    """
    few = list(islice(names, most + 1))
    return ", ".join([*(repr(name[:80]) for name in few[:most]), *["..."][: len(few) - most]])


def printable(text: str) -> str:
    """Text with a mark for whatever moves a cursor, ends a line or is no Unicode."""
    clean = text.encode(errors="surrogateescape").decode(errors="replace")
    return "".join(c if c.isprintable() else "�" for c in clean)
