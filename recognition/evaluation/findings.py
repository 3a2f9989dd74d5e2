"""All that an evaluation found: sections of rows, in a dictionary that JSON can hold."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from recognition.errors import InputError
from recognition.evaluation.rows import Row, Section


@dataclass(frozen=True)
class Findings:
    """What was evaluated, and what came out; a row is found by its key.

    Attributes:
        input: pictures, people, comparisons and failures, for the reader.
        sections: verification, identification, ... as far as the input allows.
        groups: rates of each group at one threshold; None if none were asked for.
        comparison: differences to a second model; None if there is none.
        map: where pictures lie in a plane; None where it is not known who is on them.
    """

    input: Mapping[str, Any]
    sections: Sequence[Section]
    groups: Mapping[str, Any] | None = None
    comparison: Mapping[str, Any] | None = None
    map: Mapping[str, Any] | None = None
    _rows: Mapping[str, Row] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        rows = {row.key: row for section in self.sections for row in section.rows}
        object.__setattr__(self, "_rows", rows)

    def __getitem__(self, key: str) -> Row:
        try:
            return self._rows[key]
        except KeyError:
            raise InputError(
                f"expected the key of a row, not {key!r}; there are {', '.join(self._rows)}"
            ) from None

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON knows it: lists, dictionaries, numbers, text and None."""
        return {
            "input": plain(self.input),
            "sections": [_section(section) for section in self.sections],
            "groups": plain(self.groups),
            "comparison": plain(self.comparison),
            "map": plain(self.map),
        }


def _section(section: Section) -> dict[str, Any]:
    return {
        "key": section.key,
        "title": section.title,
        "rows": [plain_row(row) for row in section.rows],
        "notes": list(section.notes),
        "curves": plain(section.curves),
        "lists": [plain(asdict(each)) for each in section.lists],
    }


def plain_row(row: Row) -> dict[str, Any]:
    """A row as one flat dictionary: key, label, unit, interval, value, low, high, note, counts."""
    named = {"key": row.key, "label": row.label, "unit": row.unit, "interval": row.interval}
    flat: dict[str, Any] = plain(named | asdict(row.estimate))
    return flat


def plain(value: object) -> Any:
    """`value` without numpy, tuples or numbers that JSON lacks: an infinity becomes text."""
    if isinstance(value, Mapping):
        return {str(key): plain(entry) for key, entry in value.items()}
    if isinstance(value, np.ndarray):
        return plain(value.tolist())
    if isinstance(value, list | tuple):
        return [plain(entry) for entry in value]
    if isinstance(value, np.generic):
        return plain(value.item())
    if isinstance(value, float) and not np.isfinite(value):
        return None if np.isnan(value) else str(value)
    return value
