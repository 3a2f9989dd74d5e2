"""How much nearer a picture is to its own person than to the next one, exactly, without N²."""

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats
from recognition.errors import InputError
from recognition.metrics.separability.moments import NOTHING, ClassMoments, Features, blocks_of
from recognition.progress import Watch, unwatched


@dataclass(frozen=True)
class Silhouette:
    """The silhouette of every picture, with cosine distance.

    Attributes:
        values: (N,) between -1 and 1; 0 for the only picture of a person.
        nearest: (N,) the place among the people of the other person who is nearest on average.
        single_picture_people: how many people have one picture.
    """

    values: Floats
    nearest: npt.NDArray[np.int64]
    single_picture_people: int

    @property
    def mean(self) -> float:
        """The mean over all pictures, single ones included; scikit-learn's `silhouette_score`."""
        return float(self.values.mean())


def silhouette(
    features: Features, moments: ClassMoments, *, watch: Watch = unwatched
) -> Silhouette:
    """(b - a) / max(a, b) of every picture, between -1 and 1; higher is better.

    With a the mean of 1 - cos to the person's other pictures, b that to the nearest other person's.
    The mean of 1 - x·y over a person's pictures y is 1 - x·m_c, so N C products do exactly what
    N² distances would; a picture's zero distance to itself is taken out with n_c / (n_c - 1).
    Distances that are only rounding count as 0, and where a = b = 0 the silhouette is 0.

    Args:
        features: of `features_of`.
        moments: of `class_moments`, of the same features.
        watch: told how many pictures are done.

    Raises:
        InputError: nobody has two pictures: then there is nothing to be near to.

    Source: Rousseeuw, Journal of Computational and Applied Mathematics 20 (1987).

    >>> from recognition.metrics.separability import class_moments, features_of
    >>> near = features_of([[1, 0], [1, 0], [0, 1], [0, 1]], ["ann", "ann", "bob", "bob"])
    >>> silhouette(near, class_moments(near)).values
    array([1., 1., 1., 1.])
    """
    unit, people = features
    several = moments.pictures > 1
    if not several.any():
        raise InputError("expected someone with 2 pictures to compare; add pictures")
    values = np.zeros(len(unit))
    nearest = np.empty(len(unit), np.int64)
    for part in blocks_of(len(unit), len(several), watch, "silhouette"):
        codes = people.codes[part]
        rows = np.arange(len(codes))
        distance = 1 - unit[part] @ moments.means.T  # (b, C)
        distance[distance < NOTHING] = 0
        pictures = moments.pictures[codes]
        own = distance[rows, codes] * pictures / np.maximum(pictures - 1, 1)
        distance[rows, codes] = np.inf
        nearest[part] = distance.argmin(axis=1)
        other = distance[rows, nearest[part]]
        larger = np.maximum(own, other)
        np.divide(other - own, larger, out=values[part], where=(pictures > 1) & (larger > 0))
    return Silhouette(values, nearest, int((~several).sum()))
