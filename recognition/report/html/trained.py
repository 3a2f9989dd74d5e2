"""The report of a training run, from what its `results.json` and `log.csv` hold."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recognition.report.evaluation.cells import NOT_RESOLVED, SYMBOLS, Results, sentence
from recognition.report.html.document import Block, Document, Part
from recognition.report.html.evaluated import LIMITS
from recognition.report.html.trained_drawings import (
    Line,
    course_drawings,
    metric_name,
    validation_drawing,
    validations,
)
from recognition.report.numbers import places_for, span, with_sign, written
from recognition.report.table import Table
from recognition.report.text import several
from recognition.report.training_figures import Point
from recognition.report.wording import of_many

# what a line of the log has to have
COLUMNS = ("step", "loss", "accuracy", "angle", "cosine", "gradient", "lr", "head_lr",
           "images_per_second", "validation")  # fmt: skip
LOWER_IS_BETTER = ("eer", "fnir")
UNITS = {"silhouette": "number", "nc1": "number", "alignment": "number", "uniformity": "number",
         "effective-rank": "number", "trace-ratio": "number", "intra": "degrees", "inter": "degrees"}  # fmt: skip
OTHERS = {
    "effective-rank": "Effective rank",
    "intra": "Intra: a picture to its person's centre",
    "inter": "Inter: a centre to the nearest other one",
    "nc1": "NC1",
    "trace-ratio": "Trace ratio",
    "silhouette": "Silhouette",
    "alignment": "Alignment",
    "uniformity": "Uniformity",
}
FATES = {
    "eer": ("pairs", "would be judged wrongly, at the threshold of equal errors"),
    "tar": ("pairs of one person", "would be accepted"),
    "fnir": ("searches for somebody enrolled", "would miss"),
    "rank1": ("searches", "would find the person first"),
}
MOST_LISTED = 100
HERE = (
    (
        "The best network was chosen by the very people it is judged on here, so its numbers "
        "flatter it a little: for a number to rely on, evaluate the weights on people of whom "
        "nothing was chosen."
    ),
)


def document(results: Results, lines: Sequence[Line] = ()) -> Document:
    """The page of a run; `lines` are those of its log, whose columns are `COLUMNS`."""
    model = results["config"]["model"]
    points = validations(results, lines)
    return Document(
        title=f"The network {model['backbone']}, trained with {model['head']}",
        lead=_lead(results),
        verdict=verdict(results, points),
        parts=list(_parts(results, lines, points)),
        limits=[*HERE, *LIMITS],
        command=results.get("command") or "recognition train --config config.toml",
        facts=list(_facts(results)),
    )


def _lead(results: Results) -> str:
    apart = results["validation"]
    return (
        f"{results['source']}: learned from {several(results['people'], 'person', 'people')} "
        f"({several(results['pictures'], 'picture')}) in {several(results['steps'], 'step')}, "
        f"judged on {apart['people']:,} people never learned from "
        f"({several(apart['pictures'], 'picture')})."
    )


def verdict(results: Results, points: Sequence[Point]) -> list[str]:
    """What a run is worth, in sentences, from its results and their `validations`."""
    return [*_worth(results, points), *_trouble(results)]


def _worth(results: Results, points: Sequence[Point]) -> Iterator[str]:
    """How good the kept network is, and whether more steps would do more."""
    metric, best = results["config"]["validation"]["metric"], results["best"]
    name = metric_name(metric)
    if not best:
        note = (results["last_estimates"].get(metric) or {}).get("note")
        yield f"Nothing can be said of people never seen: {name} is not resolved."
        if note:
            yield sentence(note)
        return
    found = results["estimates"].get(metric) or {"value": None}
    if found["value"] is None:
        found = {"value": best["value"], "low": None, "high": None}
    value, interval = _cell(found, "share")
    told = f" (95 %: {interval})" if interval else ""
    people = results["validation"]["people"]
    yield (
        f"On {people:,} people never learned from, the {name} is {value}{told}, by the network "
        f"after step {best['step']:,} of {results['steps']:,}."
    )
    fate = FATES.get(metric.partition("@")[0])
    if fate is not None:
        text = of_many(*fate, found["value"], found["low"], found["high"])
        yield f"{text[0].upper()}{text[1:]}."
    yield _improving(results, points)


def _improving(results: Results, points: Sequence[Point]) -> str:
    """Whether the last validations still gained, as far as their intervals tell."""
    metric, best = results["config"]["validation"]["metric"], results["best"]
    if len(points) < 2:
        return (
            "It was validated once, so whether it still improves is not known; --validate-every "
            "looks at it on the way."
        )
    last = points[-1]
    if best["step"] == last.step:
        return (
            f"The last of {len(points):,} validations is the best: it still improves, or may, and "
            "more steps may bring more."
        )
    since = f"Since step {best['step']:,} no validation was better"
    lower = metric.partition("@")[0] in LOWER_IS_BETTER
    edge = last.low if lower else last.high
    apart = edge is not None and (best["value"] < edge if lower else best["value"] > edge)
    value = f"{100 * last.value:.2f} %"
    if apart:
        return (
            f"{since}, and the last network is worse, at {value}: the best is kept, and fewer "
            "steps would do."
        )
    return (
        f"{since}; the last network, at {value}, cannot be told apart from it with these people. "
        "It hardly improves any more."
    )


def _trouble(results: Results) -> Iterator[str]:
    """What the monitor warned of, and what was left out, in short."""
    found = [
        several(len(results[key]), *words)
        for key, words in (
            ("warnings", ("warning",)),
            ("skipped", ("step that changed nothing", "steps that changed nothing")),
            ("broken", ("picture that could not be decoded", "pictures that could not be decoded")),
        )
        if results[key]
    ]
    if found:
        yield f"Look at this first: {', '.join(found)}."


def _parts(results: Results, lines: Sequence[Line], points: Sequence[Point]) -> Iterator[Part]:
    if results["warnings"] or results["skipped"]:
        blocks = [_skipped_steps(results)] if results["skipped"] else []
        yield Part("warnings", "What went wrong", list(map(sentence, results["warnings"])), blocks)
    shown: list[Block] = [validation_drawing(results, points)] if points else []
    estimates = _estimates(results)
    if estimates is not None:
        shown.append(estimates)
    if shown:
        yield Part("validation", "What is it worth on people never seen?", (), shown)
    drawn = list(course_drawings(lines))
    told = [] if drawn else ["log.csv has no line that could be drawn."]
    yield Part("learning", "How it learned", told, drawn)
    yield Part("costs", "What it took", (), [_costs(results, lines)])
    yield Part(
        "data", "The pictures", (), list(_data(results)), list(map(sentence, results["notes"]))
    )
    yield Part("settings", "All settings", ["As config.toml has them."], list(_settings(results)))


def _cell(estimate: Mapping[str, Any], unit: Any) -> tuple[str, str]:
    value, low, high = (estimate[key] for key in ("value", "low", "high"))
    if value is None:
        return NOT_RESOLVED, ""
    places = places_for(value, unit, low=low, high=high)
    text = with_sign(written(value, unit, places), unit)
    if low is None or high is None:
        return text, ""
    return text, span(*(written(end, unit, places) for end in (low, high)))


def _estimates(results: Results) -> Table | None:
    """Every number of the kept network, and of the last one where that is another."""
    best, last = results["estimates"], results["last_estimates"]
    step = results["best"]["step"] if results["best"] else results["steps"]
    networks = {f"kept, after step {step:,}": best}
    if step != results["steps"]:
        networks[f"last, after step {results['steps']:,}"] = last
    keys = [key for key in best if any(key in each for each in networks.values())]
    if not keys:
        return None
    notes = list(dict.fromkeys(
        each[key]["note"] for each in networks.values() for key in keys
        if key in each and each[key]["note"]
    ))  # fmt: skip
    marks = {note: SYMBOLS[at] if at < len(SYMBOLS) else f" [{at + 1}]"
             for at, note in enumerate(notes)}  # fmt: skip
    rows = []
    for key in keys:
        row = [(OTHERS.get(key) or _name(key), "")]
        for each in networks.values():
            found = each.get(key) or {"value": None, "low": None, "high": None, "note": None}
            value, interval = _cell(found, UNITS.get(key, "share"))
            row.append((value + marks.get(found["note"] or "", ""), interval))
        rows.append(row)
    told = ["The second number of a cell is its 95 % interval by person."]
    told += [f"{mark.strip()} {sentence(note)}" for note, mark in marks.items()]
    people = results["validation"]["people"]
    return Table(f"{people:,} people not learned from", ["", *networks], rows, told)


def _name(key: str) -> str:
    text = metric_name(key) if UNITS.get(key) is None else key
    return text[0].upper() + text[1:] if "@" not in key else text


def _skipped_steps(results: Results) -> Table:
    rows = [
        [(f"{each['step']:,}", ""), (str(each["why"]), "")]
        for each in results["skipped"][:MOST_LISTED]
    ]
    return Table("Steps that changed nothing", ["step", "why"], rows, _more(results["skipped"]))


def _more(entries: Sequence[object]) -> list[str]:
    more = len(entries) - MOST_LISTED
    return [f"And {more:,} more in results.json."] if more > 0 else []


def _costs(results: Results, lines: Sequence[Line]) -> Table:
    rows = [("seconds in all, reading and validating included", f"{results['seconds']:,.1f}")]
    if results.get("resumed") is not None:
        rows[0] = (f"seconds since it went on at step {results['resumed']:,}", rows[0][1])
    speed = lines[-1]["images_per_second"] if lines else 0.0
    if speed > 0:
        run, each = results["config"]["run"], results["config"]["optimiser"]["accumulate"]
        pictures = min(run["batch_size"], results["pictures"]) * each
        rows += [
            ("pictures a second", f"{speed:,.1f}"),
            ("pictures a step", f"{pictures:,}"),
            ("seconds a step, with validations on the way", f"{pictures / speed:.3g}"),
        ]
    for key, name in (("peak_gib", "memory at most"), ("peak_device_gib", "memory of the device")):
        if results.get(key):
            rows.append((f"{name}, GiB", f"{results[key]:.2f}"))
    rows.append(("processes", f"{results['processes']}"))
    return Table(
        "Time and memory", ["", "measured"], [[(name, ""), (told, "")] for name, told in rows]
    )


def _data(results: Results) -> Iterator[Block]:
    apart = results["validation"]
    rows = [
        [("learned from", ""), (f"{results['people']:,}", ""), (f"{results['pictures']:,}", "")],
        [("judged on", ""), (f"{apart['people']:,}", ""), (f"{apart['pictures']:,}", "")],
    ]
    yield Table("Who was learned from, and who was judged", ["", "people", "pictures"], rows)
    for title, entries, name in (
        ("passed over", results.get("passed_over", ()), "path"),
        ("not decoded", results["broken"], "picture"),
    ):
        if entries:
            listed = [[(each[name], ""), (each["reason"], "")] for each in entries[:MOST_LISTED]]
            yield Table(f"{several(len(entries), 'file')} {title}", ["file", "reason"], listed,
                        _more(entries))  # fmt: skip


def _settings(results: Results) -> Iterator[Table]:
    for section, entries in results["config"].items():
        rows = [[(name, ""), (_said(value), "")] for name, value in entries.items()]
        yield Table(section, ["setting", "value"], rows)


def _said(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return f"{value:g}" if isinstance(value, float) else str(value)


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    if results.get("start"):
        yield "begun with the run", results["start"]
    if results.get("resumed") is not None:
        yield "went on at step", f"{results['resumed']:,}"
    yield "seed", f"{results['config']['run']['seed']}"
    yield "SHA-256 of the names of all pictures", results["data"]
    yield "machine", ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    yield from ((f"version of {name}", version) for name, version in results["versions"].items())
