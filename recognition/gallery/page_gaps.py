"""What SQLite leaves between the cells of a page, written over with zeros.

SQLite zeros what it deletes, but when it moves records to another page to keep the tree even, what
they were may stay in the unused middle of the old one, and outlive them. Nobody reads that part, so
it can be written to while others read. It is done in a process of its own, as one that closes a
file lets go of all its locks on it, SQLite's too. This module is that program.
https://www.sqlite.org/fileformat2.html, section 1.6
"""

import mmap
import os
import subprocess
import sys
from pathlib import Path

FIRST = 100  # bytes of the file's header, on the first page
HEADERS = {2: 12, 5: 12, 10: 8, 13: 8}  # bytes of a page's, by the kind of page
MOST = 2**25  # pages: of fewer the numbers, with which other pages begin, look like no kind


def clear_gaps(path: Path) -> None:
    """Write zeros over the unused middle of every page, on the disk when this returns.

    Nobody may write to the file meanwhile, and its log is empty.

    Raises:
        OSError: that could not be done.
    """
    told = subprocess.run(
        [sys.executable, "-I", "-S", __file__, str(path)], capture_output=True, text=True
    )
    if told.returncode:
        raise OSError(told.stderr.strip().rpartition("\n")[2] or "a process was stopped")


def gap(page: bytes | mmap.mmap, start: int, size: int) -> slice:
    """The unused middle of the page from a place on; empty where it is no page of a tree.

    >>> page = bytes([13, 0, 0, 0, 1, 0, 14, 0, 0, 14]) + b"gap." + b"it"
    >>> page[gap(page, 0, 16)]
    b'gap.'
    """
    at = start + (FIRST if start == 0 and page[:6] == b"SQLite" else 0)
    header = HEADERS.get(page[at])
    if header is None:
        return slice(start, start)
    cells, content = (int.from_bytes(page[at + n : at + n + 2], "big") for n in (3, 5))
    first, last = at + header + 2 * cells, start + (content or 2**16)
    return slice(first, last) if first <= last <= start + size else slice(start, start)


def _clear(path: Path) -> None:
    with path.open("r+b") as file, mmap.mmap(file.fileno(), 0) as raw:
        size = int.from_bytes(raw[16:18], "big")
        if len(raw) >= MOST * size:
            raise SystemExit("the file is too large to tell its pages apart")
        for start in range(0, len(raw) // size * size, size):
            middle = gap(raw, start, size)
            length = middle.stop - middle.start
            if raw[middle].count(0) != length:
                raw[middle] = bytes(length)
        raw.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    _clear(Path(sys.argv[1]))
