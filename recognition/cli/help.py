"""Help in few groups: options under the heading of their `rich_help_panel`, as plain text."""

from textwrap import fill
from typing import Any

from typer.core import TyperCommand

Records = list[tuple[str, str]]  # what is typed, and what it does


class Grouped(TyperCommand):
    """A command whose help has a section for each panel, in the order of their first options.

    Rich would draw boxes around them, which in 80 columns leave half of a line to descriptions.
    """

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write arguments and options, those of one panel together; --help goes with the last."""
        panels: dict[str, Records] = {}
        panel = "Options"
        for parameter in self.get_params(ctx):
            record = parameter.get_help_record(ctx)
            if record is not None:
                panel = getattr(parameter, "rich_help_panel", None) or panel
                panels.setdefault(panel, []).append(record)
        for panel, records in panels.items():
            with formatter.section(panel):
                formatter.write(_in_columns(records, formatter.current_indent, formatter.width))


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
