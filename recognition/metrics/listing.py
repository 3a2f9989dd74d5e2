"""What is measured, as a table: every rate with its definition, as its docstring has it."""

import inspect
from collections.abc import Iterator

from recognition import metrics

QUESTIONS = {  # by the module that a metric stands in
    "verification": "two pictures: one person?",
    "hull": "two pictures: one person?",
    "accuracy": "two pictures: one person?",
    "score_separation": "two pictures: one person?",
    "failures": "... and pictures that could not be used?",
    "costs": "what do its errors cost?",
    "calibration": "what is a score worth as evidence?",
    "identification": "who is it, if anyone enrolled?",
    "retrieval": "is the nearest picture the same person?",
    "quality": "would it help to discard poor pictures?",
    "angles": "how far apart are people?",
}


def table() -> str:
    """Every metric with the question it answers and its definition, as a Markdown table."""
    lines = ["| question | in `recognition.metrics` | definition |", "|---|---|---|"]
    told = ""
    for question, name, definition in _rows():
        lines.append(f"| {question if question != told else ''} | `{name}` | {definition} |")
        told = question
    return "\n".join(lines)


def _rows() -> Iterator[tuple[str, str, str]]:
    for module, question in QUESTIONS.items():
        for name in metrics.__all__:
            metric = getattr(metrics, name)
            if inspect.isfunction(metric) and metric.__module__.endswith(f".{module}"):
                yield question, name, _definition(metric)


def _definition(metric: object) -> str:
    first = (inspect.getdoc(metric) or "").split("\n\n")[0]
    return " ".join(first.split()).replace("|", r"\|")
