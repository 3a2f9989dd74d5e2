"""A folder of results that is there whole or not at all."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from recognition.errors import InputError


def check_free(folder: Path) -> None:
    """Refuse a run folder that cannot be made.

    Raises:
        InputError: something is there already, or its parent cannot be written.
    """
    taken = folder.exists() and (not folder.is_dir() or any(folder.iterdir()))
    if taken or folder.is_symlink() or folder.absolute() == Path.cwd():
        raise InputError(f"{folder} exists already; name another folder with --out, or remove it")
    parent = folder.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(f"{parent} cannot be written to; name another folder with --out")


@contextmanager
def run_folder(final: Path) -> Iterator[Path]:
    """A hidden folder beside `final` that takes its name when all is written.

    Whatever ends the work early, Ctrl-C included, removes it again. Only its owner can read it:
    weights learned from faces are personal data.

    Raises:
        InputError: `final` exists already.
    """
    check_free(final)
    final.parent.mkdir(parents=True, exist_ok=True)
    partial = Path(tempfile.mkdtemp(prefix=f".{final.name}.", suffix=".partial", dir=final.parent))
    try:
        yield partial
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    try:
        partial.replace(final)
    except OSError as error:  # somebody put something there meanwhile; the work is not thrown away
        raise InputError(
            f"the run is finished, but could not be named {final} ({error.strerror}); "
            f"it is in {partial}"
        ) from None
