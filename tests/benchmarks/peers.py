"""What the rules of other toolkits give on the same comparisons, beside the exact answer.

    python tests/benchmarks/peers.py [FILE.npz]

FILE holds `embeddings` (N, D) and `labels` (N,); without one, the shared ORL faces are taken.
Every rule is written anew from the file that its comment names, and runs on the very scores that
ours runs on: once as they are, once rounded to two decimals, so that nearly all of them tie.

"wrong by" is the TAR a rule reports less the highest TAR at an FMR of at most the one asked for.
Above 0 it promises what no threshold at that FMR keeps; below 0 it gives away matches.
"""

import argparse
import math
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from scipy.interpolate import interp1d
from sklearn.metrics import roc_curve

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists, Scores
from recognition.metrics.score_separation import d_prime
from recognition.metrics.verification import area_under_curve, equal_error_rate, tar_at_fmr

ORL = Path(__file__).parents[3] / "shared" / "data" / "orl_mobilefacenet.npz"
TARGETS = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
Floats = npt.NDArray[np.float64]
Found = tuple[float, float]  # the TAR a rule reports, and the FMR of the threshold it returns


def share(hits: npt.NDArray[np.bool_]) -> float:
    return float(np.mean(hits))


def nearest_point(u: Floats, v: Floats, target: float) -> Found:
    """deepinsight/insightface recognition/arcface_torch/eval_ijbc.py; mk-minchul/CVLface
    .../evaluations/ijbbc/evaluate.py: roc_curve as it comes, then the point nearest to the target.
    """
    truth = np.repeat([1, 0], [len(u), len(v)])
    fmr, tar, _ = roc_curve(truth, np.concatenate([u, v]))  # drops points that look straight
    at = int(np.abs(fmr[::-1] - target).argmin())
    return float(tar[::-1][at]), float(fmr[::-1][at])


def grid_and_spline(u: Floats, v: Floats, target: float) -> Found:
    """deepinsight/insightface recognition/arcface_torch/eval/verification.py, calculate_val: FAR on
    a grid of squared distances, the threshold by a spline through it.
    """
    same, other = 2 - 2 * u, 2 - 2 * v
    grid = np.arange(0, 4, 0.001)
    far = np.array([share(other < t) for t in grid])
    threshold = interp1d(far, grid, kind="slinear")(target) if far.max() >= target else 0.0
    return share(same < threshold), share(other < threshold)


def quantile(u: Floats, v: Floats, target: float) -> Found:
    """OML-Team/open-metric-learning oml/functional/metrics.py, calc_fnmr_at_fmr."""
    same, other = np.sqrt((2 - 2 * u).clip(0)), np.sqrt((2 - 2 * v).clip(0))
    threshold = np.percentile(other, 100 * target)
    return 1 - share(same >= threshold), share(other < threshold)


def rounded_count(u: Floats, v: Floats, target: float) -> Found:
    """mk-minchul/CVLface .../evaluations/tinyface/metrics.py; seasonSH/Probabilistic-Face-Embeddings
    evaluation/metrics.py, find_thresholds_by_FAR.
    """
    count = round(len(v) * target)
    highest = np.sort(v)[::-1]
    threshold = highest[count - 1] if count else highest[0] + 1e-5
    return share(u >= threshold), share(v >= threshold)


def masked_index(u: Floats, v: Floats, target: float) -> Found:
    """pterhoer/QMagFace evaluation/metrics.py: 600 thresholds, accepted strictly above; the TAR of
    "fmr" and the threshold of "thr", whose index into a part is used on the whole. Its folds, which
    average the same counts, are left out.
    """
    both = np.concatenate([u, v])
    grid = np.linspace(both.min(), both.max(), 600)
    tar, fmr = (np.array([share(kind > t) for t in grid]) for kind in (u, v))
    allowed = fmr <= target
    threshold = grid[np.argmin(1 - tar[allowed])]
    return float(tar[allowed].max()), share(v > threshold)


def pyeer_curve(u: Floats, v: Floats) -> tuple[Floats, Floats, Floats]:
    """manuelaguadomtz/pyeer pyeer/eer_stats.py, calculate_roc: no threshold above all scores."""
    thresholds = np.unique(np.concatenate([u, v]))
    false = len(v) - np.searchsorted(np.sort(v), thresholds)
    missed = np.searchsorted(np.sort(u), thresholds)
    return thresholds, false / len(v), missed / len(u)


def nearest_distinct(u: Floats, v: Floats, target: float) -> Found:
    """manuelaguadomtz/pyeer pyeer/eer_stats.py, get_fmr_op."""
    _, fmr, fnmr = pyeer_curve(u, v)
    at = int(np.abs(fmr - target).argmin())
    return 1 - float(fnmr[at]), float(fmr[at])


def walk(u: Floats, v: Floats, target: float) -> Found:
    """bioidiap/bob.measure bob/measure/brute_force.py, far_threshold: from the highest down, one
    group of ties after the other, while the FAR stays allowed.
    """
    values, counts = np.unique(v, return_counts=True)
    far = np.cumsum(counts[::-1]) / len(v)
    allowed = int((far <= target).sum())
    threshold = values[::-1][allowed - 1] if allowed else np.nextafter(values[-1], np.inf)
    return share(u >= threshold), share(v >= threshold)


RULES: Sequence[tuple[str, str, Callable[[Floats, Floats, float], Found]]] = (
    ("insightface, CVLface IJB", "roc_curve, nearest point", nearest_point),
    ("insightface LFW", "spline over a grid", grid_and_spline),
    ("OML", "percentile, interpolated", quantile),
    ("CVLface, PFE", "round(N FMR), >=", rounded_count),
    ("QMagFace", "600 thresholds, masked index", masked_index),
    ("pyeer", "nearest distinct score", nearest_distinct),
    ("bob", "walk down while allowed", walk),
)


def tar_rows(scores: ScoreLists) -> list[Sequence[str]]:
    u, v = scores.mated.astype(np.float64), scores.nonmated.astype(np.float64)
    rows: list[Sequence[str]] = []
    for target in TARGETS:
        exact = tar_at_fmr(scores, target)
        known = percent(exact.tar) if exact.resolved else "not measured"
        rows.append(
            ("this project", "at most", f"{target:g}", known, f"{exact.fmr:.2e}", known, "", "")
        )
        for peer, name, rule in RULES:
            try:
                tar, fmr = rule(u, v, target)
            except ValueError as error:
                rows.append((peer, name, f"{target:g}", "crashes", "", known, "", str(error)[:40]))
                continue
            wrong = points(tar - exact.tar) if exact.resolved else "unfounded"
            over = f"FMR is {fmr / target:.4g} x asked" if fmr > target * (1 + 1e-9) else ""
            rows.append((peer, name, f"{target:g}", percent(tar), f"{fmr:.2e}", known, wrong, over))
        rows.append(())
    return rows[:-1]


def whole_curve_rows(scores: ScoreLists) -> list[Sequence[str]]:
    """Rules that need no target: EER, area, d'."""
    u, v = scores.mated.astype(np.float64), scores.nonmated.astype(np.float64)
    exact = equal_error_rate(scores)
    _, fmr, fnmr = pyeer_curve(u, v)
    # QMagFace evaluation/metrics.py: the FMR alone, where it is nearest to the FNMR on 600 steps
    both = np.concatenate([u, v])
    grid = np.linspace(both.min(), both.max(), 600)
    on_grid = [np.array([share(kind > t) for t in grid]) for kind in (v, u)]
    coarse = on_grid[0][np.abs(1 - on_grid[1] - on_grid[0]).argmin()]
    # pyeer get_eer_values: FVC2000; bob brute_force.py eer_threshold: the nearest, last of equals
    first = int(np.flatnonzero(fmr <= fnmr)[0])
    before = first - 1 if fmr[first] != fnmr[first] and first else first
    fvc = min((fmr + fnmr)[[before, first]]) / 2
    apart = np.abs(fmr - fnmr)
    nearest = len(apart) - 1 - int(apart[::-1].argmin())
    halved = (fmr[nearest] + fnmr[nearest]) / 2
    # pyeer calculate_roc_auc: trapezoids between distinct scores, the last vertex missing
    area = float(((fmr[:-1] - fmr[1:]) * (1 - (fnmr[:-1] + fnmr[1:]) / 2)).sum())
    known = area_under_curve(scores)
    # pyeer get_decidability_value
    spread = math.sqrt((float(np.std(u)) ** 2 + float(np.std(v)) ** 2) / 2)
    decidability = abs(float(u.mean() - v.mean())) / spread
    ours = d_prime(scores.mated, scores.nonmated)
    return [
        ("EER", "this project", "FVC2000", percent(exact.rate), ""),
        ("EER", "pyeer", "FVC2000", percent(fvc), points(fvc - exact.rate)),
        ("EER", "bob", "nearest, halved", percent(halved), points(halved - exact.rate)),
        ("EER", "QMagFace", "nearest of 600, FMR", percent(coarse), points(coarse - exact.rate)),
        (),
        ("AUC", "this project", "Mann-Whitney, exact", f"{known:.9f}", ""),
        ("AUC", "pyeer", "trapezoids", f"{area:.9f}", f"{area - known:+.1e}"),
        (),
        ("d'", "this project", "ddof 0", f"{ours:.6f}", ""),
        ("d'", "pyeer", "ddof 0", f"{decidability:.6f}", f"{decidability - ours:+.1e}"),
    ]


def ten_folds(scores: Scores, seed: int = 0) -> tuple[Floats, npt.NDArray[np.bool_]]:
    """(10, 2 n) scores and who is mated: folds without a person in common, both kinds equal."""
    fold = np.random.default_rng(seed).permutation(np.arange(scores.people) % 10)
    own, sides = fold[scores.mated_person], fold[scores.nonmated_persons]
    other = np.where(sides[:, 0] == sides[:, 1], sides[:, 0], -1)
    n = min(np.bincount(own, minlength=10).min(), np.bincount(other[other >= 0]).min())
    rng = np.random.default_rng(seed)
    pairs = [
        np.concatenate(
            [
                rng.permutation(scores.mated[own == f])[:n],
                rng.permutation(scores.nonmated[other == f])[:n],
            ]
        )
        for f in range(10)
    ]
    return np.array(pairs, np.float64), np.repeat([True, False], n)


def accuracy_rows(scores: Scores, decimals: int | None) -> list[Sequence[str]]:
    """Best-threshold accuracy, LFW's second view: a threshold from nine folds for the tenth."""
    folds, mated = ten_folds(scores)
    if decimals is not None:
        folds = folds.round(decimals)

    def accuracies(choose: Callable[[Floats, npt.NDArray[np.bool_]], float]) -> Floats:
        found = []
        for f in range(10):
            rest = np.delete(folds, f, axis=0)
            threshold = choose(rest.ravel(), np.tile(mated, 9))
            found.append(share((folds[f] >= threshold) == mated))
        return np.array(found)

    ours, theirs = accuracies(widest_best), accuracies(first_of_grid)
    # PFE evaluation/metrics.py, accuracy: the best of the mated scores, on the test pairs
    every = folds.ravel(), np.tile(mated, 10)
    best = max(share((every[0] >= t) == every[1]) for t in np.unique(every[0][every[1]]))
    error = float(ours.std(ddof=1) / math.sqrt(10))
    middle = float(ours.mean())
    return [
        ("this project", "exact, standard error", percent(middle), f"± {100 * error:.2f}", ""),
        (
            "insightface, CVLface",
            "grid of 0.01, std with ddof 0",
            percent(float(theirs.mean())),
            f"± {100 * theirs.std():.2f}",
            points(float(theirs.mean()) - middle),
        ),
        ("PFE", "threshold from the test", percent(best), "", points(best - middle)),
    ]


def widest_best(values: Floats, mated: npt.NDArray[np.bool_]) -> float:
    """Amid the widest gap between neighbouring scores among those of the highest accuracy."""
    steps = ScoreLists(values[mated], values[~mated]).steps
    right = steps.true - steps.false
    best = np.flatnonzero(right == right.max())
    below = np.append(steps.thresholds[1:], -np.inf)[best]
    widths = steps.thresholds[best] - below
    at = int(widths.argmax())
    if np.isinf(below[at]):
        return -np.inf
    return float(below[at] + widths[at] / 2)


def first_of_grid(values: Floats, mated: npt.NDArray[np.bool_]) -> float:
    """insightface eval/verification.py, calculate_roc: squared distances, accepted strictly below,
    the first of the best; as a threshold on the cosine.
    """
    squared = 2 - 2 * values
    grid = np.arange(0, 4, 0.01)
    best = grid[np.argmax([share((squared < t) == mated) for t in grid])]
    # the lowest cosine that is strictly nearer than the best distance
    return float(np.nextafter(1 - best / 2, np.inf))


def fixed_rows(scores: ScoreLists) -> list[Sequence[str]]:
    """serengil/deepface deepface/config/threshold.py: one cosine distance for each model."""
    rows: list[Sequence[str]] = []
    for model, distance in (("ArcFace", 0.68), ("Buffalo_L", 0.55), ("Facenet512", 0.30)):
        u, v = scores.mated >= 1 - distance, scores.nonmated >= 1 - distance
        rows.append((model, f"{distance:.2f}", percent(share(u)), f"{share(v):.2e}"))
    return rows


def retrieval_rows(embeddings: Floats, labels: npt.NDArray[np.int64]) -> list[Sequence[str]]:
    """pytorch_metric_learning itself: its AccuracyCalculator reads labels as float32."""
    import torch
    from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

    unit = embeddings / np.linalg.norm(embeddings, axis=1, keepdims=True)
    scores = unit @ unit.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1, kind="stable")[:, :-1]
    hits = labels[order] == labels[:, None]
    relevant = hits.sum(axis=1)
    asked = relevant > 0  # who has no other picture is no query
    within = hits & (np.arange(hits.shape[1]) < relevant[:, None])
    precision = np.cumsum(within, axis=1) / np.arange(1, hits.shape[1] + 1)
    exact = {
        "precision_at_1": float(hits[asked, 0].mean()),
        "r_precision": float((within.sum(axis=1)[asked] / relevant[asked]).mean()),
        "mean_average_precision_at_r": float(
            ((precision * within).sum(axis=1)[asked] / relevant[asked]).mean()
        ),
    }
    calculator = AccuracyCalculator(
        include=tuple(exact), k="max_bin_count", device=torch.device("cpu")
    )
    rows: list[Sequence[str]] = []
    for first in (0, 2**24):
        found = calculator.get_accuracy(unit.astype(np.float32), labels + first)
        for name, value in exact.items():
            of = f"{labels.min() + first} .. {labels.max() + first}"
            off = points(found[name] - value)
            rows.append((name, of, percent(found[name]), percent(value), off))
    return rows


def percent(rate: float) -> str:
    return f"{100 * rate:.2f}"


def points(difference: float) -> str:
    return f"{round(100 * difference, 2) + 0.0:+.2f}"  # no -0.00


def table(title: str, heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(r[i]) for r in [heads, *rows] if r) for i in range(len(heads))]
    print(f"\n{title}")
    for row in [heads, ["-" * w for w in widths], *rows]:
        cells = (cell.ljust(w) for cell, w in zip(row, widths, strict=False))
        print("  ".join(cells).rstrip())


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("file", nargs="?", type=Path, default=ORL, help="npz, see the top")
    path = parser.parse_args().file
    with np.load(path, allow_pickle=False) as kept:
        embeddings, names = kept["embeddings"].astype(np.float64), kept["labels"]
    labels = np.unique(names, return_inverse=True)[1].astype(np.int64)
    scores = compare_all(embeddings, labels)
    print(
        f"{path.name}: {len(labels)} pictures of {scores.people} people, {len(scores.mated)} mated "
        f"and {len(scores.nonmated)} non-mated comparisons; rates in percent, FMR as a share"
    )
    warnings.simplefilter("ignore")  # what a rule warns of is not the point here
    for decimals in (None, 2):
        kind = "scores as they are" if decimals is None else "scores rounded to 2 decimals"
        judged = scores if decimals is None else rounded(scores, decimals)
        heads = ("peer", "rule", "asked FMR", "TAR it reports", "FMR it runs at", "exact TAR")
        table(f"TAR at an FMR, {kind}", (*heads, "wrong by", "because"), tar_rows(judged))
        heads = ("number", "peer", "rule", "value", "wrong by")
        table(f"The whole curve, {kind}", heads, whole_curve_rows(judged))
        heads = ("peer", "rule", "accuracy", "error", "wrong by")
        table(f"Accuracy over 10 folds, {kind}", heads, accuracy_rows(scores, decimals))
    heads = ("threshold of", "distance", "TAR", "FMR it runs at")
    table("deepface: fixed thresholds, whatever the data", heads, fixed_rows(scores))
    heads = ("metric", "labels", "it reports", "exact", "wrong by")
    table("pytorch-metric-learning", heads, retrieval_rows(embeddings, labels))


def rounded(scores: Scores, decimals: int) -> ScoreLists:
    return ScoreLists(
        scores.mated.astype(np.float64).round(decimals),
        scores.nonmated.astype(np.float64).round(decimals),
    )


if __name__ == "__main__":
    main()
