"""The report of an evaluation, from what its `results.json` holds."""

from collections.abc import Iterator, Mapping
from typing import Any

from recognition.report.evaluation.cells import Entry, Results
from recognition.report.evaluation.summary import headline, summary
from recognition.report.evaluation.tables import (
    comparison_table,
    groups_table,
    listing_table,
    notes,
    section_table,
)
from recognition.report.html.document import Document, Pair, Pairs, Part
from recognition.report.html.embedding_map import map_drawing
from recognition.report.html.evaluated_drawings import drawings, row_of, section_of
from recognition.report.html.threshold import Operating, nearest, threshold_slider, what_it_means
from recognition.report.numbers import written
from recognition.report.table import Table
from recognition.report.text import several

WORST = {
    "false-matches": "The most alike pictures of two people. Look first whether it is one person "
    "under two names; if not, these are the people whom the system takes for each other.",
    "misses": "The least alike pictures of one person. Look first whether they show one person at "
    "all; if they do, this is what the system does not see past.",
}
LIMITS = (
    (
        "Everything holds for the people and pictures judged here. Other cameras, ages, lighting or "
        "groups of people can give other numbers."
    ),
    "Thresholds belong to this model, this preparation of pictures and this size of gallery.",
    "Nothing here tells a living person from a picture of one.",
)
NO_GROUPS = (
    "Error rates differ between groups of people, and no groups were named: --group COLUMN judges "
    "each by itself."
)
NO_PEOPLE = "Nobody knows who was compared: intervals take the comparisons for independent."
MOST_FAILURES = 100


def document(results: Results, thumbnails: Mapping[str, bytes] | None = None) -> Document:
    """The page of an evaluation; `thumbnails` are small JPEG pictures by the names of pictures."""
    operating = _operating(results)
    means = []
    if operating is not None:
        means = what_it_means(operating, nearest(operating, _start(results)))[:2]
    return Document(
        title=f"{results['name']} on strangers",
        lead=headline(results),
        verdict=[*means, *summary(results)],
        parts=list(_parts(results, operating)),
        limits=list(_limits(results)),
        command=results["command"],
        facts=list(_facts(results)),
        thumbnails=thumbnails or {},
    )


def _operating(results: Results) -> Operating | None:
    """The curves that a threshold moves along, where every score was kept."""
    curves = section_of(results, "verification")["curves"]
    if not curves.get("operating") or not curves.get("histogram"):
        return None
    searched = section_of(results, "identification")["curves"].get("operating")
    return Operating(curves["histogram"], curves["operating"], searched)


def _start(results: Results) -> float:
    """A threshold to begin with: that of FPIR 0.01, else of FMR 0.001, else of equal errors."""
    for key in ("fnir@fpir=0.01", "fnir@fpir=0.1", "tar@fmr=0.001", "eer"):
        row = row_of(results, key)
        if row is not None and row["counts"].get("threshold") is not None:
            return float(row["counts"]["threshold"])
    return 0.0


def _parts(results: Results, operating: Operating | None) -> Iterator[Part]:
    drawn = drawings(results)
    if operating is not None:
        slider = threshold_slider("threshold", operating, _start(results))
        question = "What does a threshold mean for people?"
        yield Part("people", question, ["Move it, and see what becomes of whom."], [slider])
    for section in results["sections"]:
        tables = [section_table(section)] if section["rows"] else []
        lists = [
            listing_table(each)
            for each in section.get("lists", ())
            if each["rows"] and each["key"] not in WORST
        ]
        blocks = [*tables, *drawn.get(section["key"], ()), *lists]
        if blocks:
            yield Part(section["key"], section["title"], (), blocks)
    if results["groups"] and results["groups"]["rows"]:
        blocks = [groups_table(results["groups"]), *drawn.get("groups", ())]
        yield Part("groups", "Are groups of people treated alike?", (), blocks)
    if results["comparison"]:
        title = f"Is it better than {results['comparison']['name']}?"
        yield Part("comparison", title, (), [comparison_table(results)])
    yield from _looked_at(results)


def _looked_at(results: Results) -> Iterator[Part]:
    found = results.get("map")
    if found:
        yield Part("map", "How do people lie to each other?", (), [map_drawing("points", found)])
    worst = [each for each in section_of(results, "verification").get("lists", ())
             if each["key"] in WORST and each["rows"]]  # fmt: skip
    if worst:
        yield Part("worst", "Where does it go wrong?", (), [pairs_of(each) for each in worst])
    failures, told = results["input"]["failures"], notes(results)
    if failures or told:
        title = "What was left out, and why"
        blocks = [_failures(failures)] if failures else []
        yield Part("left-out", title, (), blocks, told)


def pairs_of(listing: Entry) -> Pairs:
    """A list of the worst pairs as a block; its rows are picture, person, picture, person, score."""
    pairs = [
        Pair((str(one), str(other)), (str(who), str(whom)), written(score, "score", 3))
        for one, who, other, whom, score in listing["rows"]
    ]
    return Pairs(listing["title"], WORST[listing["key"]], pairs)


def _failures(failures: list[Mapping[str, Any]]) -> Table:
    rows = [
        [(each["id"], ""), (each["label"], ""), (each["reason"], "")]
        for each in failures[:MOST_FAILURES]
    ]
    more = len(failures) - MOST_FAILURES
    notes = [f"And {more:,} more in results.json."] if more > 0 else []
    title = f"{several(len(failures), 'picture')} without an embedding"
    return Table(title, ["picture", "person", "reason"], rows, notes)


def _limits(results: Results) -> Iterator[str]:
    yield from LIMITS
    if not results["groups"]:
        yield NO_GROUPS
    if not results["input"].get("people"):
        yield NO_PEOPLE


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    yield "judged", results["input"]["source"]
    yield "version", results["version"]
    yield "seconds", f"{results['seconds']:.3g}"
    if results.get("peak_gib"):
        yield "memory at most", f"{results['peak_gib']:.2f} GiB"
    yield "resamples of the people", f"{results['resamples']:,}"
    yield "seed", f"{results['seed']}"
