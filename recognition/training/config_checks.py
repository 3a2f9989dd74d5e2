"""What is wrong with a number or a name in a section of a configuration, in one sentence."""

import difflib
import math
from collections.abc import Callable, Iterable, Mapping
from numbers import Integral, Real
from typing import NamedTuple, get_type_hints

from recognition.errors import InputError

MANY = 10**9  # of anything that is counted


class Between(NamedTuple):
    """From where to where a number may lie, the ends included unless they are said to be open."""

    low: float
    high: float
    open_low: bool = False
    open_high: bool = False

    def holds(self, value: float) -> bool:
        """Whether it does; NaN never does."""
        above = self.low < value if self.open_low else self.low <= value
        below = value < self.high if self.open_high else value <= self.high
        return above and below

    def around(self, name: str) -> str:
        """As one writes it.

        >>> Between(0, 1, open_high=True).around("x")
        '0 <= x < 1'
        """
        signs = ("<" if open_end else "<=" for open_end in (self.open_low, self.open_high))
        return f"{_short(self.low)} {next(signs)} {name} {next(signs)} {_short(self.high)}"


def key_of(section: object, name: str) -> str:
    """What an entry of a section is called, `optimiser.lr`."""
    return f"{type(section).__name__.removesuffix('Config').lower()}.{name}"


def check_types(section: object) -> None:
    """Refuse values of other types; whole numbers become numbers, and lists become tuples.

    Raises:
        InputError: a value of another type, or text that is no Unicode.
    """
    for name, kind in get_type_hints(type(section)).items():
        wanted, read = _READERS[kind]
        value = getattr(section, name)
        found = read(value)
        if found is None and kind is str and isinstance(value, str):
            raise InputError(
                f"{key_of(section, name)}: expected text that UTF-8 can write, as it is kept in a "
                f"file, got {said(value)}; rename what it names"
            )
        if found is None:
            raise InputError(f"{key_of(section, name)}: expected {wanted}, got {said(value)}")
        object.__setattr__(section, name, found)


def check_limits(section: object, limits: Mapping[str, Between]) -> None:
    """Refuse numbers that lie outside of their limits.

    Raises:
        InputError: one does.
    """
    for name in vars(section):
        key, value = key_of(section, name), getattr(section, name)
        if key in limits and not limits[key].holds(value):
            whole = "a whole number " if isinstance(value, int) else ""
            got = said(value) if whole else f"{value:g}"
            raise InputError(f"{key}: expected {whole}{limits[key].around(name)}, got {got}")


def check_choices(section: object, choices: Mapping[str, tuple[str, ...]]) -> None:
    """Refuse names that are not known.

    Raises:
        InputError: one is not.
    """
    for name in vars(section):
        key, value = key_of(section, name), getattr(section, name)
        if key in choices and value not in choices[key]:
            raise InputError(f"{key}: {said(value)} is not known; {nearest(value, choices[key])}")


def nearest(name: str, known: Iterable[str]) -> str:
    """The name that was perhaps meant, and all that there are.

    >>> nearest("cosin", ("constant", "cosine"))
    "did you mean 'cosine'? known: constant, cosine"
    """
    known = list(known)
    close = difflib.get_close_matches(name.strip().lower(), known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(known)}"


def said(value: object) -> str:
    """A value as a file has it, short enough for a sentence.

    >>> said(True), said((0.5, 1.0)), said(0.1)
    ('true', '[0.5, 1.0]', '0.1')
    """
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(list(value) if isinstance(value, tuple) else value)
    except ValueError:  # Python writes no whole number of thousands of digits
        return "a number of very many digits"
    return text if len(text) <= 80 else f"{text[:79]}…"


def _short(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"


def _text(value: object) -> str | None:
    """Text that can be written into a file; names of files may be none."""
    if not isinstance(value, str) or any("\ud800" <= letter <= "\udfff" for letter in value):
        return None
    return value


def _truth(value: object) -> bool | None:
    return value if isinstance(value, bool) else None


def _whole(value: object) -> int | None:
    return None if isinstance(value, bool) or not isinstance(value, Integral) else int(value)


def _number(value: object) -> float | None:
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    try:
        return float(value)
    except OverflowError:  # a whole number of hundreds of digits
        return math.inf


def _numbers(value: object) -> tuple[float, ...] | None:
    if not isinstance(value, list | tuple):
        return None
    found = [number for number in map(_number, value) if number is not None]
    return tuple(found) if len(found) == len(value) else None


_READERS: dict[object, tuple[str, Callable[[object], object]]] = {
    str: ("text, in quotation marks", _text),
    bool: ("true or false", _truth),
    int: ("a whole number", _whole),
    float: ("a number", _number),
    tuple[float, ...]: ("a list of numbers", _numbers),
}
