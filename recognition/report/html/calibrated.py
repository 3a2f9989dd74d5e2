"""The report of a gallery's threshold: what it means, and what it was measured on."""

import math
from collections.abc import Iterator
from dataclasses import replace

from recognition.report.evaluation.cells import Results
from recognition.report.html.document import Document, Part
from recognition.report.html.evaluated import LIMITS
from recognition.report.html.threshold import Operating, threshold_slider
from recognition.report.numbers import places_for, span, written
from recognition.report.table import Table
from recognition.report.text import several
from recognition.report.wording import of_many

LARGER = (1, 2, 5, 10, 100)  # times the people who are enrolled
FATES = {
    "fpir": ("strangers", "would be given a name"),
    "fmr": ("comparisons of a stranger with somebody enrolled", "would match"),
}
BY = {"best": "the picture most alike", "template": "the mean of all pictures"}
SEEN = (
    "Of strangers the best score of each search; of people enrolled the score with the person it "
    "is. Whatever lies at or right of the threshold can be given a name."
)
GROWN = (
    "Were comparisons independent: 1 - (1 - FPIR)^(n / N) for n people instead of N. They are "
    "not, so it is usually less; calibrate again when the gallery has grown."
)
HERE = (
    (
        "The rate was reached on the very strangers that the threshold was set by; others are "
        "expected to reach a little more, well within the interval."
    ),
)


def document(results: Results) -> Document:
    """The page of a threshold; `results` has "threshold", "set", "gallery", "operating", ..."""
    told = results["threshold"]
    people = several(told["people"], "enrolled person", "enrolled people")
    return Document(
        title=f"From which score on {results['gallery']} gives a name",
        lead=(
            f"{told['score'].capitalize()} scores: a person is as alike as {BY[told['score']]}. "
            f"Measured on {told['strangers']:,} strangers among {people}."
        ),
        verdict=list(_verdict(results)),
        parts=list(_parts(results)),
        limits=[*HERE, *LIMITS],
        command=results["command"],
        facts=list(_facts(results)),
    )


def _verdict(results: Results) -> Iterator[str]:
    told = results["threshold"]
    people = several(told["people"], "enrolled person", "enrolled people")
    fate = of_many(*FATES[told["rule"]], told["reached"], told["low"], told["high"])
    value = written(told["value"], "score", 4)
    yield f"At threshold {value} and {people}, {fate}."
    if told["fnir"] is not None:
        text = of_many("searches for somebody enrolled", "would miss",
                       told["fnir"], told["fnir_low"], told["fnir_high"])  # fmt: skip
        yield f"{text[0].upper()}{text[1:]}."
    else:
        yield (
            "How often somebody enrolled is missed is not known: the probes have no other pictures "
            "of people who are enrolled."
        )
    if told["note"]:
        yield f"Careful: {told['note']}."
    yield (
        "It is set in the gallery."
        if results["set"]
        else "It is not set in the gallery (--dry-run)."
    )


def _parts(results: Results) -> Iterator[Part]:
    told, operating = results["threshold"], results["operating"]
    slider = threshold_slider(
        "threshold", Operating(results["histogram"], None, operating), told["value"]
    )
    drawing = replace(slider.drawing, title="The scores of searches", sentence=SEEN)
    yield Part("people", "What would another threshold do?", ["Move it, and see."],
               [replace(slider, drawing=drawing)])  # fmt: skip
    yield Part("measured", "What it was measured on", (), [_measured(results)])
    if told["rule"] == "fpir":
        yield Part("growth", "If more people are enrolled", [GROWN], [_growth(results)])


def _measured(results: Results) -> Table:
    told = results["threshold"]
    tried = "searches of strangers" if told["rule"] == "fpir" else "comparisons with strangers"
    rate = told["rule"].upper()
    rows = [
        (f"{rate} asked for", _share(told["rate"]), ""),
        (f"{rate} reached", *_interval(told["reached"], told["low"], told["high"])),
        (f"{tried}, of which it is a share", f"{told['trials']:,}", ""),
        ("strangers", f"{told['strangers']:,}", ""),
        ("people enrolled", f"{told['people']:,}", ""),
        ("pictures enrolled", f"{results['pictures']:,}", ""),
    ]
    if told["fnir"] is not None:
        rows += [
            ("FNIR", *_interval(told["fnir"], told["fnir_low"], told["fnir_high"])),
            ("searches for somebody enrolled", f"{told['mated']:,}", ""),
        ]
    exact = repr(float(told["value"]))
    rows.insert(0, ("threshold, to the last digit", exact, ""))
    note = ["The second number of a cell is its 95 % interval by person."]
    return Table("The threshold", ["", "value"],
                 [[(name, ""), (value, ends)] for name, value, ends in rows], note)  # fmt: skip


def _share(value: float) -> str:
    return f"{written(value, 'share', places_for(value, 'share'))} %"


def _interval(value: float, low: float | None, high: float | None) -> tuple[str, str]:
    if low is None or high is None:
        return _share(value), ""
    places = places_for(value, "share", low=low, high=high)
    ends = span(*(written(end, "share", places) for end in (low, high)))
    return f"{written(value, 'share', places)} %", ends


def _growth(results: Results) -> Table:
    told = results["threshold"]
    rows = []
    for times in LARGER:
        cells = []
        for key in ("reached", "high"):
            rate = told[key]
            grown = 1.0 if rate >= 1 else -math.expm1(times * math.log1p(-rate))
            cells.append((_share(grown), ""))
        rows.append([(f"{times * told['people']:,}", ""), *cells])
    headings = ["people enrolled", "FPIR up to about", "upper end of its interval"]
    return Table("Strangers given a name, by the size of the gallery", headings, rows)


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    told = results["threshold"]
    yield "gallery", results["gallery"]
    yield "model", results["model"]
    yield "probes", results["probes"]
    yield "SHA-256 of the probes", told["data"]
    yield "date", told["date"]
    yield "version", results["version"]
    yield "seconds", f"{results['seconds']:.3g}"
