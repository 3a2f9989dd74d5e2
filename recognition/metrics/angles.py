"""How tight people are and how far apart, in degrees: Table 3 of the ArcFace paper."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import Floats, People, centres, people_of, unit_rows
from recognition.errors import InputError
from recognition.progress import Watch, unwatched

TILE = 2**21  # cosines in memory at a time


@dataclass(frozen=True)
class AngleStatistics:
    """Mean angles in degrees, with what they are means of.

    Attributes:
        intra: mean angle of a picture to the centre of its person, over people with at least two
            pictures: a single picture is its own centre.
        inter: mean over people of the angle between a centre and the nearest other one.
        weight_to_centre: W-EC, mean angle of a class weight to the centre of its person.
        weight_inter: W-Inter, mean angle of a class weight to the nearest other one.
        single_picture_people: how many people are left out of `intra`.
        picture_angles: (N',) the angles behind `intra`, for `mean_interval` with
        picture_persons: (N',) str, who is on each of these pictures.
        person_angles: (C,) the angles behind `inter`, of
        persons: (C,) str, sorted.
        class_angles: (C,) the angles behind `weight_to_centre`, in the order of the class labels.
        class_gaps: (C,) the angles behind `weight_inter`, in the same order.
    """

    intra: float
    inter: float
    weight_to_centre: float | None
    weight_inter: float | None
    single_picture_people: int
    picture_angles: Floats
    picture_persons: npt.NDArray[np.str_]
    person_angles: Floats
    persons: npt.NDArray[np.str_]
    class_angles: Floats | None
    class_gaps: Floats | None


def angle_statistics(
    embeddings: npt.ArrayLike,
    labels: npt.ArrayLike,
    class_weights: npt.ArrayLike | None = None,
    class_labels: npt.ArrayLike | None = None,
    *,
    watch: Watch = unwatched,
) -> AngleStatistics:
    """Angles within people and between them, and of class weights to the people they stand for.

    With ĉ_c the normalised mean of the unit embeddings of person c: Intra = mean angle(x_i,
    ĉ_{y_i}), Inter = mean_c min_{k≠c} angle(ĉ_c, ĉ_k), and W-EC and W-Inter with the rows W_j.
    A picture is part of its own centre, as in the paper.

    Args:
        embeddings: (N, D), not necessarily normalised.
        labels: (N,) the person on each picture.
        class_weights: (C, D), one row per class of the head; none gives no W-EC and no W-Inter.
        class_labels: (C,) the person of each row; all must be among the labels.
        watch: told how many of the people, and of the classes, have found the nearest other one.

    Raises:
        InputError: embeddings or weights without a direction, people whose pictures cancel out,
            fewer than two people, nobody with two pictures, class labels that do not fit.

    Source: Deng et al., ArcFace, CVPR 2019, Table 3.

    >>> found = angle_statistics([[1, 1], [1, -1], [0, 1]], ["ann", "ann", "bob"])
    >>> round(found.intra, 6), round(found.inter, 6), found.single_picture_people
    (45.0, 90.0, 1)
    """
    unit = unit_rows(embeddings)
    people = people_of(labels, len(unit))
    several = people.pictures > 1
    if len(several) < 2 or not several.any():
        raise InputError(
            "expected at least 2 people, one of them with 2 pictures, but got "
            f"{len(several)} people, {int(several.sum())} of them with 2; add pictures"
        )
    middle = centres(unit, people)
    use = several[people.codes]
    picture_angles = angles_between(unit[use], middle[people.codes[use]])
    person_angles = nearest_angles(middle, watch)
    class_angles = class_gaps = None
    if class_weights is not None:
        weights = unit_rows(class_weights, what="class weights")
        own = middle[persons_of_classes(class_labels, weights, people, unit.shape[1])]
        class_angles, class_gaps = angles_between(weights, own), nearest_angles(weights, watch)
    return AngleStatistics(
        intra=float(picture_angles.mean()),
        inter=float(person_angles.mean()),
        weight_to_centre=None if class_angles is None else float(class_angles.mean()),
        weight_inter=None if class_gaps is None else float(class_gaps.mean()),
        single_picture_people=int((~several).sum()),
        picture_angles=picture_angles,
        picture_persons=people.names[people.codes[use]],
        person_angles=person_angles,
        persons=people.names,
        class_angles=class_angles,
        class_gaps=class_gaps,
    )


class PictureAngles(NamedTuple):
    """The mean angle in degrees, and (N',) the angles with (N',) str, who is on each picture."""

    mean: float
    angles: Floats
    persons: npt.NDArray[np.str_]


def leave_one_out_angles(unit: Floats, people: People) -> PictureAngles:
    """angle(x_i, Σ_{j≠i} x_j): each picture against the mean of its person's *other* pictures.

    In the paper's Intra a picture is part of its own centre, which makes it smaller the fewer
    pictures a person has: with two, it is half of this. People with one picture are left out.

    Args:
        unit: (N, D) unit embeddings, as `unit_rows` makes them.
        people: who is on each.

    Raises:
        InputError: nobody with two pictures, or a picture whose others cancel out.

    >>> leave_one_out_angles(unit_rows([[1, 1], [1, -1], [0, 1]]), people_of(["a", "a", "b"])).mean
    90.0
    """
    use = np.flatnonzero(people.pictures[people.codes] > 1)
    if not len(use):
        raise InputError("expected someone with 2 pictures; add pictures")
    order = use[np.argsort(people.codes[use], kind="stable")]
    codes = people.codes[order]
    starts = np.flatnonzero(np.append(True, codes[1:] != codes[:-1]))
    sums = np.zeros((len(people.names), unit.shape[1]))
    sums[codes[starts]] = np.add.reduceat(unit[order], starts, axis=0)
    angles = np.empty(len(use))
    step = max(1, TILE // unit.shape[1])
    for start in range(0, len(use), step):
        here = use[start : start + step]
        others = sums[people.codes[here]] - unit[here]
        lengths = np.linalg.norm(others, axis=1, keepdims=True)
        if (lengths < 64 * np.finfo(np.float64).eps).any():  # what rounding leaves of zero
            at = here[int(lengths[:, 0].argmin())]
            raise InputError(
                f"the other pictures of {str(people.names[people.codes[at]])!r} than that in row "
                f"{at} cancel out, so their mean has no direction; check the labels"
            )
        angles[start : start + step] = angles_between(unit[here], others / lengths)
    return PictureAngles(float(angles.mean()), angles, people.names[people.codes[use]])


def persons_of_classes(
    class_labels: npt.ArrayLike | None, weights: Floats, people: People, dim: int
) -> npt.NDArray[np.int64]:
    """(C,) the person each class weight stands for, as a place among the people.

    Raises:
        InputError: weights or labels that do not fit the people and their `dim` dimensions.
    """
    if class_labels is None or len(weights) < 2 or weights.shape[1] != dim:
        raise InputError(
            f"expected class weights for 2 people or more, in the embeddings' {dim} "
            f"dimensions and with class labels; got shape {weights.shape} and "
            f"{'no' if class_labels is None else 'some'} labels; pass the rows of the head"
        )
    classes = people_of(class_labels, len(weights), what="class labels")
    strangers = ~np.isin(classes.names, people.names)
    if strangers.any() or len(classes.names) < len(weights):
        raise InputError(
            "expected each class label once, and pictures of all of them, but "
            f"{int(strangers.sum())} people have no picture and {len(weights)} rows name "
            f"{len(classes.names)} people; pass only the rows of people who have embeddings"
        )
    return np.searchsorted(people.names, classes.names)[classes.codes]


def angles_between(one: Floats, two: Floats) -> Floats:
    """2 atan2(‖u - v‖, ‖u + v‖) in degrees for the rows of two (N, D) arrays of unit vectors.

    Exact to rounding at any angle; the arc cosine of a rounded cosine sees nothing below 1e-6°.
    """
    apart, along = (np.linalg.norm(sides, axis=1) for sides in (one - two, one + two))
    angles: Floats = np.degrees(2 * np.arctan2(apart, along))
    return angles


def nearest_angles(unit: Floats, watch: Watch = unwatched) -> Floats:
    """(C,) the angle of each row to the nearest other one, of (C, D) unit vectors.

    The nearest is found by its cosine, by tiles of rows, and its angle computed by
    `angles_between`. Where several are within 1e-6° of the nearest, any of them may be taken.
    """
    nearest = np.empty(len(unit), np.int64)
    step = max(1, TILE // len(unit))
    with watch("nearest people", len(unit)) as advance:
        for start in range(0, len(unit), step):
            cosines = unit[start : start + step] @ unit.T
            rows = np.arange(len(cosines))
            cosines[rows, rows + start] = -np.inf
            nearest[start : start + step] = cosines.argmax(axis=1)
            advance(min(start + step, len(unit)))
    return angles_between(unit, unit[nearest])
