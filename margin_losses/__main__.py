"""The heads by name, in a terminal: `python -m margin_losses`."""

import argparse
import json
import os
import shutil
import sys
import textwrap
import unicodedata
from collections.abc import Sequence
from itertools import zip_longest

from margin_losses.registry import rows, table

TITLES = ("name", "own class's logit", "defaults", "paper")
GAP = "  "
NARROWEST = 60
DESCRIPTION = """\
List the heads (losses) of this package: the name to write, the formula of the
own class's logit, the options with their defaults, and the paper.

A name goes into a head, with options after a colon:

    MarginHead(512, 10_000, "arcface")
    MarginHead(512, 10_000, "arcface:m=0.4,s=32")

In the formulas theta is the angle between an embedding x and the weight w of
its own class, in radians; m is the margin, s the scale, C the number of classes.
Of the defaults s is the scale and k the number of sub-centres a class."""


def main(argv: Sequence[str] | None = None) -> int:
    """Write the table that the arguments ask for; 0, or 2 through argparse for wrong ones."""
    try:
        try:
            _write(_text(_parser().parse_args(argv)))
        finally:
            sys.stdout.flush()  # here, and not at the very end, where nobody could catch it
    except BrokenPipeError:
        # the reader has what it wanted; what is left goes nowhere when Python closes the stream
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m margin_losses",
        description=DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    form = parser.add_mutually_exclusive_group()
    form.add_argument(
        "--markdown", action="store_true", help="as a Markdown table, the one of the README"
    )
    form.add_argument(
        "--json",
        action="store_true",
        help="as a JSON list, for programs: name, formula, defaults, paper of each",
    )
    return parser


def _text(options: argparse.Namespace) -> str:
    if options.markdown:
        return table()
    if options.json:
        return json.dumps([row._asdict() for row in rows()], indent=2)
    return columns([TITLES, *rows()], shutil.get_terminal_size((100, 24)).columns)


def columns(cells: Sequence[Sequence[str]], width: int) -> str:
    """Rows of cells as aligned columns, the first row underlined.

    The first column is as wide as it needs; where the others do not fit into `width` they share
    what is left of it, and their text is wrapped.
    """
    widths = [max(map(_width, column)) for column in zip(*cells, strict=True)]
    room = max(width, NARROWEST) - widths[0] - len(GAP) * (len(widths) - 1)
    if sum(widths[1:]) > room:
        widths[1:] = [room // len(widths[1:])] * len(widths[1:])
    title, *others = (_lines(row, widths) for row in cells)
    rule = GAP.join("-" * w for w in widths)
    return "\n".join([*title, rule, *(line for lines in others for line in lines)])


def _lines(row: Sequence[str], widths: Sequence[int]) -> list[str]:
    """The lines of one row of cells."""
    wrapped = (
        # an address is not broken: it is to be copied
        textwrap.wrap(cell, w, break_long_words=False, break_on_hyphens=False)
        for cell, w in zip(row, widths, strict=True)
    )
    return [
        GAP.join(
            part + " " * (w - _width(part)) for part, w in zip(parts, widths, strict=True)
        ).rstrip()
        for parts in zip_longest(*wrapped, fillvalue="")
    ]


def _width(text: str) -> int:
    """Places in a terminal; the hat of n̂ takes none."""
    return sum(not unicodedata.combining(letter) for letter in text)


def _write(text: str) -> None:
    # a terminal without θ gets a question mark
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(f"{text}\n".encode(encoding, "replace").decode(encoding))


if __name__ == "__main__":
    sys.exit(main())
