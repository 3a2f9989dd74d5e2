"""A table as every page, file and terminal takes it."""

from collections.abc import Sequence
from typing import NamedTuple


class Table(NamedTuple):
    """Headings and rows of text, and what to know to read them; a cell is value and interval."""

    title: str
    headings: Sequence[str]
    rows: Sequence[Sequence[tuple[str, str]]]
    notes: Sequence[str] = ()
