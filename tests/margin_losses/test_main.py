"""`python -m margin_losses`: the heads by name, in a terminal."""

import io
import json
import os
import subprocess
import sys

import pytest

from margin_losses import MARGINS, HeadSpec
from margin_losses.__main__ import columns, main
from margin_losses.registry import rows, table


def output(capsys: pytest.CaptureFixture[str], *arguments: str) -> str:
    assert main(arguments) == 0
    return capsys.readouterr().out


@pytest.mark.parametrize("width", [80, 100, 300])
def test_every_head_has_its_place_in_the_table(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, width: int
) -> None:
    monkeypatch.setenv("COLUMNS", str(width))
    title, rule, *lines = output(capsys).splitlines()
    assert title.split() == ["name", "own", "class's", "logit", "defaults", "paper"]
    names = [line.split()[0] for line in lines if not line.startswith(" ")]
    assert names == list(MARGINS)
    # whatever was wrapped is all there, in its column
    starts = [0] + [i + 2 for i in range(len(rule)) if rule[i : i + 2] == "  "]
    assert len(starts) == 4
    said = "".join(table_without_gaps(rows()))
    assert sorted("".join("".join(line.split()) for line in lines)) == sorted(said)


def table_without_gaps(cells) -> list[str]:
    return ["".join("".join(cell.split()) for cell in row) for row in cells]


@pytest.mark.parametrize("width", [60, 80, 120])
def test_columns_are_aligned_and_no_wider_than_the_terminal(width: int) -> None:
    cells = [("name", "b", "c"), ("long_name", "one " * 20, "two " * 30), ("x", "n̂ = 1", "end")]
    title, rule, *lines = columns(cells, width).split("\n")
    second, third = rule.index(" -") + 1, rule.rindex(" -") + 1
    assert title[second] == "b"
    assert title[third] == "c"
    assert all(len(line) <= width for line in lines)
    assert all(line[second - 2 : second].strip() == "" for line in lines)
    *wrapped, last = lines
    assert len(wrapped) > 1
    assert all("one" not in line[third:] for line in wrapped)
    assert last[second:].startswith("n̂ = 1")
    assert last[third + 1 :] == "end"  # the hat takes no place of its own


def test_a_narrow_terminal_gets_sixty_columns() -> None:
    cells = [("a", "b"), ("x", "y z " * 30)]
    assert columns(cells, 20) == columns(cells, 60)


def test_what_fits_is_not_wrapped() -> None:
    cells = [("a", "b"), ("x", "y z " * 9)]
    assert len(columns(cells, 60).split("\n")) == 3


def test_an_address_is_not_broken() -> None:
    address = "doi:" + "9" * 70
    assert address in columns([("a", "b"), ("x", f"see {address}")], 60)


def test_markdown_is_the_table_of_the_readme(capsys: pytest.CaptureFixture[str]) -> None:
    assert output(capsys, "--markdown") == f"{table()}\n"


def test_json_has_the_same_rows(capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads(output(capsys, "--json"))
    assert [tuple(row.values()) for row in found] == [tuple(row) for row in rows()]
    assert list(found[0]) == ["name", "formula", "defaults", "paper"]
    by_name = {row["name"]: row for row in found}
    assert by_name["cosface"]["formula"] == "s (cos θ - m)"
    assert by_name["amsoftmax"]["defaults"] == "m=0.35, s=30"


@pytest.mark.parametrize("row", rows(), ids=lambda row: row.name)
def test_the_defaults_can_be_written_after_the_name(row) -> None:
    options = row.defaults.replace(", ", ",")
    spec = HeadSpec.parse(f"{row.name}:{options}" if options else row.name)
    assert spec.margin == MARGINS[row.name]()


def test_help_says_what_to_do_with_a_name(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert 'MarginHead(512, 10_000, "arcface:m=0.4,s=32")' in said
    assert "--markdown" in said
    assert "--json" in said
    assert said.isascii()  # any terminal can show it
    HeadSpec.parse("arcface:m=0.4,s=32")


@pytest.mark.parametrize("arguments", [["--yaml"], ["arcface"], ["--json", "--markdown"]], ids=str)
def test_wrong_arguments_end_with_two(
    capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2
    found = capsys.readouterr()
    assert not found.out
    assert "usage: python -m margin_losses" in found.err


def test_a_terminal_without_greek_gets_question_marks(monkeypatch: pytest.MonkeyPatch) -> None:
    stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["--markdown"]) == 0
    assert b"| `cosface` | s (cos ? - m) |" in stream.buffer.getvalue()


@pytest.mark.parametrize("arguments", [[], ["--help"]], ids=["long", "short"])
def test_a_reader_that_has_left_is_no_error(arguments: list[str]) -> None:
    """`python -m margin_losses | head -1`, where head is always faster."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    run = [sys.executable, "-m", "margin_losses", *arguments]
    pipe = subprocess.PIPE
    with subprocess.Popen(run, stdout=pipe, stderr=pipe, env=environment) as process:
        process.stdout.close()
        said = process.stderr.read()
    assert not said
    assert process.returncode == 0
