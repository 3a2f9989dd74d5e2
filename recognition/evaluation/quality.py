"""Would it help to discard pictures of low quality? Errors at one threshold as they go."""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.comparisons.compared_pictures import Compared
from recognition.comparisons.scores import Scores
from recognition.errors import InputError
from recognition.evaluation.groups import usual_target
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section
from recognition.evaluation.uncertainty import (
    Uncertainty,
    fitted,
    fitted_to,
    mated_trials,
    percentiles,
    row,
)
from recognition.metrics.bootstrap import affordable
from recognition.metrics.intervals import PERSON_BOOTSTRAP
from recognition.metrics.quality import (
    PARTIAL,
    ErrorDiscard,
    discard_resamples,
    error_versus_discard,
    ideal_fnmr,
    ideal_mean,
    mean_fnmr,
    possible_gain,
)
from recognition.metrics.verification import threshold_at_fmr
from recognition.progress import Watch, unwatched

KEY, TITLE = "quality", "Would it help to discard pictures of low quality?"
SHARES = (0.0, 0.05, 0.1, 0.2)
GRID = np.arange(96) / 100  # shares at which the curve is drawn
ALIKE = 1e-3  # norms that differ by no more are all one
NO_GAIN = "no comparison is missed at this threshold, so there is nothing to gain"


@dataclass(frozen=True)
class Quality:
    """How good each picture is: what that is called, and a number (N,), higher is better.

    Raises:
        InputError: values that are not finite, or all the same.
    """

    name: str
    values: npt.NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or not np.isfinite(self.values).all():
            raise InputError(
                f"expected one finite number for each picture in {self.name!r}, got shape "
                f"{self.values.shape}; fill in what is missing"
            )
        if np.ptp(self.values) == 0:
            raise InputError(
                f"expected qualities that differ, but all pictures have {self.values[0]:g} in "
                f"{self.name!r}; name another column"
            )


def norm_quality(embeddings: npt.NDArray[np.generic]) -> Quality:
    """The length of each embedding as the network gave it.

    Raises:
        InputError: embeddings that have been brought to one length.
    """
    rows = np.asarray(embeddings, np.float64)
    largest = np.abs(rows).max()  # neither 1e-300 nor 1e300 is lost in the squares
    norms = np.linalg.norm(rows / largest, axis=1) * largest
    if np.ptp(norms) <= ALIKE * norms.max():
        raise InputError(
            f"expected embeddings as the network gave them, but all have the length "
            f"{norms.max():.4g}: nothing is left to tell quality by; save them before they are "
            "normalised, or name a column with --quality"
        )
    return Quality("norm", norms)


def column_quality(name: str, texts: npt.NDArray[np.str_]) -> Quality:
    """A column of numbers.

    Raises:
        InputError: an entry that is no finite number.
    """
    values = np.full(len(texts), np.nan)
    for place, text in enumerate(texts.tolist()):
        try:
            values[place] = float(text)
        except ValueError:
            continue
    wrong = ~np.isfinite(values)
    if wrong.any():
        at = int(wrong.argmax())
        raise InputError(
            f"expected a finite number in column {name!r} for every picture, but row {at} has "
            f"{str(texts[at])[:40]!r} ({int(wrong.sum())} such rows of {len(texts)}); fill them in"
        )
    return Quality(name, values)


def quality_section(
    scores: Scores,
    compared: Compared,
    quality: Quality,
    options: Options,
    watch: Watch = unwatched,
) -> Section:
    """FNMR and FMR at a fixed threshold as comparisons of low quality are discarded.

    The threshold is that of the lowest reported FMR from 0.001 on that rests on 30 false matches
    among all comparisons. Rows are `quality:fnmr@discard=0.05` ... with `quality:fmr@...`, the
    means `quality:partial`, `...:ideal`, `...:random` and `quality:area`, and `quality:gain`. The
    curve is `discard`.

    Args:
        scores: all comparisons.
        compared: the pictures of each.
        quality: of the pictures.
        options: the FMRs, resamples and the seed.
        watch: told how many resamples are done.

    Raises:
        InputError: no FMR that can be measured.
    """
    of_mated, of_nonmated = (
        np.minimum(*(quality.values[side] for side in kind)) for kind in compared
    )
    target = usual_target(scores, options)
    threshold = threshold_at_fmr(scores.nonmated, target)
    curve = error_versus_discard(scores, of_mated, of_nonmated, threshold)
    replicates = affordable(options.replicates, len(scores.mated))
    asked = np.concatenate([SHARES, GRID])
    with watch("resampling people", replicates) as advance:
        again = discard_resamples(
            scores,
            of_mated,
            target,
            asked,
            replicates=replicates,
            seed=options.seed,
            progress=advance,
        )
    trials = mated_trials(scores)
    errors, mated = float(curve.missed[0]), float(curve.mated[0])
    places = curve.places(SHARES)
    values = {f"quality:fnmr@discard={share:g}": float(curve.fnmr[place])
              for share, place in zip(SHARES, places, strict=True)}  # fmt: skip
    values |= {"quality:partial": mean_fnmr(curve), "quality:area": mean_fnmr(curve, 1.0)}
    resampled = [*again.fnmr[:, : len(SHARES)].T, again.partial, again.whole]
    found = Uncertainty(
        {
            key: fitted(value, each, trials)
            for (key, value), each in zip(values.items(), resampled, strict=True)
        },
        fitted_to(scores, replicates),
    )
    by_share = zip(SHARES, places.tolist(), strict=True)
    rows = (
        *(each for share, place in by_share for each in _rate_rows(curve, share, place, found)),
        *_mean_rows(values, errors, mated, found),
        _gain_row(curve, again.gain),
    )
    return Section(
        KEY, TITLE, rows, tuple(_notes(quality, target, threshold)), _curves(curve, again.fnmr)
    )


def _rate_rows(curve: ErrorDiscard, share: float, place: int, found: Uncertainty) -> Iterator[Row]:
    key = f"discard={share:g}"
    gone = f"at most {100 * share:.0f} % discarded" if share else "nothing discarded"
    about = {"quality": float(curve.qualities[place]), "discarded": float(curve.discarded[place])}
    counts = {"errors": int(curve.missed[place]), "trials": int(curve.mated[place]), **about}
    name = f"quality:fnmr@{key}"
    value = float(curve.fnmr[place])
    yield row(name, f"FNMR, {gone}", "share", value, found, counts=counts)
    trials = int(curve.nonmated[place])
    rate, note = float(curve.fmr[place]), None
    if not trials:
        note = "no non-mated comparison of that quality is left"
    counts = {"errors": int(curve.matched[place]), "trials": trials, **about}
    value_or_none = rate if trials else None
    yield row(
        f"quality:fmr@{key}", f"FMR, {gone}", "share", value_or_none, note=note, counts=counts
    )


def _mean_rows(
    values: dict[str, float], errors: float, mated: float, found: Uncertainty
) -> Iterator[Row]:
    up_to = f"{100 * PARTIAL:.0f} %"
    partial, area = "quality:partial", "quality:area"
    yield row(partial, f"Mean FNMR, 0 to {up_to} discarded", "share", values[partial], found)
    ideal = ideal_mean(errors, mated)
    yield row(f"{partial}:ideal", "… in the ideal order", "share", ideal)
    yield row(f"{partial}:random", "… in random order", "share", errors / mated)
    yield row(area, "Mean FNMR, 0 to 100 % discarded", "share", values[area], found)


def _gain_row(curve: ErrorDiscard, again: npt.NDArray[np.float64]) -> Row:
    key, label = "quality:gain", "Share of what could be gained"
    value = possible_gain(curve)
    if np.isnan(value):
        return row(key, label, "share", None, note=NO_GAIN)
    found = Uncertainty({key: percentiles(value, again)}, PERSON_BOOTSTRAP)
    return row(key, label, "share", value, found)


def _notes(quality: Quality, target: float, threshold: float) -> Iterator[str]:
    what = "the length of the embedding" if quality.name == "norm" else f"column {quality.name!r}"
    yield (
        f"Quality is {what}; a comparison is as good as the worse of its two pictures, and those "
        "of equal quality are discarded together. Shares are of the mated comparisons"
    )
    yield (
        f"One threshold throughout, {threshold:.4f}: FMR at most {target:g} over all comparisons, "
        "set anew in each resample. Where nothing that is left is missed, the band of the figure has no "
        "width, which is no certainty"
    )
    yield (
        f"What could be gained is the fall of the mean FNMR, 0 to {100 * PARTIAL:.0f} % discarded, if every "
        "missed comparison were discarded first: 100 % is ideal, 0 % no better than chance, less "
        "is worse than no quality at all"
    )


def _curves(
    curve: ErrorDiscard, again: npt.NDArray[np.float64]
) -> dict[str, dict[str, npt.NDArray[np.float64]]]:
    places = curve.places(GRID)
    grid = again[:, len(SHARES) :]
    fnmr = curve.fnmr[places]
    low = np.quantile(grid, 0.025, axis=0, method="lower")
    high = np.quantile(grid, 0.975, axis=0, method="higher")
    errors, mated = float(curve.missed[0]), float(curve.mated[0])
    return {
        "discard": {
            "share": GRID,
            "discarded": curve.discarded[places],
            "quality": curve.qualities[places],
            "fnmr": fnmr,
            "low": np.minimum(low, fnmr),
            "high": np.maximum(high, fnmr),
            "fmr": curve.fmr[places],
            "left": curve.mated[places],
            "ideal": ideal_fnmr(errors, mated, GRID),
            "random": np.full(len(GRID), errors / mated),
        }
    }
