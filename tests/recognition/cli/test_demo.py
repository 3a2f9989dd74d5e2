"""`recognition demo`: the first thing a newcomer types."""

import json
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.main import get_command
from typer.testing import CliRunner

from recognition.cli import app, comparison

VERBS = get_command(app).commands  # type: ignore[attr-defined]


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """What a comparison would be made of."""
    seen: dict[str, Any] = {}

    def run(
        source: comparison.Data, plan: Any, folder: Path, *, as_json: bool, images: bool
    ) -> None:
        seen.update(source=source, plan=plan, folder=folder, images=images)
        typer.echo(json.dumps({"heads": list(plan.heads)}) if as_json else "tables")

    monkeypatch.setattr(comparison, "run_comparison", run)
    return seen


def test_it_is_the_quick_comparison_of_drawn_faces(asked: dict[str, Any]) -> None:
    assert CliRunner().invoke(app, ["compare", "--quick", "--out", "x"]).exit_code == 0
    quick = dict(asked)
    assert CliRunner().invoke(app, ["demo", "--out", "x"]).exit_code == 0
    assert asked == quick
    assert asked["source"].quick
    assert asked["source"].name == "drawn"
    assert asked["folder"] == Path("x")


def test_it_names_commands_that_there_are(asked: dict[str, Any]) -> None:
    said = CliRunner().invoke(app, ["demo"]).stdout
    assert said.startswith("tables")
    commands = re.findall(r"^  recognition (\S+)(.*?)   ", said.partition("Next:")[2], re.MULTILINE)
    assert len(commands) == 4
    for verb, options in commands:
        assert VERBS[verb].make_context(verb, shlex.split(options))


def test_json_stands_alone(asked: dict[str, Any]) -> None:
    done = CliRunner().invoke(app, ["demo", "--json"])
    assert json.loads(done.stdout)["heads"]
    assert "Next:" in done.stderr
