"""The report of a comparison of heads, from what its `results.json` holds."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from recognition.report.comparison.figures import det_figure, fnir_figure, score_figure
from recognition.report.comparison.head_figures import (
    angle_figure,
    cmc_figure,
    difference_figure,
    growth_figure,
    loss_figure,
)
from recognition.report.comparison.tables import Results, notes, tables
from recognition.report.html.curve_tables import at_rates
from recognition.report.html.document import Block, Document, Drawing, Part
from recognition.report.html.embedding_map import map_drawing
from recognition.report.html.evaluated import LIMITS, pairs_of
from recognition.report.html.svg import svg_of
from recognition.report.html.threshold import Operating, nearest, threshold_slider, what_it_means
from recognition.report.table import Table
from recognition.report.text import several

Head = Mapping[str, Any]

RATES = (1e-3, 1e-2, 0.05, 0.1, 0.2)
MOST_SKIPPED = 100
PLACES = 8
UNTOLD = "not told apart from"
HERE = (
    (
        "One small network, learned from few people, tells heads apart only as far as their intervals "
        "do. What is best here need not be best with a larger network and more people."
    ),
    (
        "Heads with settings of their own are compared at these settings; --tune gives all of them "
        "the same effort."
    ),
)


def document(results: Results, thumbnails: Mapping[str, bytes] | None = None) -> Document:
    """The page of a comparison; `thumbnails` are small JPEG pictures by the names of pictures."""
    best = min(results["heads"], key=lambda head: float(head["estimates"]["eer"]["value"]))
    operating = _operating(results, best)
    said = _verdict(results, best)
    if operating is not None:
        means = what_it_means(operating, nearest(operating, _start(best)))
        said.append(f"With {best['name']}: {means[0]}")
    return Document(
        title="Which head tells new people apart?",
        lead=notes(results)[0],
        verdict=said,
        parts=list(_parts(results, best, operating)),
        limits=[*HERE, *LIMITS],
        command=results["command"],
        facts=list(_facts(results)),
        thumbnails=thumbnails or {},
    )


def _verdict(results: Results, best: Head) -> list[str]:
    """Which head makes the fewest errors, and which of them are better than the baseline."""
    eer = best["estimates"]["eer"]
    said = [
        (
            f"{best['name']} has the lowest equal error rate on people never seen in training: "
            f"{eer['value']:.1%} (95 %: {eer['low']:.1%} to {eer['high']:.1%})."
        )
    ]
    differences = results["differences"]
    if differences is None or not differences["heads"]:
        return said
    kinds: dict[str, list[str]] = {"lower than": [], "higher than": [], UNTOLD: []}
    for name, gap in differences["heads"].items():
        kind = "lower than" if gap["high"] < 0 else "higher than" if gap["low"] > 0 else UNTOLD
        value, low, high = (f"{100 * gap[key]:+.1f}" for key in ("value", "low", "high"))
        kinds[kind].append(f"{name} by {value} points (95 %: {low} to {high})")
    baseline = differences["baseline"]
    said += [
        f"{kind.capitalize()} the error of {baseline}, which has no margin, on the same people: "
        f"{'; '.join(names)}."
        for kind, names in kinds.items()
        if names
    ]
    return said


def _operating(results: Results, head: Head) -> Operating | None:
    run = head["runs"][0]
    if not run.get("operating"):
        return None
    histogram = {key: run[key] for key in ("mated", "nonmated")} | {"bins": results["bins"]}
    return Operating(
        histogram, run["operating"]["verification"], run["operating"]["identification"]
    )


def _start(head: Head) -> float:
    """The threshold for an FPIR of 0.1 where there is one, else that of equal errors."""
    estimates = head["runs"][0]["estimates"]
    found = estimates["fnir@fpir=0.1"]
    return float((found if found["value"] is not None else estimates["eer"])["counts"]["threshold"])


def _parts(results: Results, best: Head, operating: Operating | None) -> Iterator[Part]:
    verification, search, angles, separability = tables(results)
    run = best["runs"][0]
    gaps = list(_gaps(results))
    if gaps:
        yield Part("heads", "The heads side by side", (), gaps)
    yield Part("verification", verification.title, (),
               [verification, _scores(results), _det(results)], notes(results)[1:])  # fmt: skip
    if operating is not None:
        slider = threshold_slider("threshold", operating, _start(best))
        told = f"Of {best['name']}, which has the lowest equal error rate, in the first seed."
        yield Part("people", "What does a threshold mean for people?", [told], [slider])
    yield Part("identification", search.title, (), [search, *_searched(results)])
    yield Part("angles", angles.title, (), [_angles(results, angles), separability])
    if run.get("map"):
        told = f"Unseen people, as {best['name']} lays them out."
        yield Part(
            "map", "How do people lie to each other?", [told], [map_drawing("points", run["map"])]
        )
    worst = [pairs_of(each) for each in run.get("worst") or () if each["rows"]]
    if worst:
        yield Part("worst", "Where does it go wrong?", [f"By {best['name']}."], worst)
    yield Part("training", "How they learned", (), [_losses(results), _costs(results)])
    yield Part("data", "The pictures", (), list(_pictures(results)))


def _gaps(results: Results) -> Iterator[Block]:
    differences = results["differences"]
    if differences is None or not differences["heads"]:
        return
    rows = [
        [(name, ""), *((f"{100 * gap[key]:+.2f}", "") for key in ("value", "low", "high"))]
        for name, gap in differences["heads"].items()
    ]
    baseline = differences["baseline"]
    table = Table(f"Points of equal error rate less those of {baseline}",
                  ["head", "difference", "from", "to"], rows)  # fmt: skip
    sentence = (
        f"Each head's equal error rate less that of {baseline}, on the same people resampled "
        "alike: left of the line is better. A head whose interval reaches over the line (hollow) "
        "cannot be told apart from it."
    )
    svg = svg_of(difference_figure(results), "differences")
    title = f"Better than {baseline}, which has no margin?"
    yield Drawing("differences", title, svg, sentence, table)


def _scores(results: Results) -> Drawing:
    rows = [
        [(head["name"], ""), *((f"{value:.2f}", "") for value in _middles(results, head))]
        for head in results["heads"]
    ]
    table = Table("Median scores", ["head", "one person", "two people"], rows)
    sentence = (
        "Scores of pairs of one person and of two, of each head in the first seed. What counts is "
        "how far both overlap, not where they lie: scales of scores differ between heads."
    )
    svg = svg_of(score_figure(results, columns=2), "scores")
    return Drawing("scores", "The scores of each head", svg, sentence, table)


def _middles(results: Results, head: Head) -> list[float]:
    """The medians of both kinds, to the middle of a bin."""
    bins, run = np.asarray(results["bins"]), head["runs"][0]
    cumulated = [np.cumsum(run[kind]) / np.sum(run[kind]) for kind in ("mated", "nonmated")]
    return [
        float(bins[:-1][np.searchsorted(each, 0.5)] + np.diff(bins)[0] / 2) for each in cumulated
    ]


def _det(results: Results) -> Drawing:
    columns: list[tuple[str, list[str]]] = []
    for head in results["heads"]:
        curve = head["runs"][0]["curve"]
        at = [at_rates(curve["fmr"], [rate])[0] for rate in RATES]
        columns.append((head["name"], [f"{100 * curve['fnmr'][place]:.1f} %" for place in at]))
    rows = [[(name, ""), *((cell, "") for cell in cells)] for name, cells in columns]
    headings = ["head", *(f"FMR at most {100 * rate:g} %" for rate in RATES)]
    table = Table("Misses, by the false match rate allowed", headings, rows)
    sentence = (
        "False matches to the right, misses upwards, on normal-deviate axes, in the first seed: "
        "the nearer to the lower left, the better. Dashed: heads without a margin."
    )
    svg = svg_of(det_figure(results), "det")
    return Drawing("det", "Both errors (DET)", svg, sentence, table)


def _searched(results: Results) -> Iterator[Drawing]:
    """What came of searches, as far as the results know."""
    curves = [head["runs"][0].get("curves") or {} for head in results["heads"]]
    if all(head["runs"][0].get("operating") for head in results["heads"]):
        yield _fnir(results)
    if all("cmc" in each for each in curves):
        sentence = (
            "How often the right person is among the first so many, of the searches for somebody "
            "enrolled, in the first seed. Strangers have no part in this."
        )
        yield Drawing("cmc", "Found among the first (CMC)", svg_of(cmc_figure(results), "cmc"),
                      sentence, _by_place(results, "cmc", "rank", "rate"))  # fmt: skip
    if any("growth" in each for each in curves):
        sentence = (
            "Each head at its threshold for an FPIR of 0.1 with everybody enrolled: with fewer "
            "people enrolled, fewer strangers are taken for one of them. A threshold holds for one "
            "size of gallery. In the first seed."
        )
        yield Drawing("growth", "False alarms while the gallery grows",
                      svg_of(growth_figure(results), "growth"), sentence,
                      _by_place(results, "growth", "gallery", "fpir"))  # fmt: skip


def _by_place(results: Results, curve: str, across: str, upwards: str) -> Table:
    """A row a head, a column for some of the places along the curve."""
    found = {head["name"]: head["runs"][0]["curves"].get(curve) for head in results["heads"]}
    known = {name: each for name, each in found.items() if each}
    longest = max(known.values(), key=lambda each: len(each[across]))
    places = np.unique(np.geomspace(1, len(longest[across]), PLACES).round().astype(int)) - 1
    rows = [
        [(name, ""), *((f"{100 * each[upwards][at]:.1f} %", "") for at in places)]
        for name, each in known.items()
    ]
    headings = [f"{longest[across][at]:,}" for at in places]
    return Table(f"By {across}", ["head", *headings], rows)


def _fnir(results: Results) -> Drawing:
    rows = []
    for head in results["heads"]:
        rates = head["runs"][0]["operating"]["identification"]
        fpir, fnir = rates["fpir"][::-1], rates["fnir"][::-1]  # ascending in FPIR
        found = [at_rates(fpir, [rate]) for rate in RATES]
        cells = [f"{100 * fnir[at[0]]:.1f} %" if at else "not resolved" for at in found]
        rows.append([(head["name"], ""), *((cell, "") for cell in cells)])
    headings = ["head", *(f"FPIR at most {100 * rate:g} %" for rate in RATES)]
    table = Table("Misses, by the false alarms allowed", headings, rows)
    sentence = (
        "Strangers given a name to the right, enrolled people missed upwards, on normal-deviate "
        "axes, in the first seed: the nearer to the lower left, the better."
    )
    return Drawing("fnir", "Searches: misses against false alarms", svg_of(fnir_figure(results), "fnir"),
                   sentence, table)  # fmt: skip


def _angles(results: Results, table: Table) -> Drawing:
    sentence = (
        "Degrees. Intra, a picture to its person's centre, is better small; Inter, a centre to the "
        "nearest other one, is better large; both are of unseen people. W-EC and W-Inter are of "
        "the class weights to the people learned from."
    )
    return Drawing(
        "angle-table", "Angles", svg_of(angle_figure(results), "angle-table"), sentence, table
    )


def _losses(results: Results) -> Drawing:
    rows = []
    for head in results["heads"]:
        losses = head["runs"][0]["losses"]
        at = [losses[round(share * (len(losses) - 1))] for share in (0, 0.25, 0.5, 0.75, 1)]
        rows.append([(head["name"], ""), *((f"{loss:.3g}", "") for loss in at)])
    table = Table(
        "Loss", ["head", "first batch", "a quarter", "half", "three quarters", "last"], rows
    )
    sentence = (
        "The loss of each head in the first seed, averaged over some batches. Losses of different "
        "heads and scales are different quantities: only the course of each means something."
    )
    return Drawing(
        "losses", "Loss while learning", svg_of(loss_figure(results), "losses"), sentence, table
    )


def _costs(results: Results) -> Table:
    steps = results["recipe"]["steps"]
    rows = [
        [(head["name"], ""), (f"{head['seconds']:.1f}", ""), (f"{head['seconds'] / steps:.3f}", "")]
        for head in results["heads"]
    ]
    return Table("What learning took", ["head", "seconds", "a step"], rows)


def _pictures(results: Results) -> Iterator[Block]:
    rows = []
    for data in results["data"]:
        for key, name in (("learn", "learned from"), ("test", "judged on")):
            side = data[key]
            cells = (
                f"{data['seed']}",
                f"{side['people']:,}",
                f"{side['pictures']:,}",
                side["sha256"][:12],
            )
            rows.append([(name, ""), *((cell, "") for cell in cells)])
    yield Table(
        "Who was learned from and judged", ["", "seed", "people", "pictures", "SHA-256"], rows
    )
    skipped = list(
        {entry["path"]: entry for data in results["data"] for entry in data["skipped"]}.values()
    )
    if skipped:
        title = f"{several(len(skipped), 'file')} skipped"
        listed = [[(entry["path"], ""), (entry["reason"], "")] for entry in skipped[:MOST_SKIPPED]]
        more = len(skipped) - MOST_SKIPPED
        yield Table(title, ["file", "reason"], listed,
                    [f"And {more:,} more in results.json."] if more > 0 else [])  # fmt: skip


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    yield "seconds", f"{results['seconds']:.0f}"
    if results.get("peak_gib"):
        yield "memory at most", f"{results['peak_gib']:.2f} GiB"
    yield "seeds", ", ".join(map(str, results["seeds"]))
    yield "scales and margins", results["options_chosen"]
    yield "machine", ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    yield from ((f"version of {name}", version) for name, version in results["versions"].items())
    yield from ((name, str(value)) for name, value in results["recipe"].items())
