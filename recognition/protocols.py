"""Who is learned from, who is enrolled, and who stays a stranger. Every split is by person."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.embeddings import People, people_of
from recognition.errors import InputError

Names = npt.NDArray[np.str_]
Places = npt.NDArray[np.int64]
Small = npt.NDArray[np.int32]


def split_people(labels: npt.ArrayLike, *, test: float | int, seed: int) -> tuple[Names, Names]:
    """The people to learn from and the people kept for the test: disjoint, sorted, at random.

    Args:
        labels: (N,) the person on each picture.
        test: how many people to keep; a fraction of them, rounded, if it is a float.
        seed: the same seed and people give the same split, in any order of the pictures.

    Raises:
        InputError: fewer than two people on either side.

    >>> learn, test = split_people(["a", "b", "c", "d", "d"], test=0.5, seed=0)
    >>> len(learn), len(test)
    (2, 2)
    """
    names = people_of(labels).names
    kept = round(test * len(names)) if isinstance(test, float) else test
    if not 2 <= kept <= len(names) - 2:
        raise InputError(
            f"expected at least 2 people to learn from and 2 to test, but test={test} of "
            f"{len(names)} people leaves {len(names) - kept} and {kept}; name another share, or "
            "add people"
        )
    shuffled = np.random.default_rng(seed).permutation(names)
    return np.sort(shuffled[kept:]), np.sort(shuffled[:kept])


class OpenSet(NamedTuple):
    """Which pictures are enrolled and which are searched for, as sorted places in the labels."""

    gallery_index: Places
    probe_index: Places


def open_set_split(
    labels: npt.ArrayLike, *, enrolled_pictures: int = 5, seed: int
) -> list[OpenSet]:
    """Two halves of the people, each once enrolled and once strangers to the other.

    In the first search the people of half A are enrolled by at most `enrolled_pictures` random
    pictures, never more than half of what they have; their other pictures and all of half B are
    the probes. In the second the halves swap. A person with one picture is never enrolled.

    Args:
        labels: (N,) the person on each picture.
        enrolled_pictures: the most pictures enrolled of one person.
        seed: the same seed and labels give the same split.

    Raises:
        InputError: no pictures to enrol, or nobody to enrol in one of the halves.
    """
    people = people_of(labels)
    if enrolled_pictures < 1:
        raise InputError(f"expected to enrol at least 1 picture, not {enrolled_pictures}")
    random = np.random.default_rng(seed)
    enrolled = _enrolled(people, enrolled_pictures, random)
    in_a = np.zeros(len(people.names), bool)
    in_a[random.permutation(len(in_a))[: (len(in_a) + 1) // 2]] = True
    halves = [enrolled & half[people.codes] for half in (in_a, ~in_a)]
    if not all(gallery.any() for gallery in halves):
        raise InputError(
            "expected someone with 2 pictures or more in each half of the people, but "
            f"{int((people.pictures > 1).sum())} of {len(people.names)} people have them; add "
            "pictures, or try another seed"
        )
    return [OpenSet(np.flatnonzero(half), np.flatnonzero(~half)) for half in halves]


def _enrolled(people: People, most: int, random: np.random.Generator) -> npt.NDArray[np.bool_]:
    """(N,) min(most, n // 2) pictures of everyone, at random."""
    chosen = np.zeros(len(people.codes), bool)
    for person, pictures in enumerate(people.pictures):
        mine = np.flatnonzero(people.codes == person)
        chosen[random.permutation(mine)[: min(most, pictures // 2)]] = True
    return chosen


def sample_people(labels: npt.ArrayLike, *, most_pictures: int, seed: int) -> Names:
    """People at random, sorted, with at most so many pictures together, and never fewer than two.

    >>> sample_people(["a", "a", "b", "c"], most_pictures=10, seed=0)
    array(['a', 'b', 'c'], dtype='<U1')
    """
    people = people_of(labels)
    order = np.random.default_rng(seed).permutation(len(people.names))
    together = np.cumsum(people.pictures[order])
    kept = max(2, int(np.searchsorted(together, most_pictures, side="right")))
    return np.sort(people.names[order[:kept]])


class TemplatePairs(NamedTuple):
    """M pairs of templates that a protocol lists, by their places among T templates."""

    first: Small  # (M,) the enrolled one, where there is a difference
    second: Small  # (M,)
    mated: npt.NDArray[np.bool_]  # (M,)


class TemplateSet(NamedTuple):
    """A gallery, or the probes to search for: templates by their places among T."""

    name: str  # "G1", "probe_mixed"
    templates: Small  # (G,)


def person_folds(labels: npt.ArrayLike, folds: int, *, seed: int) -> list[Names]:
    """Everybody in just one of so many groups, at random; each group sorted.

    People with several pictures are dealt first, and those with one after them, so that the groups
    differ by at most one of either.

    Raises:
        InputError: fewer than two groups, or fewer than two people with several pictures in one.

    >>> [len(fold) for fold in person_folds(list("aabbccddeef"), 2, seed=0)]
    [3, 3]
    """
    people = people_of(labels)
    shuffled = np.random.default_rng(seed).permutation(len(people.names))
    several = people.pictures[shuffled] > 1
    if folds < 2 or several.sum() < 2 * folds:
        raise InputError(
            f"expected at least 2 groups of people, each with 2 people or more who have several "
            f"pictures, but {int(several.sum())} of {len(people.names)} people have them, for "
            f"{folds} groups; name fewer, or add people or pictures"
        )
    dealt = people.names[np.concatenate([shuffled[several], shuffled[~several]])]
    return [np.sort(dealt[fold::folds]) for fold in range(folds)]
