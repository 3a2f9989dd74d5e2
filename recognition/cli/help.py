"""Help in few groups: options under the heading of their `rich_help_panel`, as plain text."""

import re
from textwrap import fill
from typing import Any

from typer.core import TyperCommand

_TYPE = re.compile(r" <(list\[(?:Path|str)\]|path|str)>$")  # of Python; choices like <a|b> are told
Records = list[tuple[str, str]]  # what is typed, and what it does


class Grouped(TyperCommand):
    """A command whose help has a section for each panel, in the order of their first options.

    Rich would draw boxes around them, which in 80 columns leave half of a line to descriptions.
    """

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """Arguments as they are usually written: `PATH...`, `[FILE]...`."""
        pieces: list[str] = super().collect_usage_pieces(ctx)
        return [_plain_usage(piece) for piece in pieces]

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, those of one panel together; --help goes with the last."""
        panels: dict[str, Records] = {}
        panel = "Options"
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None) or panel
                typed, text = record
                panels.setdefault(panel, []).append((_TYPE.sub("", typed), text))
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write(_in_columns(records, formatter.current_indent, formatter.width))


def _plain_usage(piece: str) -> str:
    """One argument without the braces and repeated dots that say it is needed, or many.

    >>> [_plain_usage(piece) for piece in ("{PATH}...", "[[FILE]...]...", "[OPTIONS]")]
    ['PATH...', '[FILE]...', '[OPTIONS]']
    """
    needed = re.sub(r"^\{(.*)\}(\.\.\.)?$", r"\1\2", piece)
    return re.sub(r"^\[(\[.*\]\.\.\.)\]\.\.\.$", r"\1", needed)


def _in_columns(records: Records, indent: int, width: int) -> str:
    """Descriptions beside their options, no word cut at a hyphen: `unit-media` is to be typed."""
    column = indent + max(len(typed) for typed, _ in records) + 2
    lines = (
        fill(
            text,
            width,
            initial_indent=(" " * indent + typed).ljust(column),
            subsequent_indent=" " * column,
            break_on_hyphens=False,
            break_long_words=False,
        )
        for typed, text in records
    )
    return "\n".join(lines) + "\n"
