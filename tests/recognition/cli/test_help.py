"""Help of the verbs, as a newcomer meets it in 80 columns."""

import re
import shlex

import pytest
from typer.main import get_command
from typer.testing import CliRunner

from recognition.cli import app
from recognition.templates import _WORDS as WORDS

VERBS = dict(get_command(app).commands)  # type: ignore[attr-defined]
for group in ("weights", "export", "gallery", "index", "classes"):
    VERBS |= {f"{group} {name}": verb for name, verb in VERBS[group].commands.items()}
PANELS = {
    "evaluate": ["What to judge", "Pairs", "Several pictures", "More to", "What is", "Output"],
    "embed": ["Photographs", "Which faces", "Model", "Output"],
    "compare": ["Pictures to learn from", "Heads", "Training", "Output"],
    "finetune": ["Embeddings to", "Learning", "Output"],
    "train": [
        "What to learn from",
        "Network and head",
        "Optimiser",
        "Learning rate",
        "Small random",
        "Validation",
        "Run",
        "Settings and output",
    ],
    "detect": ["Photographs", "Which faces", "Output"],
    "index bench": ["What to measure", "Output"],
    "doctor": ["Model", "Output"],
    "verify": ["Photographs", "Model", "When", "Output"],
}
SMALL = {
    "demo": ["Output"],
    "weights list": ["Output"],
    "weights fetch": ["Which weights", "How", "Output"],
    "weights verify": ["Which weights", "Output"],
    "export onnx": ["What to export", "Output"],
    "classes list": ["Run", "Output"],
    "classes add": ["Run", "People", "Output"],
    "classes remove": ["Run", "People", "Output"],
    "classes export": ["Run", "Output"],
    "classes import": ["Run", "People", "Output"],
    "project": ["What to project", "Output"],
    "calibrate": ["Gallery", "Wanted rate", "Model", "Output"],
    "identify": ["Gallery", "Answers", "Model", "Output"],
    "gallery create": ["Gallery", "Model", "Output"],
    "gallery enroll": ["Gallery", "People", "Model", "Output"],
    "gallery ingest": ["Gallery", "People", "Model", "Output"],
    "gallery sync": ["Gallery", "People", "Model", "Output"],
    "gallery list": ["Gallery", "Output"],
    "gallery show": ["Gallery", "People", "Output"],
    "gallery stats": ["Gallery", "Output"],
    "gallery remove": ["Gallery", "People", "Output"],
    "gallery erase": ["Gallery", "People", "Output"],
    "gallery export": ["Gallery", "Output", "People"],
    "gallery check": ["Gallery", "Output"],
    "gallery repair": ["Gallery", "Model", "Output"],
    "gallery import": ["Gallery", "People", "Output"],
}


def shown(verb: str) -> str:
    return CliRunner().invoke(app, [*verb.split(), "--help"], env={"COLUMNS": "80"}).stdout


@pytest.mark.parametrize("verb", [*PANELS, *SMALL])
def test_options_stand_in_a_few_groups(verb: str) -> None:
    text = shown(verb)
    headings = re.findall(r"^(\S.*):$", text, re.MULTILINE)
    groups = {**PANELS, **SMALL}[verb]
    assert len(headings) == len(groups)
    assert all(map(str.startswith, headings, groups))
    assert max(map(len, text.splitlines())) <= 80


@pytest.mark.parametrize("verb", [*PANELS, *SMALL])
def test_every_option_is_explained_in_one_group(verb: str) -> None:
    text = shown(verb)
    for parameter in VERBS[verb].params:
        assert parameter.rich_help_panel, parameter.name
        if parameter.param_type_name == "option":
            assert (
                len(re.findall(rf"^  (?:-\w, )?{parameter.opts[0]}[ ,]", text, re.MULTILINE)) == 1
            )
            assert parameter.help


@pytest.mark.parametrize("verb", VERBS)
def test_nobody_reads_types_of_python_or_braces(verb: str) -> None:
    assert not re.search(
        r"list\[|<path>|<str>|[{}]",
        shown(verb).replace('{"path"', "").replace('{"team": "blue"}', "").replace("[...]}", ""),
    )


def test_no_word_that_is_to_be_typed_is_cut() -> None:
    text = shown("evaluate")
    assert all(word in text for word in WORDS)


@pytest.mark.parametrize("verb", [*PANELS, *SMALL])
def test_examples_name_options_that_there_are(verb: str) -> None:
    examples = re.findall(rf"^  recognition {verb}(.*?)(?:   .*)?$", shown(verb), re.MULTILINE)
    assert len(examples) > (5 if verb in PANELS else 1)
    for example in examples:
        assert VERBS[verb].make_context(verb, shlex.split(example))


def test_a_verb_is_told_in_one_whole_sentence() -> None:
    listed = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "80"}).stdout
    for verb in [
        *(one for one in PANELS if " " not in one),
        "weights",
        "index",
        "export",
        "gallery",
        "calibrate",
        "identify",
        "project",
        "demo",
    ]:
        assert re.search(rf"^  {verb} +\S.*\.$", listed, re.MULTILINE)
    assert "..." not in listed.partition("Commands:")[2]


@pytest.mark.parametrize("verb", [*PANELS, *SMALL])
def test_every_verb_prints_json_for_programs(verb: str) -> None:
    assert any("--json" in parameter.opts for parameter in VERBS[verb].params)


def test_no_verb_is_left_out_here() -> None:
    groups = {name.split()[0] for name in VERBS if " " in name}
    assert set(VERBS) == {*PANELS, *SMALL, *groups}
