"""What `recognition verify` does, and what it tells."""

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

from recognition.cli.console import show_json, show_lines, whole
from recognition.errors import InputError
from recognition.faces.embedder import Embedder
from recognition.faces.models import load_embedder
from recognition.faces.mtcnn import Mtcnn
from recognition.faces.trusted_threshold import Threshold, read_calibration
from recognition.faces.verification import Side, Verification, verify_photos
from recognition.report.text import legible

USUAL_FMR = 0.001
NO_THRESHOLD = (
    "it cannot be decided without a threshold, and none is made up: embed photographs of people you "
    "know with recognition embed people/ -o people.npz --labelled, judge them with recognition "
    "evaluate people.npz --out judged, and add --calibration judged; or give --threshold T"
)


class Asked(NamedTuple):
    """The command line of `recognition verify`."""

    first: Path
    second: Path
    min_score: float
    model: str | None
    device: str
    threshold: float | None
    calibration: Path | None
    fmr: float | None


def decide(asked: Asked) -> Verification:
    """Compare two photographs.

    Raises:
        InputError: it cannot be done.
    """
    if asked.threshold is not None and asked.calibration is not None:
        raise InputError("--threshold and --calibration both say where to decide; give one")
    if asked.fmr is not None and asked.calibration is None:
        raise InputError(
            "--fmr chooses a threshold from a file; add --calibration results.json, or leave it out"
        )
    given = None
    if asked.threshold is not None:
        given = Threshold(asked.threshold, "given with --threshold")
    embedder = load_embedder(asked.model, device=asked.device)
    return verify_photos(
        asked.first,
        asked.second,
        embedder=embedder,
        detector=Mtcnn(device=asked.device),
        threshold=given or _calibrated(asked, embedder),
        min_score=asked.min_score,
    )


def show(done: Verification, *, as_json: bool) -> None:
    """Print the score, the threshold, and the verdict."""
    if as_json:
        show_json(described(done))
    else:
        show_lines(sentences(done))


def described(done: Verification) -> dict[str, Any]:
    """Everything a program may want to know."""
    return {
        "format": 1,
        "verdict": done.verdict,
        "score": done.score,
        "threshold": None if done.threshold is None else asdict(done.threshold),
        "same_file": done.same_file,
        "photographs": [_described(side) for side in (done.first, done.second)],
        "contract": json.loads(done.contract.to_json()),
        "detector": done.detector,
    }


def sentences(done: Verification) -> Iterator[str]:
    """The same for people."""
    digits = _digits(done)
    yield f"score {done.score:.{digits}f}, the cosine of both embeddings; higher is more alike"
    yield from _about(done.threshold, digits)
    yield f"by {legible(str(done.contract))}"
    for side in (done.first, done.second):
        if side.others:
            name, more = whole(side.path), side.others
            yield (
                f"{name}: the largest of {more + 1} certain faces was compared; for another one, "
                "cut the photograph so that it is the largest"
            )
    if done.same_file:
        yield "both files are the same, byte for byte: the score says nothing of people"
    yield _verdict(done)


def _digits(done: Verification) -> int:
    """Four, or as many as show on which side of the threshold the score is."""
    other = done.score if done.threshold is None else done.threshold.value
    told_apart = (n for n in range(4, 18) if f"{done.score:.{n}f}" != f"{other:.{n}f}")
    return next(told_apart, 4)


def _verdict(done: Verification) -> str:
    if done.threshold is None:
        return f"undecided: {NO_THRESHOLD}"
    if done.verdict == "same":
        return "the same person: the score is at or above the threshold"
    return "not the same person: the score is below the threshold"


def _about(threshold: Threshold | None, digits: int) -> Iterator[str]:
    if threshold is None:
        yield "threshold none"
        return
    on = ""
    if threshold.people is not None and threshold.comparisons is not None:
        on = (
            f", on {threshold.comparisons:,} comparisons of different people among "
            f"{threshold.people:,}"
        )
    yield f"threshold {threshold.value:.{digits}f}, {threshold.source}{on}"
    if threshold.fmr is not None:
        interval = ""
        if threshold.interval is not None:
            low, high = threshold.interval
            interval = f" ({low:.2g} to {high:.2g} at 95 %)"
        yield (
            f"so set on half of them, it takes two different people of the other half for one with "
            f"a rate of {threshold.fmr:.2g}{interval}"
        )
    if threshold.note:
        yield threshold.note


def _calibrated(asked: Asked, embedder: Embedder) -> Threshold | None:
    if asked.calibration is None:
        return None
    fmr = USUAL_FMR if asked.fmr is None else asked.fmr
    return read_calibration(asked.calibration, embedder.contract, fmr=fmr)


def _described(side: Side) -> dict[str, Any]:
    return {
        "path": legible(str(side.path)),
        "sha256": side.digest,
        "box": side.face.box.tolist(),
        "landmarks": side.face.landmarks.tolist(),
        "score": side.face.score,
        "other_certain_faces": side.others,
        "doubtful_detections": side.doubtful,
    }
