"""An evaluation in a few sentences, from what `results.json` holds.

Of the counts of a row `target` and `nonmated` are read, to say what would be needed.
"""

from math import isclose, log10, sqrt

from recognition.metrics.verification import ENOUGH_ERRORS
from recognition.report.evaluation.cells import (
    Entry,
    Results,
    ends_of,
    places_of,
    sentence,
    share_of,
)
from recognition.report.text import legible, several, shortened

MOST_LABELS, LONGEST_TEXT = 4, 60
FMR_ASKED = 0.001
TAR, FNIR = "tar@fmr=", "fnir@fpir="


def headline(results: Results) -> str:
    """What was evaluated, in one sentence."""
    given = results["input"]
    parts = [
        several(given[key], *words)
        for key, words in {
            "pictures": ("picture",),
            "people": ("person", "people"),
            "dimensions": ("dimension",),
            "mated": ("mated comparison",),
            "nonmated": ("non-mated comparison",),
        }.items()
        if given.get(key) is not None
    ]
    return f"{legible(given['source'])}: {', '.join(parts)}."


def summary(results: Results) -> list[str]:
    """Three or four sentences for someone who reads such numbers for the first time.

    How many of 100 genuine pairs get in, how far that can be trusted, what cannot be measured
    and what would be needed, which pictures failed, and which of two models is better.
    """
    found = (
        *_genuine(results),
        *_unmeasured(results),
        *_failed(results),
        *_better(results),
    )
    return list(found)


def _rows(results: Results, prefix: str = "") -> list[Entry]:
    return [
        row
        for section in results["sections"]
        for row in section["rows"]
        if row["key"].startswith(prefix)
    ]


def _genuine(results: Results) -> list[str]:
    resolved = [row for row in _rows(results, TAR) if row["value"] is not None]
    if not resolved:
        return []
    row = min(resolved, key=lambda row: abs(log10(_target(row) / FMR_ASKED)))
    share = share_of(row)
    counted = f" ({share[0]:,} of {share[1]:,})" if share else ""
    first = (
        f"Of 100 pairs that show one person, {_of_hundred(row['value'])} are accepted{counted} "
        f"if at most {_one_in(_target(row))} pairs that show two people may be accepted by mistake."
    )
    return [first, _trusted(row, results["input"].get("people"))]


def _target(row: Entry) -> float:
    return float(row["key"].rpartition("=")[2])


def _of_hundred(share: float) -> str:
    if share in (0.0, 1.0):
        return "all" if share else "none"
    if share > 0.995:
        return "more than 99"
    return f"about {100 * share:.0f}" if share > 0.005 else "fewer than 1"


def _one_in(target: float) -> str:
    trials = round(1 / target)
    return f"one in {trials:,}" if isclose(1 / target, trials) else f"{100 * target:g} % of the"


def _trusted(row: Entry, people: int | None) -> str:
    others = f"{people:,} other people" if people else "other comparisons"
    text = f"How it would be with {others} is not known."
    if row["low"] is not None and row["high"] is not None:
        low, high = ends_of(row, places_of(row))
        text = f"With {others} it can be {low} to {high} of 100 (95 % interval)."
        if row["low"] == row["high"]:
            text = f"No resample gave anything else, which is no certainty for {others}."
    return f"{text} Careful: {sentence(row['note'])}" if row["note"] else text


def _unmeasured(results: Results) -> list[str]:
    """What has no value, and what the smallest FMR and FPIR without one would need."""
    labels = [row["label"] for row in _rows(results) if row["value"] is None]
    if not labels:
        return []
    more = f" and {len(labels) - MOST_LABELS} more" if len(labels) > MOST_LABELS else ""
    text = f"Not resolved: {legible(', '.join(labels[:MOST_LABELS]))}{more}."
    for prefix, rate, what in ((TAR, "FMR", "pairs of two people"), (FNIR, "FPIR", "strangers")):
        missing = [row for row in _rows(results, prefix) if row["value"] is None]
        if not missing:
            continue
        least = min(missing, key=_target)
        target, trials = _target(least), least["counts"].get("nonmated")
        if trials and target and trials * target < 1:
            text += (
                f" {rate} {target:g} takes {1 / target:,.0f} {what} to be seen at all and "
                f"{ENOUGH_ERRORS / target:,.0f} to be trusted; here are {trials:,}"
            )
            text += f"{_more_people(target, results['input'])}." if rate == "FMR" else "."
    return [text]


def _more_people(target: float, given: Entry) -> str:
    """How many would make pairs enough, if every picture is compared with every other one."""
    people, pictures = given.get("people"), given.get("pictures")
    if not people or not pictures:
        return ""
    compared = given["mated"] + given["nonmated"]
    embedded = pictures - len(given["failures"])
    if not any(n * (n - 1) // 2 == compared for n in (pictures, embedded)):
        return ""
    factor = sqrt(ENOUGH_ERRORS / target / given["nonmated"])  # pairs grow with its square
    return f", and some {float(f'{people * factor:.1e}'):,.0f} people with as many pictures each would do"


def _failed(results: Results) -> list[str]:
    failures = results["input"]["failures"]
    if not failures:
        return []
    number = several(len(failures), "picture")
    first = failures[0]
    which = ", the first" if len(failures) > 1 else ""
    reason = shortened(first["reason"], LONGEST_TEXT)
    return [f"{number} could not be used{which}: {shortened(first['id'], LONGEST_TEXT)}, {reason}."]


def _better(results: Results) -> list[str]:
    if not results["comparison"]:
        return []
    rows = [row for row in results["comparison"]["rows"] if row["key"] == "eer"]
    if not rows or rows[0]["difference"] is None:
        return []
    one, other = (
        shortened(each["name"], LONGEST_TEXT) for each in (results, results["comparison"])
    )
    said = {"lower": "is lower than", "higher": "is higher than"}.get(
        rows[0]["verdict"], "cannot be told apart from"
    )
    return [f"The equal error rate of {one} {said} that of {other} on the same people."]
