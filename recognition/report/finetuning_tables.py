"""What finetuning gained, as a table and sentences, from what its `results.json` holds."""

from collections.abc import Mapping
from typing import Any

from recognition.report.numbers import span
from recognition.report.table import Table
from recognition.report.text import several

Results = Mapping[str, Any]
COLUMNS = {
    "eer": "EER %",
    "tar@fmr=0.01": "TAR %\n@ FMR 0.01",
    "tar@fmr=0.001": "TAR %\n@ FMR 0.001",
    "rank1": "rank 1 %",
    "fnir@fpir=0.1": "FNIR %\n@ FPIR 0.1",
}
ROWS = {"raw": "as they came", "projected": "projected"}


def tables(results: Results) -> list[Table]:
    """The people left out, by their embeddings as they came and projected: means over the folds."""
    rows = []
    for key, name in ROWS.items():
        estimates = results["estimates"][key]
        rows.append([(name, ""), *(_cell(estimates[column]) for column in COLUMNS)])
    title = f"People left out: means over {len(results['folds'])} folds"
    return [Table(title, ["embeddings", *COLUMNS.values()], rows)]


def _cell(estimate: Mapping[str, Any]) -> tuple[str, str]:
    if estimate["value"] is None:
        return "not resolved", ""
    value = f"{estimate['value'] * 100:.1f}" + ("*" if estimate["note"] else "")
    if estimate["low"] is None:
        return value, ""
    return value, span(*(f"{estimate[end] * 100:.1f}" for end in ("low", "high")))


def notes(results: Results) -> list[str]:
    """Who was learned from and judged, and how long."""
    given, folds = results["input"], results["folds"]
    learned = sorted({fold["learned_from"] for fold in folds})
    each = f"{learned[0]} to {learned[-1]}" if len(learned) > 1 else f"{learned[0]}"
    judged = sum(fold["pictures"] for fold in folds)
    steps = ", ".join(str(fold["steps"]) for fold in folds)
    asked = (
        f"{given['people']:,} people, {several(given['pictures'], 'picture')}, "
        f"{given['dimensions']} dimensions. Everybody was left out once and judged "
        f"({several(judged, 'picture')}) by what was learned from the others, {each} people, with "
        f"{results['recipe']['head']}."
    )
    taken = (
        "Steps taken, as chosen on people held out among those learned from, in each fold: "
        f"{steps}; in the end, from everybody: {results['projection']['steps']}."
    )
    lines = [asked, taken]
    if given["failures"]:
        lost = several(len(given["failures"]), "picture")
        lines.append(f"{lost} could not be embedded, and took no part.")
    shown = [results["estimates"][key][column] for key in ROWS for column in COLUMNS]
    doubts = dict.fromkeys(one["note"] for one in shown if one["note"])
    return lines + [f"* {doubt}." for doubt in doubts]


def verdict(results: Results) -> list[str]:
    """What the numbers allow to say, in words."""
    gap, people = results["difference"], results["input"]["people"]
    points = (
        f"{gap['difference'] * 100:+.2f} points of equal error rate "
        f"(95 %: {gap['low'] * 100:+.2f} to {gap['high'] * 100:+.2f}), {gap['other']:.2%} as they "
        f"came and {gap['value']:.2%} projected"
    )
    told = {
        "gains": f"It gains: {points}, on people left out.",
        "loses": f"It loses: {points}, on people left out. Keep the embeddings as they are.",
        "not told apart": (
            f"It cannot be told apart with {people} people whether it gains anything: {points}. "
            "Keep the embeddings as they are, or bring more people."
        ),
        "nothing learned": (
            "It gains nothing: in every fold people held out were told apart best with no step "
            "taken, so that the projection changes nothing. Keep the embeddings as they are."
        ),
    }
    lines = [told[results["verdict"]]]
    if results["projection"]["identity"] and results["verdict"] != "nothing learned":
        lines.append("The projection learned from everybody took no step, and changes nothing.")
    return lines
