"""How well features keep people apart, before any threshold: every number with its reason."""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import numpy.typing as npt

from recognition.comparisons.scores import ScoreLists, ScoreTable
from recognition.comparisons.steps import Steps
from recognition.datasets.weight_files import ClassWeights
from recognition.errors import InputError
from recognition.evaluation.class_weights import classes_of
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.options import Options
from recognition.evaluation.rows import Row, Section, Unit
from recognition.evaluation.separability_estimates import Separation, between
from recognition.evaluation.uncertainty import Cornered, corner_intervals
from recognition.metrics import separability as measure
from recognition.metrics.intervals import CLUSTERED_WILSON, PERSON_BOOTSTRAP
from recognition.metrics.person_intervals import share_interval
from recognition.progress import Watch, unwatched

TITLE = "Separability: how far apart are people, and how tight is each?"
BY_PAIRS = "U-statistic by person"
BINS = 200
READING = (
    (
        "Intra is the mean angle of a picture to its person's centre (lower is better), Inter that "
        "of a centre to the nearest other one (higher is better). The centre includes the picture, as "
        "in the ArcFace paper; leaving it out is the honest number where people have few pictures"
    ),
    (
        "Silhouette: how much nearer a picture is to its own person than to the next one, from -1 to "
        "1; higher is better. Trace ratio: variance between people over variance within; higher is "
        "better. Fisher's ratio: the same with each direction by its own scatter; higher is better, "
        "and only to be read with several times as many pictures as dimensions"
    ),
    (
        "Davies-Bouldin: how alike a person is to the most alike other one; lower is better. "
        "Calinski-Harabasz: the trace ratio times (N - C) / (C - 1); higher is better, but only "
        "comparable on the same pictures"
    ),
    (
        "Alignment: mean squared distance of two pictures of one person; lower is better. Uniformity: "
        "how evenly all pictures fill the sphere; lower is better. Each is easy alone, at the cost of "
        "the other"
    ),
    (
        "NC1 and CDNV: scatter within people against the distance between them; lower is better. NC2: "
        "how far people are from equal lengths, equal angles, and the widest angle there is; 0 is best"
    ),
    (
        "Effective rank and participation ratio: how many dimensions are in use; higher leaves more "
        "room for new people, if silhouette and margins do not suffer"
    ),
    (
        "Kolmogorov-Smirnov: the largest TAR - FMR at one threshold; higher is better, 1 is apart. "
        "Overlap: what both histograms of scores have in common; lower is better, and it depends on "
        "the bins"
    ),
    (
        "Intervals are of the people who are judged; whom they are judged against stays. Fisher's "
        "ratio, NC1, NC2, NC3 and the dimensions in use are of all people at once and have none"
    ),
)


def separate(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    *,
    scores: ScoreTable | None = None,
    weights: ClassWeights | None = None,
    options: Options | None = None,
    watch: Watch = unwatched,
) -> Section:
    """Angles, silhouette, scatter, alignment and uniformity, neural collapse, rank, overlap.

    Memory is the embeddings in float64 and a block; time is N² D for the uniformity of N pictures,
    N C D for the silhouette, N D² for scatter and rank.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        scores: all comparisons, for the overlap of their distributions; left out without.
        weights: class weights of the head that was trained on these people, for W-EC, W-Inter,
            NC3 and NC4.
        options: resamples and seed.
        watch: told how far each stage is.

    Raises:
        InputError: embeddings that cannot be used, fewer than two people, weights that do not fit.
    """
    options = options or Options()
    features = measure.features_of(embeddings, labels)
    classes = classes_of(weights, features) if weights is not None else None
    found = Separation(features, options.replicates, options.seed, watch, classes)
    rows = [*_of_angles(found), *_of_scatter(found), *_of_collapse(found), *_of_rank(found)]
    if scores is not None:
        rows += _of_scores(scores, options)
    return Section("separability", TITLE, tuple(rows), tuple(_notes(found)))


def _row(key: str, label: str, unit: Unit, make: Callable[[], Estimate], interval: str = "") -> Row:
    """A row, or why there is none."""
    try:
        estimate = make()
    except InputError as error:
        return Row(key, label, unit, Estimate(None, note=str(error)))
    return Row(key, label, unit, estimate, interval if estimate.low is not None else "")


def _of_angles(found: Separation) -> Iterator[Row]:
    def mean(of: str, by: str) -> Callable[[], Estimate]:
        return lambda: found.by_person(getattr(found.angles, of), getattr(found.angles, by))

    drawn = PERSON_BOOTSTRAP
    yield _row("intra", "Intra", "degrees", mean("picture_angles", "picture_persons"), drawn)
    yield _row("intra-left-out", "Intra, itself left out", "degrees", found.intra_left_out, drawn)
    yield _row("inter", "Inter", "degrees", mean("person_angles", "persons"), drawn)
    classes = found.classes
    if classes is None:
        return

    def of_weights(of: str) -> Callable[[], Estimate]:
        return lambda: found.by_person(getattr(found.angles, of), classes.labels)

    yield _row("w-ec", "W-EC", "degrees", of_weights("class_angles"), drawn)
    yield _row("w-inter", "W-Inter", "degrees", of_weights("class_gaps"), drawn)


def _of_scatter(found: Separation) -> Iterator[Row]:
    drawn = PERSON_BOOTSTRAP
    yield _row("silhouette", "Silhouette", "score", found.silhouette, drawn)
    label = "Pictures nearer to others"
    yield _row("silhouette-negative", label, "share", found.misplaced, CLUSTERED_WILSON)
    yield _row("trace-ratio", "Trace ratio", "number", found.trace_ratio, drawn)
    yield _row("fisher", "Fisher's ratio", "number", found.fisher_ratio)
    yield _row("davies-bouldin", "Davies-Bouldin", "number", found.davies_bouldin, drawn)
    label = "Calinski-Harabasz"
    yield _row("calinski-harabasz", label, "number", found.calinski_harabasz, drawn)
    yield _row("alignment", "Alignment", "number", found.alignment, drawn)
    yield _row("uniformity", "Uniformity", "number", found.uniformity, BY_PAIRS)


def _of_collapse(found: Separation) -> Iterator[Row]:
    people, dim = found.moments.means.shape
    none = (
        f"{people} directions cannot all be as wide apart as that in {dim} dimensions (C > D + 1); "
        "uniformity tells how evenly people lie"
    )

    def simplex(name: str, note: str | None = None) -> Callable[[], Estimate]:
        return lambda: Estimate(getattr(found.simplex, name), note=note, counts={"people": people})

    yield _row("nc1", "NC1", "number", found.within_collapse)
    yield _row("nc2-equinorm", "NC2, lengths", "number", simplex("equinorm"))
    yield _row("nc2-equiangular", "NC2, angles", "number", simplex("equiangular"))
    note = none if people > dim + 1 else None
    yield _row("nc2-max-angle", "NC2, widest angle", "number", simplex("max_angle", note))
    yield _row("cdnv", "CDNV", "number", found.pair_variance, BY_PAIRS)
    classes = found.classes
    if classes is None:
        return
    weights, own = classes.weights, classes.own

    def duality() -> Estimate:
        value = measure.weight_duality(found.moments, weights, own)
        return Estimate(value, counts={"people": len(own)})

    def disagreement() -> Estimate:
        differ = measure.nearest_mean_disagreement(found.features, found.moments, weights, own)
        codes = found.features.people.codes
        interval = share_interval(differ, codes[np.isin(codes, own)])
        counts = {"errors": int(differ.sum()), "trials": len(differ)}
        return Estimate(float(differ.mean()), *interval, counts=counts)

    yield _row("nc3", "NC3", "number", duality)
    yield _row("nc4", "NC4", "share", disagreement, CLUSTERED_WILSON)


def _of_rank(found: Separation) -> Iterator[Row]:
    yield _row("effective-rank", "Effective rank", "number", found.effective_rank)
    yield _row("participation-ratio", "Participation ratio", "number", found.participation_ratio)


def _of_scores(scores: ScoreTable, options: Options) -> Iterator[Row]:
    found = measure.kolmogorov_smirnov(scores)
    counts = {"threshold": found.threshold, "most": found.most}
    label = "Kolmogorov-Smirnov"
    if not isinstance(scores, ScoreLists):
        note = None
        if found.most > found.value:
            note = f"at most {found.most:.6f}: scores are counted at thresholds only"
        yield Row("ks", label, "share", Estimate(found.value, note=note, counts=counts))
        none = Estimate(None, note="most scores are only counted, so there is no histogram of them")
        yield Row(f"overlap@bins={BINS}", f"Overlap, {BINS} bins", "share", none)
        return
    intervals, method = corner_intervals(scores, {"ks": Cornered(found.value, _distance)}, options)
    yield Row("ks", label, "share", between(found.value, intervals["ks"], counts), method)
    yield _overlap(scores)


def _distance(steps: Steps) -> float:
    return measure.kolmogorov_smirnov(steps).value


def _overlap(scores: ScoreLists) -> Row:
    """With 200 bins from -1 to 1, or as far as other scores than cosines reach."""
    every = np.array([(kind.min(), kind.max()) for kind in (scores.mated, scores.nonmated)])
    low, high = min(-1.0, float(every.min())), max(1.0, float(every.max()))
    bins = np.linspace(low, high, BINS + 1)
    mated, nonmated = (np.histogram(kind, bins)[0] for kind in (scores.mated, scores.nonmated))
    value = measure.histogram_overlap(mated, nonmated)
    counts = {"bins": BINS, "low": low, "high": high}
    label = f"Overlap, {BINS} bins, {low:g} to {high:g}"
    return Row(f"overlap@bins={BINS}", label, "share", Estimate(value, counts=counts))


def _notes(found: Separation) -> Iterator[str]:
    yield from READING
    single = int((found.moments.pictures == 1).sum())
    if single:
        yield (
            f"{single} people have a single picture: their silhouette counts as 0 and their "
            "scatter as 0, they are in Inter, and left out of Intra, alignment, CDNV and the share of "
            "pictures nearer to others"
        )
    if found.classes is not None:
        yield (
            "W-EC is the mean angle of a class weight to its person's centre, W-Inter that to the "
            "nearest other weight (higher is better). NC3: distance of all class weights to all "
            "centred means, both made of length 1; NC4: pictures for which the best weight and the "
            "nearest mean name two people; lower is better for both. Weights are compared as unit "
            "vectors. With class weights these are people the head was trained on: no number here "
            "says how it is with strangers"
        )
        if found.classes.left_out:
            yield (
                f"{found.classes.left_out} class weights of people without a picture are left out"
            )


def compact(
    embeddings: npt.ArrayLike, labels: npt.ArrayLike, *, replicates: int = 1000, seed: int = 0
) -> Mapping[str, Estimate]:
    """The few numbers that compare heads: silhouette, trace ratio, NC1, and what they are made of.

    `silhouette`, `trace-ratio`, `nc1`, `alignment`, `uniformity`, `effective-rank`; no value, with
    the reason, where the data cannot tell or a number is infinite.

    Raises:
        InputError: embeddings that cannot be used, or fewer than two people.
    """
    found = Separation(measure.features_of(embeddings, labels), replicates, seed)
    rows = {row.key: row.estimate for row in _of_compact(found)}
    return {
        key: Estimate(None, note=one.note or "infinite", counts=one.counts)
        if one.value is not None and not np.isfinite(one.value)
        else one
        for key, one in rows.items()
    }


def _of_compact(found: Separation) -> Iterator[Row]:
    yield _row("silhouette", "Silhouette", "score", found.silhouette)
    yield _row("trace-ratio", "Trace ratio", "number", found.trace_ratio)
    yield _row("nc1", "NC1", "number", found.within_collapse)
    yield _row("alignment", "Alignment", "number", found.alignment)
    yield _row("uniformity", "Uniformity", "number", found.uniformity)
    yield _row("effective-rank", "Effective rank", "number", found.effective_rank)
