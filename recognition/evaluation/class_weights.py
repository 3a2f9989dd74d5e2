"""Class weights of a head, brought to the pictures of the people they stand for."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets.weight_files import ClassWeights
from recognition.embeddings import Floats, unit_rows
from recognition.errors import InputError
from recognition.metrics.angles import persons_of_classes
from recognition.metrics.separability import Features

NUMBERS = 2**22  # of gathered centres, at a time


class Classes(NamedTuple):
    """One unit weight a class.

    Attributes:
        weights: (C', D).
        labels: (C',) the person each stands for.
        own: (C',) that person's place among the people.
        left_out: how many rows stand for people without a picture here.
    """

    weights: Floats
    labels: npt.NDArray[np.str_]
    own: npt.NDArray[np.int64]
    left_out: int


def check_classes(classes: ClassWeights, names: npt.NDArray[np.str_], dim: int) -> None:
    """Refuse class weights of other dimensions than the embeddings, or of other people.

    Raises:
        InputError: they are.
    """
    width = classes.weights.shape[-1]
    if width != dim:
        more = "; leave out the column of the bias" if width == dim + 1 else ""
        raise InputError(
            f"expected class weights in the embeddings' {dim} dimensions, got {width}{more}"
            f"{'' if more else '; take embeddings of the network that the head was trained with'}"
        )
    present = int(np.isin(classes.labels, names).sum())
    if present < 2:
        raise InputError(
            f"expected class weights for 2 people or more who have embeddings, but of the "
            f"{len(classes.labels)} classes {present} have; judge embeddings of the people that "
            "the head was trained on"
        )


def classes_of(classes: ClassWeights, features: Features) -> Classes:
    """The rows of people who have pictures; of several sub-centres the one most are nearest to.

    Raises:
        InputError: fewer than two such people, a person named twice, rows without a direction, or
            another dimension.
    """
    unit, people = features
    check_classes(classes, people.names, unit.shape[1])
    present = np.isin(classes.labels, people.names)
    weights, labels = np.asarray(classes.weights)[present], classes.labels[present]
    flat = unit_rows(weights.reshape(-1, weights.shape[-1]), what="class weights")
    if weights.ndim == 3:
        centres = flat.reshape(weights.shape)
        flat = centres[:, 0]
        own = persons_of_classes(labels, flat, people, unit.shape[1])
        flat = centres[np.arange(len(centres)), _dominant(centres, own, features)]
    own = persons_of_classes(labels, flat, people, unit.shape[1])
    return Classes(flat, labels, own, int((~present).sum()))


def _dominant(
    centres: Floats, own: npt.NDArray[np.int64], features: Features
) -> npt.NDArray[np.int64]:
    """(C',) the sub-centre that most pictures of the class are nearest to; the first of equals."""
    unit, people = features
    class_of = np.full(len(people.names), -1)
    class_of[own] = np.arange(len(own))
    chosen = np.flatnonzero(class_of[people.codes] >= 0)
    votes = np.zeros(centres.shape[:2], np.int64)
    step = max(1, NUMBERS // centres[0].size)
    for start in range(0, len(chosen), step):
        here = chosen[start : start + step]
        classes = class_of[people.codes[here]]
        nearest = np.einsum("nd,nkd->nk", unit[here], centres[classes]).argmax(axis=1)
        np.add.at(votes, (classes, nearest), 1)
    found: npt.NDArray[np.int64] = votes.argmax(axis=1)
    return found
