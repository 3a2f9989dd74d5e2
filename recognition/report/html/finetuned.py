"""The report of a projection learned on embeddings, from what its `results.json` holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from recognition.report.evaluation.cells import Results
from recognition.report.finetuning_tables import notes, tables, verdict
from recognition.report.html.document import Block, Document, Part
from recognition.report.html.evaluated import LIMITS
from recognition.report.table import Table
from recognition.report.text import several

MOST_LISTED = 100
HERE = (
    (
        "Nobody was left out to judge the projection that was kept, which is learned from "
        "everybody: the folds judge its like, learned from fewer people."
    ),
    (
        "The interval says how far the difference would vary with other people to be judged, not "
        "with others to be learned from."
    ),
)


def document(results: Results) -> Document:
    """The page of a projection: whether it gains anything, and how it was learned."""
    told = notes(results)
    return Document(
        title=f"Does a projection of {results['input']['source']} gain anything?",
        lead=told[0],
        verdict=verdict(results),
        parts=list(_parts(results, told[1:])),
        limits=[*HERE, *LIMITS],
        command=results["command"],
        facts=list(_facts(results)),
    )


def _parts(results: Results, told: list[str]) -> Iterator[Part]:
    yield Part("people", "People left out", (), tables(results), told)
    held: list[Block] = [_folds(results), _held_out(results)]
    sentence = "Everybody is left out once, and judged by what was learned from all others."
    yield Part("folds", "Each fold by itself", [sentence], held)
    failures = results["input"]["failures"]
    if failures:
        rows = [[(str(each[key]), "") for key in ("id", "label", "reason")]
                for each in failures[:MOST_LISTED]]  # fmt: skip
        more = len(failures) - MOST_LISTED
        yield Part("left-out", "What was left out, and why", (), [
            Table(f"{several(len(failures), 'picture')} without an embedding",
                  ["picture", "person", "reason"], rows,
                  [f"And {more:,} more in results.json."] if more > 0 else []),
        ])  # fmt: skip
    rows = [[(name, ""), (str(value), "")] for name, value in results["recipe"].items()]
    yield Part("settings", "All settings", (), [Table("Settings", ["setting", "value"], rows)])


def _folds(results: Results) -> Table:
    rows = [
        [
            (f"{number}", ""),
            *((f"{fold[key]:,}", "") for key in ("people", "pictures", "learned_from", "steps")),
            *(_eer(fold[key]["eer"]) for key in ("raw", "projected")),
        ]
        for number, fold in enumerate(results["folds"], start=1)
    ]
    return Table(
        "Equal error rates of the people left out",
        ["fold", "people", "pictures", "people\nlearned from", "steps", "EER %\nas they came",
         "EER %\nprojected"],
        rows,
    )  # fmt: skip


def _eer(estimate: Mapping[str, Any]) -> tuple[str, str]:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return "not resolved", ""
    told = "" if low is None or high is None else f"{100 * low:.1f}–{100 * high:.1f}"
    return f"{100 * value:.2f}" + ("*" if estimate["note"] else ""), told


def _held_out(results: Results) -> Table:
    """By which the number of steps was chosen."""
    learned = [*results["folds"], results["projection"]]
    steps = sorted({entry["steps"] for each in learned for entry in each["held_out"]})
    found = [{entry["steps"]: entry["eer"] for entry in each["held_out"]} for each in learned]
    rows = [
        [
            (f"{step:,}", ""),
            *((f"{100 * each[step]:.2f}" if step in each else "", "") for each in found),
        ]
        for step in steps
    ]
    names = [*(f"fold {at}" for at in range(1, len(results["folds"]) + 1)), "everybody"]
    told = (
        "Equal error rate in percent of people held out among those learned from: the number of "
        "steps with the lowest is taken, and it can be none."
    )
    return Table("By number of steps", ["steps", *names], rows, [told])


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    yield "judged", results["input"]["source"]
    yield "version", results["version"]
    yield "seconds", f"{results['seconds']:.3g}"
    yield "seed", f"{results['seed']}"
    yield "resamples of the people", f"{results['resamples']:,}"
