"""What is odd about a set of pictures, before anything is learned from it."""

import hashlib
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from recognition.datasets.pictures import Pictures
from recognition.embeddings import people_of

FEW = (2, 5)  # pictures a person
MOST = 12  # copies that are named
COPIES = ("picture", "person", "picture too", "person too")


def few_pictures(labels: npt.ArrayLike) -> dict[str, int]:
    """How many people have fewer pictures than one needs to be compared, and than serve well.

    >>> few_pictures(["ann", "bob", "bob"])
    {'fewer_than_2': 1, 'fewer_than_5': 2}
    """
    pictures = people_of(labels).pictures
    return {f"fewer_than_{least}": int((pictures < least).sum()) for least in FEW}


def copies_of(pictures: Pictures) -> dict[str, Any]:
    """Pictures with the same pixels under two names: a list for each two such people.

    Of each person it names the first such picture; `total` is how many entries there are.
    """
    found: dict[bytes, dict[str, str]] = {}
    for image, person, name in zip(
        pictures.images, pictures.labels.tolist(), pictures.ids.tolist(), strict=True
    ):
        found.setdefault(_digest(image), {}).setdefault(person, name)
    rows = [
        [first, one, name, person]
        for named in found.values()
        for (one, first), *others in [list(named.items())]
        for person, name in others
    ]
    return {
        "key": "copies",
        "title": "One picture, two names?",
        "headings": list(COPIES),
        "rows": rows[:MOST],
        "total": len(rows),
    }


def shared_pictures(one: Pictures, other: Pictures) -> int:
    """How many pictures of the one have the same pixels as a picture of the other."""
    known = {_digest(image) for image in other.images}
    return sum(_digest(image) in known for image in one.images)


def health_of(pictures: Pictures) -> Mapping[str, Any]:
    """People with few pictures, and pictures under two names."""
    return {**few_pictures(pictures.labels), "copies": copies_of(pictures)}


def _digest(image: npt.NDArray[np.uint8]) -> bytes:
    return hashlib.sha256(np.ascontiguousarray(image).data).digest()
