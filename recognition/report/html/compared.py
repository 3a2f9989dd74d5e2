"""The report of a comparison of heads, from what its `results.json` holds."""

import re
from collections.abc import Iterator, Mapping
from math import inf
from typing import Any

import numpy as np

from recognition.report.comparison.figures import (
    det_figure,
    fnir_figure,
    score_figure,
    without_margin,
)
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
from recognition.report.text import in_words, several

Head = Mapping[str, Any]

RATES = (1e-3, 1e-2, 0.05, 0.1, 0.2)
MOST_SKIPPED = 100
PLACES = 8
MOST_TOLD = 4  # heads whose differences stand in the verdict with their intervals
LOWER, HIGHER, UNTOLD = "lower than", "higher than", "not told apart from"
HERE = (
    "One small network, learned from few people, tells heads apart only as far as their intervals "
    "do. What is best here need not be best with a larger network and more people."
)
UNTUNED = (
    "Heads with settings of their own are compared at these settings; --tune gives all of them "
    "the same effort."
)


def document(results: Results, thumbnails: Mapping[str, bytes] | None = None) -> Document:
    """The page of a comparison; `thumbnails` are small JPEG pictures by the names of pictures."""
    best = min(results["heads"], key=_error)
    operating = _operating(results, best)
    said = _verdict(results, best)
    if operating is not None:
        means = what_it_means(operating, nearest(operating, _start(best)))
        name = _called(results)[best["name"]]
        said.append(f"With {name}{_in_the_first(results)}: {' '.join(means[:2])}")
    return Document(
        title="Which head tells new people apart?",
        lead=notes(results)[0],
        verdict=said,
        parts=list(_parts(results, best, operating)),
        limits=[HERE, *([] if _tuned(results) else [UNTUNED]), *LIMITS],
        command=results["command"],
        facts=list(_facts(results)),
        thumbnails=thumbnails or {},
    )


def _called(results: Results) -> dict[str, str]:
    """Each head without its options, where the name alone says which it is."""
    names = [head["name"] for head in results["heads"]]
    brief = [re.split("[:+]", name)[0] for name in names]
    return {
        name: short if brief.count(short) == 1 else name
        for name, short in zip(names, brief, strict=True)
    }


def _error(head: Head) -> float:
    """The equal error rate; of a head without one, more than any."""
    value = head["estimates"]["eer"]["value"]
    return inf if value is None else float(value)


def _in_the_first(results: Results) -> str:
    """What is of one seed alone says so, where there are several."""
    return " in the first seed" if len(results["seeds"]) > 1 else ""


def _tuned(results: Results) -> bool:
    """Whether settings were chosen for each head by trials."""
    return any(run.get("trials") for head in results["heads"] for run in head["runs"])


def _verdict(results: Results, best: Head) -> list[str]:
    """Which head makes the fewest errors, and which of them are better than the baseline."""
    eer = best["estimates"]["eer"]
    if eer["value"] is None:
        return ["No head has an equal error rate that could be measured here."]
    called = _called(results)
    alike = [called[head["name"]] for head in results["heads"] if _error(head) == eer["value"]]
    have = "has" if len(alike) == 1 else "have"
    known = eer["low"] is not None and eer["high"] is not None
    ends = f" (95 %: {eer['low']:.1%} to {eer['high']:.1%})" if known else ""
    lowest = "the lowest equal error rate on people never seen in training"
    said = [f"{in_words(alike)} {have} {lowest}: {eer['value']:.1%}{ends}."]
    differences = results["differences"]
    if differences is None or not differences["heads"]:
        return [*said, *_alone(results)]
    kinds: dict[str, list[str]] = {LOWER: [], HIGHER: [], UNTOLD: []}
    many = len(differences["heads"]) > MOST_TOLD
    for name, gap in differences["heads"].items():
        kind = LOWER if gap["high"] < 0 else HIGHER if gap["low"] > 0 else UNTOLD
        kinds[kind].append(called[name] if many else f"{called[name]}, {_gap(gap, kind)}")
    baseline = called[differences["baseline"]]
    if not kinds[LOWER]:
        said.insert(
            0, f"No head is better than {baseline}, which has no margin, by more than chance."
        )
    apart = ", " if many else "; "
    said += [
        f"{kind.capitalize()} that of {baseline}, which has no margin, on the same people: "
        f"{apart.join(names)}."
        for kind, names in kinds.items()
        if names
    ]
    return said


def _alone(results: Results) -> Iterator[str]:
    """Why no head is held against another one."""
    if len(results["heads"]) > 1:
        yield (
            "Which of them differ by more than chance is not known: no head without a margin, "
            "normface, was learned beside them."
        )


def _gap(gap: Mapping[str, float], kind: str) -> str:
    """`by 1.2 points (95 %: 0.3 to 2.1)`, or with signs where neither is known to be less."""
    points = [100 * gap[key] for key in ("value", "low", "high")]
    if kind == UNTOLD:
        value, low, high = (f"{each:+z.1f}" for each in points)
        return f"{value} points (95 %: {low} to {high})"
    value = f"{abs(points[0]):.1f}"
    low, high = (f"{each:.1f}" for each in sorted(map(abs, points[1:])))
    return f"by {value} points (95 %: {low} to {high})"


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
        told = f"Of {best['name']}, which has the lowest equal error rate{_in_the_first(results)}."
        yield Part("people", "What does a threshold mean for people?", [told], [slider])
    yield Part("identification", search.title, (), [search, *_searched(results)])
    yield Part("angles", angles.title, (), [_angles(results, angles), separability])
    if run.get("map"):
        told = f"Unseen people, as {best['name']} lays them out{_in_the_first(results)}."
        yield Part("map", "Who is near whom?", [told], [map_drawing("points", run["map"])])
    worst = [pairs_of(each) for each in run.get("worst") or () if each["rows"]]
    if worst:
        yield Part(
            "worst",
            "Where does it go wrong?",
            [f"With {best['name']}{_in_the_first(results)}."],
            worst,
        )
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
        f"Scores of pairs of one person and of two, of each head{_in_the_first(results)}. What "
        "counts is how far both overlap, not where they lie: scales of scores differ between heads."
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
    curves = {head["name"]: head["runs"][0]["curve"] for head in results["heads"]}
    rates = {name: (curve["fmr"], curve["fnmr"]) for name, curve in curves.items()}
    table = _misses("Misses, by the false match rate allowed", "FMR", rates)
    sentence = (
        "False matches to the right, misses upwards, on normal-deviate axes"
        f"{_in_the_first(results)}: the nearer to the lower left, the better.{_dashed(results)}"
    )
    svg = svg_of(det_figure(results), "det")
    return Drawing("det", "Both errors (DET)", svg, sentence, table)


def _misses(title: str, rate: str, curves: Mapping[str, tuple[list[float], list[float]]]) -> Table:
    """A row a head: what is missed where at most so many errors of the other kind are allowed."""
    rows = []
    for name, (allowed, missed) in curves.items():
        found = [at_rates(allowed, [most]) for most in RATES]
        cells = [f"{100 * missed[at[0]]:.1f} %" if at else "not resolved" for at in found]
        rows.append([(name, ""), *((cell, "") for cell in cells)])
    return Table(title, ["head", *(f"{rate} at most {100 * most:g} %" for most in RATES)], rows)


def _dashed(results: Results) -> str:
    dashed = any(map(without_margin, results["heads"]))
    return " Dashed: heads without a margin." if dashed else ""


def _searched(results: Results) -> Iterator[Drawing]:
    """What came of searches, as far as the results know."""
    curves = [head["runs"][0].get("curves") or {} for head in results["heads"]]
    if all(head["runs"][0].get("operating") for head in results["heads"]):
        yield _fnir(results)
    if all("cmc" in each for each in curves):
        sentence = (
            "How often the right person is among the first so many, of the searches for somebody "
            f"enrolled{_in_the_first(results)}. Strangers have no part in this."
        )
        yield Drawing("cmc", "Found among the first (CMC)", svg_of(cmc_figure(results), "cmc"),
                      sentence, _by_place(results, "cmc", "rank", "rate"))  # fmt: skip
    if any("growth" in each and len(each["growth"]["gallery"]) > 1 for each in curves):
        sentence = (
            "Each head at its threshold for an FPIR of 0.1 with everybody enrolled"
            f"{_in_the_first(results)}: with fewer people enrolled, fewer strangers are taken for "
            "one of them. A threshold holds for one size of gallery."
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
    rates = {}
    for head in results["heads"]:
        found = head["runs"][0]["operating"]["identification"]
        rates[head["name"]] = (found["fpir"][::-1], found["fnir"][::-1])  # ascending in FPIR
    table = _misses("Misses, by the false alarms allowed", "FPIR", rates)
    sentence = (
        "Strangers given a name to the right, enrolled people missed upwards, on normal-deviate "
        f"axes{_in_the_first(results)}: the nearer to the lower left, the better.{_dashed(results)}"
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
        f"The loss of each head{_in_the_first(results)}, averaged over some batches. Losses of "
        "different heads and scales are different quantities: only the course of each means "
        "something."
    )
    return Drawing(
        "losses", "Loss while learning", svg_of(loss_figure(results), "losses"), sentence, table
    )


def _costs(results: Results) -> Table:
    steps = results["recipe"]["steps"]
    rows = []
    for head in results["heads"]:
        speeds = [run.get("pictures_a_second") for run in head["runs"]]
        known = [speed for speed in speeds if speed is not None]
        cells = [
            f"{head['seconds']:.3g}",
            f"{head['seconds'] / steps:.3g}",
            f"{sum(known) / len(known):,.0f}" if known else "not known",
        ]
        rows.append([(head["name"], ""), *((cell, "") for cell in cells)])
    headings = ["head", "seconds learning", "seconds a step", "pictures embedded a second"]
    return Table("What learning took", headings, rows)


def _pictures(results: Results) -> Iterator[Block]:
    rows = []
    for data in results["data"]:
        for key, name in (("learn", "learned from"), ("test", "judged on")):
            side = data[key]
            few = [side.get(f"fewer_than_{least}") for least in (2, 5)]
            cells = (
                f"{data['seed']}",
                f"{side['people']:,}",
                f"{side['pictures']:,}",
                *("not known" if each is None else f"{each:,}" for each in few),
                side["sha256"][:12],
            )
            rows.append([(name, ""), *((cell, "") for cell in cells)])
    headings = ["", "seed", "people", "pictures", "people with 1 picture", "with fewer than 5",
                "SHA-256"]  # fmt: skip
    yield Table("Who was learned from and judged", headings, rows, list(_shared(results)))
    yield from _copies(results)
    skipped = list(
        {entry["path"]: entry for data in results["data"] for entry in data["skipped"]}.values()
    )
    if skipped:
        title = f"{several(len(skipped), 'file')} skipped"
        listed = [[(entry["path"], ""), (entry["reason"], "")] for entry in skipped[:MOST_SKIPPED]]
        more = len(skipped) - MOST_SKIPPED
        yield Table(title, ["file", "reason"], listed,
                    [f"And {more:,} more in results.json."] if more > 0 else [])  # fmt: skip


def _shared(results: Results) -> Iterator[str]:
    """Pictures that were learned from and judged, too."""
    for data in results["data"]:
        count = data.get("on_both_sides")
        if count:
            yield (
                f"{several(count, 'picture')} of those judged {'is' if count == 1 else 'are'} among "
                f"those learned from (seed {data['seed']}): results are too good by them."
            )


def _copies(results: Results) -> Iterator[Table]:
    """Pictures with the same pixels under two names, each such pair once."""
    for key, where in (("learn", "learned from"), ("test", "judged")):
        listings = [data[key]["copies"] for data in results["data"] if "copies" in data[key]]
        rows = {tuple(row): None for listing in listings for row in listing["rows"]}
        if rows:
            cells = [[(cell, "") for cell in row] for row in rows]
            more = max(listing["total"] - len(listing["rows"]) for listing in listings)
            notes = [f"And {more:,} more."] if more else []
            yield Table(f"One picture, two names, among those {where}",
                        listings[0]["headings"], cells, notes)  # fmt: skip


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    yield "seconds", f"{results['seconds']:.0f}"
    if results.get("peak_gib"):
        yield "memory at most", f"{results['peak_gib']:.2f} GiB"
    yield "seeds", ", ".join(map(str, results["seeds"]))
    yield "scales and margins", results["options_chosen"]
    yield "machine", ", ".join(f"{key} {value}" for key, value in results["machine"].items())
    yield from ((f"version of {name}", version) for name, version in results["versions"].items())
    for name, value in results["recipe"].items():
        told = {True: "yes", False: "no"}[value] if isinstance(value, bool) else str(value)
        yield name.replace("_", " "), told
