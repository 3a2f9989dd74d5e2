"""Whether a data set has the people that a task needs."""

import numpy as np

from recognition.datasets.pictures import Pictures
from recognition.errors import InputError


def require_people(pictures: Pictures, *, people: int = 2, pictures_each: int = 2) -> None:
    """Nothing, if at least `people` people have at least `pictures_each` pictures each.

    Raises:
        InputError: they do not.

    >>> from recognition.datasets.drawn import draw_faces
    >>> require_people(draw_faces(2, 2, size=16))
    >>> require_people(draw_faces(2, 2, size=16), people=3)
    Traceback (most recent call last):
    recognition.errors.InputError: expected at least 3 people, got 2 ('p000', 'p001') in drawn ...
    """
    names, counts = np.unique(pictures.labels, return_counts=True)
    if len(names) < people:
        some = ", ".join(repr(str(name)) for name in names[:3]) or "no pictures"
        raise InputError(
            f"expected at least {people} people, got {len(names)} ({some}) in {pictures.source}; "
            "give each person a folder of their own"
        )
    enough = int((counts >= pictures_each).sum())
    if enough < people:
        raise InputError(
            f"expected at least {people} people with {pictures_each} or more pictures each, "
            f"got {enough} of {len(names)} in {pictures.source}; add pictures of the same people"
        )
