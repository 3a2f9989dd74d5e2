"""Text from files of users, made fit for a terminal, for Markdown and for a figure."""

import unicodedata
from collections.abc import Sequence

MARKDOWN = str.maketrans(
    {**{mark: f"\\{mark}" for mark in "\\`*_[]|~$"}, "&": "&amp;", "<": "&lt;", ">": "&gt;"}
)
FORMULA = ("=", "+", "-", "@", "＝", "＋", "－", "＠")  # also those as wide as a letter
UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})
TURNING = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})


def legible(text: str) -> str:
    r"""One line that any file and terminal takes, its meaning in plain sight.

    What moves a cursor, ends a line, turns the direction of writing or is no Unicode is spelled
    out, e.g. as `\x1b`.

    >>> print(legible("ann\x1b[31m"))
    ann\x1b[31m
    """
    return "".join(_spelled(letter) if _unseen(letter) else letter for letter in text)


def _unseen(letter: str) -> bool:
    return unicodedata.category(letter) in UNSEEN or unicodedata.bidirectional(letter) in TURNING


def _spelled(letter: str) -> str:
    return (
        letter.encode("ascii", "backslashreplace").decode()
        if ord(letter) > 127
        else (f"\\x{ord(letter):02x}")
    )


def several(count: int, one: str, many: str = "") -> str:
    """How many there are of something, which one is called so.

    >>> several(1, "face"), several(2_000, "face"), several(0, "person", "people")
    ('1 face', '2,000 faces', '0 people')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


def in_words(names: Sequence[str]) -> str:
    """Names as a sentence lists them.

    >>> in_words(["ann"]), in_words(["ann", "bob", "eve"])
    ('ann', 'ann, bob and eve')
    """
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last


def shortened(text: str, most: int) -> str:
    """Legible text of at most so many letters, the middle left out where it is longer.

    >>> shortened("a very long name", 9)
    'a ve…name'
    """
    text = legible(text)
    if len(text) <= most:
        return text
    end = (most - 1) // 2
    return f"{text[: most - 1 - end]}…{text[len(text) - end :]}"


def in_csv(text: str) -> str:
    """Legible text that a spreadsheet does not take for a formula.

    >>> in_csv("=cmd()")
    "'=cmd()"
    """
    return f"'{legible(text)}" if text.startswith(FORMULA) else legible(text)


def in_markdown(text: str) -> str:
    r"""Legible text that Markdown shows as it is, in a table too.

    >>> print(in_markdown("a|b <i>"))
    a\|b &lt;i&gt;
    """
    return " ".join(legible(line) for line in text.split("\n")).translate(MARKDOWN)


def as_code(text: str) -> str:
    """Legible text as a code span, fenced by more backticks than stand in it."""
    text = legible(text)
    fence = "`"
    while fence in text:
        fence += "`"
    space = " " if "`" in text else ""
    return f"{fence}{space}{text}{space}{fence}"


def in_figure(text: str, most: int) -> str:
    r"""Shortened text that a figure shows as it is, dollar signs not read as formulas.

    >>> print(in_figure("$x$", 10))
    \$x\$
    """
    return shortened(text, most).replace("$", r"\$")
