"""What a person at a terminal sees: bars, tables, and one sentence when something is wrong."""

import json
import logging
import os
import shlex
import signal
import sys
import threading
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import fill
from typing import TYPE_CHECKING, Any

import typer
from rich import box
from rich.console import Console
from rich.table import Table as RichTable
from tqdm import tqdm

from recognition.errors import InputError
from recognition.progress import Advance
from recognition.report.table import Table
from recognition.report.text import legible

if TYPE_CHECKING:
    from recognition.datasets.pictures import Skipped

SAYS_NO, BAD_INPUT, FAULT = 1, 2, 70  # 70: as sysexits.h calls what should not happen
INTERRUPTED, CLOSED = 130, 141  # 141: as shells say it of a closed pipe
SOON = 1.0  # seconds: what is over by then needs no bar
_KEPT = "\ufdd0"  # a space where no line may be cut; no character, so no name has it
NAMED = 10  # pictures that the report does not show
REPORT = "report.html"
MOST_COLUMNS = 100  # longer lines are hard to read
_bars: "list[tqdm[Any]]" = []  # on the terminal now, the innermost last


@contextmanager
def spoken_errors(*, stopped: str = "nothing was written") -> Iterator[None]:
    """Turn bad input and full disks into one sentence and exit code 2, Ctrl-C into code 130.

    What nobody thought of is a traceback and code 70: Python's 1 would be a verdict of verify.

    Args:
        stopped: what is told of the work when Ctrl-C ends it.
    """
    with _polite_kill():
        try:
            yield
        except InputError as error:
            typer.echo(f"recognition: {error}", err=True)
            raise typer.Exit(BAD_INPUT) from None
        except BrokenPipeError:  # who reads has seen enough; 1 would be a verdict of verify
            _forget_output()
            raise typer.Exit(CLOSED) from None
        except OSError as error:
            where = f"{legible(str(error.filename))}: " if error.filename else ""
            typer.echo(
                f"recognition: {where}{error.strerror or error}; make room or name another place, "
                "and start again",
                err=True,
            )
            raise typer.Exit(BAD_INPUT) from None
        except KeyboardInterrupt:
            typer.echo(f"\nrecognition: stopped; {stopped}", err=True)
            raise typer.Exit(INTERRUPTED) from None
        except (typer.Exit, typer.BadParameter):
            raise
        except Exception as error:
            traceback.print_exc()
            typer.echo("recognition: this is a fault of the program, not yours", err=True)
            raise typer.Exit(FAULT) from error


def _forget_output() -> None:
    """Let what is left in the buffers go nowhere: Python would complain of it at the end."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.close(nowhere)


@contextmanager
def _polite_kill() -> Iterator[None]:
    """SIGTERM ends the work as Ctrl-C does, so that it cleans up as well."""
    if threading.current_thread() is not threading.main_thread():
        yield  # only the main thread may ask for signals
        return
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)


@contextmanager
def bar(what: str, total: int) -> Iterator[Advance]:
    """A stage as a progress bar on stderr; in a log file, a line now and then."""
    with _bar(what, total) as progress, _shown_at_last(progress), _last(progress):

        def advance(done: int, note: str = "") -> None:
            progress.set_postfix_str(note, refresh=False)
            progress.update(done - progress.n)

        yield advance


@contextmanager
def counter(what: str) -> Iterator[Callable[[int, int], None]]:
    """A bar that learns its total while it goes."""
    with _bar(what, None) as progress:

        def count(done: int, total: int) -> None:
            progress.total = total
            progress.update(done - progress.n)

        yield count


@contextmanager
def _last(progress: "tqdm[Any]") -> Iterator[None]:
    """It is the bar that is drawn now."""
    _bars.append(progress)
    try:
        yield
    finally:
        _bars.remove(progress)


@contextmanager
def _shown_at_last(progress: "tqdm[Any]") -> Iterator[None]:
    """Show a bar that nobody advances, too, once it has been there for a while."""
    timer = threading.Timer(SOON + progress.mininterval, progress.update, [0])
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def make_way() -> None:
    """Take a bar off the terminal for lines that come now; it is drawn again below them."""
    if _bars and sys.stderr.isatty():
        _bars[-1].clear()


def _bar(what: str, total: int | None) -> "tqdm[Any]":
    quiet = not sys.stderr.isatty()
    return tqdm(
        total=total,
        desc=what,
        file=sys.stderr,
        mininterval=10 if quiet else 0.1,
        maxinterval=60 if quiet else 10,
        delay=SOON,
        dynamic_ncols=not quiet,
    )


class _AboveTheBars(logging.Handler):
    """Prints what is logged on stderr, above the bars that are drawn there."""

    def emit(self, record: logging.LogRecord) -> None:
        tqdm.write(legible(record.getMessage()), file=sys.stderr)


@contextmanager
def shown_warnings() -> Iterator[None]:
    """Show what the package warns of while it works, wherever else it is logged."""
    log, handler = logging.getLogger("recognition"), _AboveTheBars(logging.WARNING)
    log.addHandler(handler)
    try:
        yield
    finally:
        log.removeHandler(handler)


def show_json(told: Mapping[str, Any]) -> None:
    """Print JSON in ASCII, which any terminal takes and from which every name can be read exactly."""
    typer.echo(json.dumps(told, indent=1, allow_nan=False))


def name_skipped(skipped: "Sequence[Skipped]") -> None:
    """Say on stderr which pictures the report does not show, and why."""
    for one in skipped[:NAMED]:
        typer.echo(f"not shown {legible(one.path)!r}: {legible(one.reason)}", err=True)
    if len(skipped) > NAMED:
        typer.echo(f"not shown {len(skipped) - NAMED:,} more", err=True)


def command_line() -> str:
    """What was typed, as one would type it again."""
    return shlex.join(["recognition", *sys.argv[1:]])


def show_tables(tables: Sequence[Table]) -> None:
    """Print tables that fit 80 columns, each cell's interval on a line of its own, notes below."""
    console = Console(markup=False, emoji=False)  # names come from files: they are no markup
    for table in tables:
        drawn = RichTable(
            title=table.title,
            title_justify="left",
            title_style="bold",
            box=box.SIMPLE_HEAD,
            padding=(0, 1, 0, 0),
        )
        for index, heading in enumerate(table.headings):
            drawn.add_column(
                heading, justify="right" if index else "left", no_wrap=index > 0, min_width=9
            )
        for row in table.rows:
            drawn.add_row(*("\n".join(filter(None, cell)) for cell in row))
        console.print(drawn)
        show_lines(table.notes, indent=1)
        if table.notes:
            typer.echo()


def show_run_folder(folder: Path) -> None:
    """Say where a run was written, and its page; paths are for copying, and never cut."""
    typer.echo(f"Written to {legible(str(folder))}")
    typer.echo(f"To look at: {legible(str(folder / REPORT))}")


def whole(name: Path | str) -> str:
    """A name or a path, legible, that `show_lines` never cuts: a piece of it is of no use."""
    return legible(str(name)).replace(" ", _KEPT)


def show_lines(lines: Iterable[str], *, indent: int = 0, hang: int = 0) -> None:
    """Print sentences, cut between words where a line is full, and going on further right.

    Args:
        lines: one each; one that begins with spaces is of a list, and goes on below its words.
        indent: spaces before each, twice as many where it goes on.
        hang: spaces where a line goes on, at least.
    """
    width = min(Console().width, MOST_COLUMNS)
    for line in lines:
        listed = len(line) - len(line.lstrip(" "))
        further = max(2 * indent, hang, listed + 2 if listed else 0)
        cut = fill(
            line,
            width,
            initial_indent=" " * indent,
            subsequent_indent=" " * further,
            break_on_hyphens=False,
            break_long_words=False,
        )
        typer.echo(cut.replace(_KEPT, " "))
