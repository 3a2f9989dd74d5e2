"""The report of an evaluation, from what its `results.json` holds."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from recognition.report.evaluation.cells import Entry, Results, sentence, value_of
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
SUSPECTED = "neighbours"
SUSPICIONS = {
    "mislabelled": "They lie among one other person's pictures and not near their own.",
    "copies": "Two names, and pictures as alike as copies of one.",
}
LIMITS = (
    (
        "Everything holds for the people and pictures judged here. Other cameras, ages, lighting or "
        "groups of people can give other numbers."
    ),
    "Thresholds belong to this model, this preparation of pictures and this size of gallery.",
    "Nothing here tells a living person from a picture of one.",
)
NO_GROUPS = "Error rates differ between groups of people, and no groups were named"
NAME_GROUPS = ": --group COLUMN judges each by itself"
NO_PEOPLE = "Nobody knows who was compared: intervals take the comparisons for independent."
MOST_FAILURES = 100
FIRST_ROWS = 3  # told where nothing is known of a threshold
LONGEST_STAGES = 5
STARTS = {
    "fnir@fpir=0.01": "FPIR 0.01, at most 1 % of the strangers given a name",
    "fnir@fpir=0.1": "FPIR 0.1, at most 10 % of the strangers given a name",
    "tar@fmr=0.001": "FMR 0.001, at most 0.1 % of the pairs of two people accepted",
    "eer": "equal errors of pairs",
}


def document(results: Results, thumbnails: Mapping[str, bytes] | None = None) -> Document:
    """The page of an evaluation; `thumbnails` are small JPEG pictures by the names of pictures."""
    operating = _operating(results)
    shown = thumbnails or {}
    return Document(
        title=f"{results['name']} on strangers",
        lead=headline(results),
        verdict=list(_verdict(results, operating)),
        parts=list(_parts(results, operating, shown)),
        limits=list(_limits(results)),
        command=results["command"],
        facts=list(_facts(results)),
        thumbnails=shown,
    )


def _verdict(results: Results, operating: Operating | None) -> Iterator[str]:
    """What a threshold does to people, else the first numbers there are; then the summary."""
    if operating is not None:
        yield from what_it_means(operating, nearest(operating, _start(results)[0]))[:2]
    else:
        yield from _first_numbers(results)
    yield from summary(results)


def _first_numbers(results: Results) -> Iterator[str]:
    rows = [
        row
        for section in results["sections"]
        for row in section["rows"]
        if row["value"] is not None and row["unit"] != "count" and row["label"][0] != "…"
    ]
    for row in rows[:FIRST_ROWS]:
        value, interval = value_of(row, {})
        careful = f" Careful: {sentence(row['note'])}" if row["note"] else ""
        yield f"{row['label']}: {value}{f' (95 %: {interval})' if interval else ''}.{careful}"
    if not rows:
        yield "Nothing could be measured with these pictures."


def _operating(results: Results) -> Operating | None:
    """The curves that a threshold moves along, where every score was kept."""
    curves = section_of(results, "verification")["curves"]
    if not curves.get("operating") or not curves.get("histogram"):
        return None
    searched = section_of(results, "identification")["curves"].get("operating")
    return Operating(curves["histogram"], curves["operating"], searched)


def _start(results: Results) -> tuple[float, str]:
    """A threshold to begin with, and what it was set for; of the first of `STARTS` there is."""
    for key, what in STARTS.items():
        row = row_of(results, key)
        if row is not None and row["counts"].get("threshold") is not None:
            return float(row["counts"]["threshold"]), f" It starts at the threshold for {what}."
    return 0.0, ""


def _parts(
    results: Results, operating: Operating | None, shown: Mapping[str, bytes]
) -> Iterator[Part]:
    drawn = drawings(results)
    if operating is not None:
        start, of = _start(results)
        slider = threshold_slider("threshold", operating, start)
        told = f"Move it, and see what becomes of whom.{of}"
        yield Part("people", "What does a threshold mean for people?", [told], [slider])
    for section in results["sections"]:
        tables = [section_table(section)] if section["rows"] else []
        lists = [
            listing_table(each)
            for each in section.get("lists", ())
            if each["rows"] and each["key"] not in WORST
        ]
        faces = list(_faces(section, shown))
        blocks = [*tables, *drawn.get(section["key"], ()), *lists, *faces]
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
        yield Part("map", "Who is near whom?", (), [map_drawing("points", found)])
    worst = [each for each in section_of(results, "verification").get("lists", ())
             if each["key"] in WORST and each["rows"]]  # fmt: skip
    if worst:
        yield Part("worst", "Where does it go wrong?", (), [pairs_of(each) for each in worst])
    failures, told = results["input"]["failures"], notes(results)
    if failures or told:
        title = "What was left out, and why"
        blocks = [_failures(failures)] if failures else []
        yield Part("left-out", title, (), blocks, told)


def _faces(section: Entry, shown: Mapping[str, bytes]) -> Iterator[Pairs]:
    """The pictures of the lists of suspicions, where the page is given them."""
    lists = {each["key"]: each for each in section.get("lists", ()) if section["key"] == SUSPECTED}
    wrong, copies = (
        [row for row in lists.get(key, {"rows": ()})["rows"] if row[0] in shown]
        for key in ("mislabelled", "copies")
    )
    if wrong:
        pairs = [Pair((one,), (f"{who}, rather {whom}?",), written(score, "score", 3))
                 for one, who, whom, _, _, score in wrong]  # fmt: skip
        yield Pairs(lists["mislabelled"]["title"], SUSPICIONS["mislabelled"], pairs)
    if copies:
        yield Pairs(lists["copies"]["title"], SUSPICIONS["copies"], _pairs(copies))


def pairs_of(listing: Entry) -> Pairs:
    """A list of the worst pairs as a block; its rows are picture, person, picture, person, score."""
    return Pairs(listing["title"], WORST[listing["key"]], _pairs(listing["rows"]))


def _pairs(rows: Sequence[Sequence[Any]]) -> list[Pair]:
    return [
        Pair((str(one), str(other)), (str(who), str(whom)), written(score, "score", 3))
        for one, who, other, whom, score in rows
    ]


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
    given = results["input"]
    if not results["groups"]:
        yield f"{NO_GROUPS}{NAME_GROUPS if given.get('people') and 'fewer_than_2' in given else ''}."
    if not given.get("people"):
        yield NO_PEOPLE
    yield from few_pictures(given)


def few_pictures(given: Mapping[str, Any]) -> Iterator[str]:
    """How many people have too few pictures, as far as it is known."""
    lone, few = (given.get(f"fewer_than_{least}", 0) for least in (2, 5))
    of = f"of {several(given['people'], 'person', 'people')}" if given.get("people") else ""
    if lone:
        yield (
            f"{lone:,} {of} {'has' if lone == 1 else 'have'} a single picture, which is compared "
            "with other people's alone."
        )
    if few:
        yield (
            f"{few:,} {of} {'has' if few == 1 else 'have'} fewer than 5 pictures: how much "
            "one person's pictures differ is hardly seen there."
        )


def _facts(results: Results) -> Iterator[tuple[str, str]]:
    yield "judged", results["input"]["source"]
    yield "version", results["version"]
    yield "seconds", f"{results['seconds']:.3g}"
    stages = sorted(results.get("stages", {}).items(), key=lambda stage: -stage[1])
    longest = [f"{name} {took:.2g}" for name, took in stages[:LONGEST_STAGES] if took >= 0.01]
    if longest:
        yield "of them the longest", "; ".join(longest)
    if results.get("peak_gib"):
        yield "memory at most", f"{results['peak_gib']:.2f} GiB"
    yield "resamples of the people", f"{results['resamples']:,}"
    yield "seed", f"{results['seed']}"
