"""What `recognition embed` tells of a run."""

import json
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

from recognition.cli.console import show_json, show_lines, whole
from recognition.faces.embedding import Embedded
from recognition.faces.face_file import LeftOut
from recognition.faces.score_text import written_score
from recognition.report.text import legible, several

SHOWN = 10
PEOPLE = 5


def show(done: Embedded, *, as_json: bool) -> None:
    """Print the summary, in sentences or as JSON."""
    if as_json:
        show_json(described(done))
    else:
        show_lines(sentences(done))


def described(done: Embedded) -> dict[str, Any]:
    """Everything a program may want to know of a run."""
    faces = done.faces
    return {
        "format": 1,
        "out": legible(str(done.path)),
        "skips": legible(str(done.skips)),
        "photographs": len(faces.photographs),
        "embedded_now": done.fresh,
        "reused": done.reused,
        "removed": list(done.removed),
        "faces": done.count,
        "without_face": [] if faces.labels is None else faces.ids[faces.places < 0].tolist(),
        "dimensions": faces.contract.dimension,
        "contract": json.loads(faces.contract.to_json()),
        "detector": faces.settings.detector,
        "min_score": faces.settings.min_score,
        "labelled": faces.settings.labelled,
        "doubtful": [_told(each) for each in faces.doubtful],
        "failed": [{**_told(each), "reason": each.failure} for each in faces.failed],
        "left_out": [_told(each) for each in faces.others],
        "skipped": [skip._asdict() for skip in done.skipped],
        "passed_over": done.passed_over,
    }


def sentences(done: Embedded) -> Iterator[str]:
    """The summary for people."""
    faces = done.faces
    before = f": {done.fresh:,} photographs now, {done.reused:,} unchanged since the last time"
    yield (
        f"{several(len(faces.photographs), 'photograph')}, {several(done.count, 'face')} embedded"
        f"{before if done.reused else ''}"
    )
    yield f"by {legible(str(faces.contract))}"
    if faces.labels is not None:
        lost = faces.ids[faces.places < 0].tolist()
        yield _people(faces.labels.tolist())
        yield from few("without a certain face, failures in an evaluation", map(whole, lost))
    yield from few(
        f"doubtful, below {faces.settings.min_score:g}, not embedded (--min-score 0 takes all)",
        [_named(each) for each in faces.doubtful],
    )
    yield from few(
        "certain, but not embedded",
        [f"{_named(each)}, {each.failure}" for each in faces.failed],
    )
    yield from few(
        "not the largest face of their photograph, left out",
        [_named(each) for each in faces.others],
    )
    yield from few("no longer there, removed", map(whole, done.removed))
    yield from few("skipped", [f"{whole(name)}: {reason}" for name, reason in done.skipped])
    if done.passed_over:
        yield f"passed over {several(done.passed_over, 'file')}, hidden or not named as pictures are"
    skips = f", what was skipped to {whole(done.skips)}" if done.skipped else ""
    yield f"Written to {whole(done.path)}{skips}"


def _people(labels: Sequence[str]) -> str:
    """How many, and the first: a folder that is no person is seen here."""
    names = list(dict.fromkeys(labels))
    first = ", ".join(legible(name) for name in names[:PEOPLE])
    more = f" and {len(names) - PEOPLE:,} more" if len(names) > PEOPLE else ""
    who = "1 person" if len(names) == 1 else f"{len(names):,} people"
    return f"{who}: {first}{more}"


def few(what: str, names: Iterable[str]) -> Iterator[str]:
    """How many of something there are, and the first ten of them; nothing where there are none."""
    every = list(names)
    if every:
        yield f"{len(every):,} {what}:"
        yield from (f"  {legible(name)}" for name in every[:SHOWN])
        if len(every) > SHOWN:
            yield f"  and {len(every) - SHOWN:,} more; --json lists them all"


def _told(each: LeftOut) -> dict[str, Any]:
    return {"photo": each.photo, "place": each.place, "score": each.face.score}


def _named(each: LeftOut) -> str:
    return f"{whole(each.photo)}#{each.place}: {written_score(each.face.score)}"
