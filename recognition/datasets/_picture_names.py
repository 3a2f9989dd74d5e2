"""The names of pictures: which row of a table each of them means."""

from collections.abc import Iterable, Sequence
from pathlib import PurePosixPath
from typing import NamedTuple


class Index(NamedTuple):
    """The row that each name means, and the names that could mean another one too."""

    rows: dict[str, int]
    unclear: set[str]

    @classmethod
    def of(cls, named_rows: Iterable[tuple[str, int]]) -> "Index":
        index = cls({}, set())
        for name, row in named_rows:
            if index.rows.setdefault(name, row) != row:
                index.unclear.add(name)
        return index


def lfw_index(ids: Sequence[str]) -> Index:
    """What LFW's name of a picture may mean: a file of that name, or else one in a folder."""
    paths = [PurePosixPath(text.replace("\\", "/")) for text in ids]
    files = Index.of((name, row) for row, p in enumerate(paths) for name in (p.name, p.stem))
    folders = Index.of(
        (lfw_name(p.parent.name, p.stem), row)
        for row, p in enumerate(paths)
        if is_number(p.stem) and p.parent.name
    )
    unclear = files.unclear | (folders.unclear - files.rows.keys())
    return Index(folders.rows | files.rows, unclear)


def lfw_name(name: str, number: str) -> str:
    """LFW's file of a person's picture, without its suffix: Ann_0001."""
    return f"{name}_{int(number):04d}"


def is_number(field: str) -> bool:
    """Whether a text is a whole number of at most nine digits."""
    return field.isascii() and field.isdigit() and len(field) < 10
