"""The measures of separability as estimates: each with its interval, by person where it has one."""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats
from recognition.evaluation.class_weights import Classes
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.uncertainty import NO_WIDTH, percentiles
from recognition.metrics import separability as measure
from recognition.metrics.angles import AngleStatistics, angle_statistics, leave_one_out_angles
from recognition.metrics.intervals import mean_interval
from recognition.metrics.person_intervals import share_interval
from recognition.metrics.proportions import Interval
from recognition.metrics.separability import ClassMoments, Features, Silhouette, SimplexDistance
from recognition.progress import Watch, unwatched

LONE = "of a single pair, which has no interval"


@dataclass(frozen=True)
class Separation:
    """The measures of one set of embeddings, each made when it is asked for.

    Every method raises `InputError` where the data cannot tell.
    """

    features: Features
    replicates: int = 1000
    seed: int = 0
    watch: Watch = unwatched
    classes: Classes | None = None

    @cached_property
    def moments(self) -> ClassMoments:
        """Means and scatter."""
        return measure.class_moments(self.features, watch=self.watch)

    @cached_property
    def angles(self) -> AngleStatistics:
        """The paper's table, with class weights where there are any."""
        unit, people = self.features
        names = people.names[people.codes]
        if self.classes is None:
            return angle_statistics(unit, names, watch=self.watch)
        return angle_statistics(
            unit, names, self.classes.weights, self.classes.labels, watch=self.watch
        )

    @cached_property
    def silhouettes(self) -> Silhouette:
        """Of every picture."""
        return measure.silhouette(self.features, self.moments, watch=self.watch)

    @cached_property
    def simplex(self) -> SimplexDistance:
        """NC2."""
        return measure.simplex_distance(self.moments, watch=self.watch)

    @cached_property
    def singular(self) -> Floats:
        """Singular values of the centred embeddings."""
        return measure.singular_values(self.features.unit, self.moments.centre, watch=self.watch)

    @property
    def _persons(self) -> npt.NDArray[np.str_]:
        return self.features.people.names[self.features.people.codes]

    def by_person(self, values: npt.ArrayLike, persons: npt.ArrayLike, **counts: int) -> Estimate:
        """A mean, with people resampled."""
        numbers = np.asarray(values, np.float64)
        mean = float(numbers.mean())
        if not np.isfinite(mean):
            return Estimate(mean, note="two people have the same mean", counts=counts)
        interval = mean_interval(numbers, persons, replicates=self.replicates, seed=self.seed)
        return between(mean, interval, counts)

    def intra_left_out(self) -> Estimate:
        """Intra with the picture left out of its own centre."""
        found = leave_one_out_angles(*self.features)
        return self.by_person(found.angles, found.persons, pictures=len(found.angles))

    def silhouette(self) -> Estimate:
        """The mean silhouette."""
        found = self.silhouettes
        known = {"pictures": len(found.values), "single": found.single_picture_people}
        return self.by_person(found.values, self._persons, **known)

    def misplaced(self) -> Estimate:
        """The share of pictures with a negative silhouette, of those that could have one."""
        codes = self.features.people.codes
        several = self.moments.pictures[codes] > 1
        errors = self.silhouettes.values[several] < 0
        interval = share_interval(errors, codes[several])
        counts = {"errors": int(errors.sum()), "trials": len(errors)}
        return Estimate(float(errors.mean()), *interval, counts=counts)

    def trace_ratio(self, factor: float = 1.0) -> Estimate:
        """Tr S_B / tr S_W, times a factor."""
        value = factor * measure.trace_ratio(self.moments)
        counts = {"pictures": self.moments.total, "people": len(self.moments.means)}
        if not np.isfinite(value):
            return Estimate(value, note="no picture differs from its person's mean", counts=counts)
        again = factor * measure.trace_ratio_resamples(
            self.moments, replicates=self.replicates, seed=self.seed
        )
        return between(value, percentiles(value, again), counts)

    def calinski_harabasz(self) -> Estimate:
        """The trace ratio by degrees of freedom."""
        people, total = len(self.moments.means), self.moments.total
        return self.trace_ratio((total - people) / (people - 1))

    def fisher_ratio(self) -> Estimate:
        """Fisher's ratio, and what it rests on."""
        found = measure.fisher_ratio(self.moments)
        dim, total = self.moments.means.shape[1], self.moments.total
        counts = {"rank": found.rank, "dimensions": dim, "pictures": total}
        spare = total - len(self.moments.means)
        few = f"{spare} pictures beyond one a person are few for {dim} dimensions"
        return Estimate(found.value, note=few if spare < 3 * dim else None, counts=counts)

    def davies_bouldin(self) -> Estimate:
        """A mean over people."""
        found = measure.davies_bouldin(self.moments, watch=self.watch)
        names = self.features.people.names
        return self.by_person(found.likeness, names, people=len(names))

    def alignment(self) -> Estimate:
        """A mean over mated pairs."""
        found = measure.alignment(self.moments)
        again = measure.alignment_resamples(found, replicates=self.replicates, seed=self.seed)
        counts = {"pairs": int(found.pairs.sum())}
        return between(found.value, percentiles(found.value, again), counts)

    def uniformity(self) -> Estimate:
        """A mean over all pairs."""
        found = measure.uniformity(self.features, watch=self.watch)
        n = self.moments.total
        if n < 3:
            return Estimate(found.value, note=LONE, counts={"pairs": 1})
        interval = measure.uniformity_interval(found, self.features.people.codes)
        return Estimate(found.value, *interval, counts={"pairs": n * (n - 1) // 2})

    def within_collapse(self) -> Estimate:
        """NC1."""
        value = measure.within_collapse(self.moments)
        return Estimate(value, counts={"people": len(self.moments.means)})

    def pair_variance(self) -> Estimate:
        """CDNV."""
        found = measure.pair_variance(self.moments, watch=self.watch)
        counts = {"people": len(found.people)}
        if not np.isfinite(found.value):
            return Estimate(found.value, note="two people have the same mean", counts=counts)
        if len(found.people) < 3:
            return Estimate(found.value, note=LONE, counts=counts)
        low, high = measure.pair_mean_interval(found.each, found.people)
        return Estimate(found.value, max(0.0, low), high, counts=counts)

    def effective_rank(self) -> Estimate:
        """Dimensions in use."""
        return Estimate(measure.effective_rank(self.singular), counts=self._size)

    def participation_ratio(self) -> Estimate:
        """Dimensions in use, uneven ones counted less."""
        return Estimate(measure.participation_ratio(self.singular), counts=self._size)

    @property
    def _size(self) -> dict[str, int]:
        return {"dimensions": self.moments.means.shape[1], "pictures": self.moments.total}


def between(value: float, ends: Interval | None, counts: Mapping[str, object]) -> Estimate:
    """A value with its interval, if there is one; one without width is said to be no certainty."""
    if ends is None:
        return Estimate(value, counts=counts)
    return Estimate(value, *ends, NO_WIDTH if ends.low == ends.high else None, counts)
