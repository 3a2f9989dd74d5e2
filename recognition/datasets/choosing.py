"""Whose pictures are read: people by name, a number of them at random, and only what fits."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from recognition.datasets._files import listed
from recognition.errors import InputError

SHARE = 4  # pictures may fill one part in so many of the memory: they are copied once when split
_LIMIT = Path("/sys/fs/cgroup/memory.max")  # what a container may use


class Kept(NamedTuple):
    """The places (K,) of the pictures to read, ascending, and what to say of it."""

    places: npt.NDArray[np.int64]
    notes: tuple[str, ...]


def choose(
    labels: Sequence[str] | npt.NDArray[np.str_],
    sides: tuple[int, int],
    *,
    people: int | Sequence[str] | None,
    seed: int,
    what: str,
) -> Kept:
    """The pictures of the people asked for, refused where they would not fit in memory.

    Args:
        labels: (N,) the person on each picture there is.
        sides: height and width to which they will be decoded.
        people: names, a number of people to draw at random, or None for all of them.
        seed: the same seed and people give the same draw, in any order of the pictures.
        what: where they come from, in words.

    Raises:
        InputError: as `of_people`, or pictures that would fill more than a quarter of the memory.
    """
    given = np.asarray(labels, np.str_)
    kept = Kept(np.arange(len(given)), ())
    if people is not None:
        kept = of_people(given, people, seed=seed, what=what)
    wanted = len(np.unique(given[kept.places]))
    fitting = int(wanted * memory() / SHARE / max(1, _size(len(kept.places), sides)))
    way_out = (
        f"read some {max(1, fitting):,} of the {wanted:,} people at random, with people=N or "
        "--people N"
    )
    require_room(len(kept.places), sides, what, way_out)
    return kept


def of_people(
    labels: npt.NDArray[np.str_], people: int | Sequence[str], *, seed: int, what: str
) -> Kept:
    """The pictures of these people, or of so many at random.

    Raises:
        InputError: fewer people than asked for, or none of those named.

    >>> of_people(np.array(["a", "b", "a"]), ["a"], seed=0, what="a list").places
    array([0, 2])
    """
    names = np.unique(labels)
    if isinstance(people, int):
        if not 1 <= people <= len(names):
            raise InputError(
                f"people: expected between 1 and {len(names):,}, as many as {what} has, got "
                f"{people:,}; leave it out to read all of them"
            )
        wanted = np.random.default_rng(seed).permutation(names)[:people]
        how = f"at random (seed {seed})"
    else:
        asked = np.unique(np.asarray(people, np.str_))
        wanted = np.intersect1d(names, asked)
        if not len(wanted):
            raise InputError(
                f"people: expected some of the people in {what} ({listed(names.tolist(), 3)}), "
                f"got {listed(people, 3)}; give the names that its labels have"
            )
        how = f"by name ({len(asked) - len(wanted):,} of the {len(asked):,} named are not there)"
    places = np.flatnonzero(np.isin(labels, wanted))
    note = (
        f"{len(wanted):,} of {len(names):,} people of {what} were chosen {how}: {len(places):,} of "
        f"{len(labels):,} pictures"
    )
    return Kept(places, (note,))


def memory() -> int:
    """Bytes of memory that this process may hope for: the machine's, or its container's."""
    try:
        there = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return 2**62  # a system that does not tell
    try:
        return min(there, int(_LIMIT.read_text()))
    except (OSError, ValueError):  # no container, or "max"
        return there


def require_room(pictures: int, sides: tuple[int, int], what: str, way_out: str) -> None:
    """Refuse pictures that would fill more than a quarter of the memory.

    Raises:
        InputError: so many of this size would.
    """
    needed, allowed = _size(pictures, sides), memory() // SHARE
    if needed > allowed:
        raise InputError(
            f"{what}: expected pictures that fit in a quarter of the memory, {allowed / 1e9:.1f} "
            f"GB, but {pictures:,} of {sides[0]} x {sides[1]} pixels take {needed / 1e9:.1f} GB; "
            f"{way_out}"
        )


def _size(pictures: int, sides: tuple[int, int]) -> int:
    return pictures * sides[0] * sides[1] * 3
