"""BLUFR's numbers: VR at FAR 0.1 % and DIR at FAR 1 %, over its trials."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.comparisons.all_pairs import tally_all
from recognition.datasets.blufr import Blufr, Placed, Trial, place_pictures
from recognition.datasets.embedding_files import EmbeddingFile
from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.failures import lost_pairs
from recognition.evaluation.findings import Findings
from recognition.evaluation.rows import Row, Section
from recognition.metrics.identification import fnir_at_fpir
from recognition.metrics.searches import with_failures
from recognition.metrics.verification import tar_at_fmr
from recognition.progress import Watch, numbered, unwatched
from recognition.search.identify import search_people

FAR_VERIFICATION, FAR_SEARCH = 1e-3, 1e-2
TITLE = "BLUFR: verification and open-set identification over its trials"


class _Point(NamedTuple):
    """A rate of one trial, None where its FAR cannot be measured, with what it was counted from."""

    value: float | None
    note: str | None
    counts: dict[str, Any]


def evaluate_blufr(table: EmbeddingFile, protocol: Blufr, *, watch: Watch = unwatched) -> Findings:
    """What embeddings are worth by BLUFR's protocol: both rates of each trial, mean and deviation.

    In each trial all pairs of its test pictures are compared, for VR (TAR) at FAR 0.1 %; then its
    probes are searched for in its gallery, for DIR at FAR 1 % at rank 1. The protocol ranks by the
    mean less the standard deviation over trials (n - 1, as MATLAB's). Rows are `blufr:vr`,
    `blufr:vr:sd`, `blufr:vr:mean-sd`, `blufr:vr@trial=1` ..., and the same with `dir`.

    There are no rates over a grid of thresholds: the protocol sets each trial's own, and reports how
    its two rates vary, which no single threshold would have.

    A picture that could not be embedded is missed in all its mated pairs and searches; somebody
    whose gallery picture could not be is not found.

    Args:
        table: embeddings of the protocol's pictures, with their file names as ids.
        protocol: see `read_blufr`.
        watch: told how far each trial is.

    Raises:
        InputError: pictures that are missing, or people that differ; a trial with too few
            pictures that could be embedded.
    """
    placed = place_pictures(protocol, table.ids, table.labels, failed=table.failures)
    rates: dict[str, list[_Point]] = {"vr": [], "dir": []}
    for number, trial in enumerate(protocol.trials, 1):
        stage = numbered(watch, f"{number}/{len(protocol.trials)}")
        rates["vr"].append(_verified(table.embeddings, placed, trial, stage))
        rates["dir"].append(_identified(table.embeddings, placed, trial, stage))
    rows = (
        *_rows("vr", "VR at FAR 0.1 %", rates["vr"]),
        *_rows("dir", "DIR at FAR 1 %, rank 1", rates["dir"]),
    )
    notes = (
        (
            f"{len(protocol.trials)} trials; VR is TAR. Trials share people, so their deviation is "
            "no interval: it says how much depends on who is drawn. The protocol ranks by mean - sd"
        ),
        "FAR is at most what is asked, in each trial at its own threshold",
    )
    described = {
        "pictures": len(protocol.images),
        "people": len(np.unique(protocol.labels)),
        "dimensions": table.embeddings.shape[1],
        "failures": [one._asdict() for one in table.failures],
        "notes": [],
    }
    return Findings(described, [Section("blufr", TITLE, rows, notes)])


def _split(placed: Placed, pictures: npt.NDArray[np.int64]) -> tuple[Any, Any, Any]:
    """Rows and labels of those that were embedded, and labels of those that were not."""
    rows, labels = placed.rows[pictures], placed.labels[pictures]
    made = rows >= 0
    return rows[made], labels[made], labels[~made]


def _verified(embeddings: npt.NDArray[Any], placed: Placed, trial: Trial, watch: Watch) -> _Point:
    rows, labels, failed = _split(placed, trial.test)
    pairs = len(rows) * (len(rows) - 1) // 2
    with watch("comparing all pairs", pairs) as advance:
        tally = tally_all(
            embeddings[rows], labels, tail_fmr=FAR_VERIFICATION, curve=0, progress=advance
        )
    point = tar_at_fmr(tally, FAR_VERIFICATION)
    tried = point.mated + lost_pairs(labels, failed).mated
    counts = {"accepted": point.accepted, "mated": tried, "nonmated": point.nonmated,
              "threshold": point.threshold, "fmr": point.fmr}  # fmt: skip
    value = point.accepted / tried if point.resolved else None
    return _Point(value, point.reason, counts)


def _identified(embeddings: npt.NDArray[Any], placed: Placed, trial: Trial, watch: Watch) -> _Point:
    gallery, people, gone = _split(placed, trial.gallery)
    probes, shown, failed = _split(placed, trial.probes)
    enrolled = np.isin(shown, placed.labels[trial.gallery])
    lost = np.isin(shown, np.setdiff1d(gone, people))  # their only gallery picture failed
    if not len(gallery) or not (enrolled & ~lost).any() or enrolled.all():
        raise InputError(
            f"expected a gallery and probes that could be embedded, but {len(gallery)} gallery "
            f"pictures and {len(probes)} probes of a trial are left; embed more of them"
        )
    found = search_people(
        embeddings[gallery], people, embeddings[probes[~lost]], shown[~lost], keep=1, watch=watch
    )
    mated = np.isin(failed, placed.labels[trial.gallery])
    whole = with_failures(
        found, mated=np.concatenate([shown[lost], failed[mated]]), nonmated=failed[~mated]
    )
    point = fnir_at_fpir(whole, FAR_SEARCH)
    counts = {"hits": point.mated - point.missed, "mated": point.mated,
              "nonmated": point.nonmated, "threshold": point.threshold, "fpir": point.fpir}  # fmt: skip
    return _Point(point.dir if point.resolved else None, point.reason, counts)


def _rows(key: str, label: str, points: Sequence[_Point]) -> list[Row]:
    name = f"blufr:{key}"
    values = [point.value for point in points if point.value is not None]
    sizes = {
        each: float(np.mean([point.counts[each] for point in points]))
        for each in ("mated", "nonmated")
    }
    counts = {"trials": len(points), **sizes}
    missing = next((point.note for point in points if point.value is None), None)
    mean = sd = least = None
    if missing is None:
        mean, sd = float(np.mean(values)), float(np.std(values, ddof=1))
        least = mean - sd
    made = [
        Row(name, f"{label}, mean", "share", Estimate(mean, note=missing, counts=counts)),
        Row(f"{name}:sd", "… standard deviation", "share", Estimate(sd, note=missing)),
        Row(f"{name}:mean-sd", "… mean - sd", "share", Estimate(least, note=missing)),
    ]
    for number, point in enumerate(points, 1):
        estimate = Estimate(point.value, note=point.note, counts=point.counts)
        made.append(Row(f"{name}@trial={number}", f"… trial {number}", "share", estimate))
    return made
