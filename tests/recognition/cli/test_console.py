"""What a person sees while it works."""

import io
import subprocess
import sys
import threading
import time

import pytest
import typer
from typer.testing import CliRunner

from recognition.cli import console
from recognition.errors import InputError


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal_of(monkeypatch: pytest.MonkeyPatch) -> Terminal:
    seen = Terminal()
    monkeypatch.setattr(sys, "stderr", seen)  # not in a fixture: pytest puts its own back after
    return seen


def test_a_stage_that_tells_nothing_is_shown_once_it_takes_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    terminal = terminal_of(monkeypatch)
    monkeypatch.setattr(console, "SOON", 0.01)
    with console.bar("calibration", 1) as advance:
        late = time.monotonic() + 20
        while not terminal.getvalue() and time.monotonic() < late:
            time.sleep(0.01)
        assert "calibration:   0%" in terminal.getvalue()
        advance(1)
    assert "1/1" in terminal.getvalue()
    assert terminal.getvalue().endswith("\n")


def test_a_bar_gives_way_to_lines(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = terminal_of(monkeypatch)
    console.make_way()
    assert terminal.getvalue() == ""
    monkeypatch.setattr(console, "SOON", 0.0)
    with console.bar("looking", 2) as advance:
        advance(1)
        console.make_way()
        assert terminal.getvalue().endswith(" \r")
        assert "looking" not in terminal.getvalue().rsplit("\r", 2)[1]
    console.make_way()
    assert terminal.getvalue().endswith("\n")


def test_an_output_that_is_closed_is_no_verdict() -> None:
    """`recognition verify ... | head -1` ended with 1, which says that people differ."""
    code = "from recognition.cli import main; main()"
    process = subprocess.Popen(
        [sys.executable, "-c", code, "weights", "list"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    process.stdout.close()  # before it has begun to write
    said = process.stderr.read()
    process.stderr.close()
    assert (process.wait(), said) == (141, b"")


def test_no_line_is_cut_within_a_path(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    path = "my photographs of the sea/day one.npz"
    console.show_lines([f"Written to {console.whole(path)}, and that is all there is to be said"])
    said = capsys.readouterr().out
    assert path + "," in said.splitlines()
    assert console.whole("a\nb") == "a\\x0ab"


def test_a_line_of_a_list_goes_on_below_its_words(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("COLUMNS", "20")
    console.show_lines(["  a.jpg: text; give a photograph"])
    console.show_lines(["BROKEN  torch: it is not here at all"], hang=8)
    first, second, third, *rest = capsys.readouterr().out.splitlines()
    assert (first, second) == ("  a.jpg: text; give", "    a photograph")
    assert third.startswith("BROKEN  ")
    assert all(line.startswith(" " * 8) for line in rest)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_a_short_stage_is_not_shown_and_leaves_no_timer(
    error: type[BaseException] | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal = terminal_of(monkeypatch)
    monkeypatch.setattr(console, "SOON", 60.0)
    try:
        with console.bar("calibration", 1) as advance:
            if error is not None:
                raise error
            advance(1)
    except KeyboardInterrupt:
        pass
    assert terminal.getvalue() == ""
    assert not any(isinstance(each, threading.Timer) for each in threading.enumerate())


@pytest.mark.parametrize(
    ("error", "code", "said"),
    [
        (InputError("expected a face"), 2, "recognition: expected a face\n"),
        (OSError(28, "No space left on device", "x"), 2, "x: No space left on device; make room"),
        (ZeroDivisionError("a bug"), 70, "Traceback"),
        (typer.BadParameter("no"), 2, "no"),
        (typer.Exit(1), 1, ""),
        (KeyboardInterrupt(), 130, "stopped; nothing was written"),
    ],
    ids=lambda value: type(value).__name__ if isinstance(value, BaseException) else None,
)
def test_an_exit_code_says_what_kind_of_end_it_was(
    error: BaseException, code: int, said: str
) -> None:
    one = typer.Typer()

    @one.command()
    def verb() -> None:
        with console.spoken_errors():
            raise error

    done = CliRunner().invoke(one, [])
    assert done.exit_code == code
    assert said in done.stderr
    assert ("Traceback" in done.stderr) == (code == console.FAULT)
