"""What may be asked of an evaluation beside the data."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Literal, get_args

from recognition.errors import InputError
from recognition.metrics.verification import allowed_errors

Part = Literal[
    "verification",
    "thresholds",
    "calibration",
    "identification",
    "retrieval",
    "separability",
    "neighbours",
]
PARTS: tuple[Part, ...] = get_args(Part)
MapMethod = Literal["pca", "tsne", "none"]
MAPS: tuple[MapMethod, ...] = get_args(MapMethod)
OF_COMPARISONS: tuple[Part, ...] = ("verification", "thresholds", "calibration")


def known_part(name: str) -> Part:
    """The part of this name.

    Raises:
        InputError: there is none.
    """
    for part in PARTS:
        if name == part:
            return part
    raise InputError(f"expected a part among {', '.join(PARTS)}, not {name!r}")


def known_map(name: str) -> MapMethod:
    """The way of this name to put pictures on a map.

    Raises:
        InputError: there is none.
    """
    for method in MAPS:
        if name == method:
            return method
    raise InputError(f"expected a map among {', '.join(MAPS)}, not {name!r}")


def require_comparisons(options: "Options", what: str) -> None:
    """Refuse a part that is of all pictures where a list says what is compared.

    Raises:
        InputError: such a part was asked for by name.
    """
    beyond = [part for part in options.parts if part not in OF_COMPARISONS]
    if beyond and set(options.parts) != set(PARTS):
        raise InputError(
            f"expected a part among {', '.join(OF_COMPARISONS)} with {what}, which say what is "
            f"compared, not {', '.join(beyond)}; leave them out to search among all pictures"
        )


def exactly(number: float) -> str:
    """The number in few digits, but in as many as it has: what keys and labels are made of.

    >>> exactly(1e-05), exactly(0.5), exactly(0.123456789)
    ('1e-05', '0.5', '0.123456789')
    """
    short = f"{number:g}"
    return short if float(short) == number else repr(float(number))


@dataclass(frozen=True)
class Options:
    """Targets, thresholds, and the seed of everything that is drawn.

    Attributes:
        fmr: false match rates to report TAR at; empty for 0.1, 0.01, ... down to the first that
            the comparisons cannot measure.
        fpir: false alarm rates of search to report FNIR at.
        thresholds: thresholds of one's own, to report FMR and FNMR at.
        enrolled_pictures: most pictures enrolled of one person.
        replicates: resamples of the people behind each interval.
        seed: of the resamples, of who is enrolled, and of halves of the people.
        parts: which sections to make, of those the data allows.
        map: how pictures are put on a map, see `map_pictures`.

    Raises:
        InputError: a rate out of range, a part or map that does not exist, no resamples, or one value
            where a list is expected.
    """

    fmr: Sequence[float] = ()
    fpir: Sequence[float] = (0.1, 0.01)
    thresholds: Sequence[float] = ()
    enrolled_pictures: int = 5
    replicates: int = 1000
    seed: int = 0
    parts: Sequence[Part] = PARTS
    map: MapMethod = "pca"

    def __post_init__(self) -> None:
        self._check_kinds()
        for rate in (*self.fmr, *self.fpir):
            if not 0 < rate < 1:
                raise InputError(
                    f"expected a rate between 0 and 1, not {rate:g}; 0.001 is one in 1000"
                )
        for rates in (self.fmr, self.fpir):
            if len({f"{rate:g}" for rate in rates}) < len(set(rates)):
                raise InputError(
                    f"expected rates that differ in their first six digits, not {list(rates)}; "
                    "rows are named by them"
                )
        for threshold in self.thresholds:
            if not abs(threshold) < float("inf"):
                raise InputError(f"expected a finite threshold, not {threshold}")
        for part in self.parts:
            known_part(part)
        known_map(self.map)
        if self.replicates < 20:
            raise InputError(
                f"expected at least 20 resamples for an interval, not {self.replicates}; "
                "1000 are usual"
            )

    def _check_kinds(self) -> None:
        for name in ("fmr", "fpir", "thresholds", "parts"):
            given = getattr(self, name)
            if isinstance(given, str) or not isinstance(given, Iterable):
                raise InputError(f"{name}: expected a list, such as [{given!r}], not {given!r}")
            if name != "parts" and not all(isinstance(one, Real) for one in given):
                raise InputError(f"{name}: expected numbers, not {list(given)}")
            object.__setattr__(self, name, tuple(given))  # an array would be neither true nor false
        for name, least in (("seed", 0), ("replicates", None), ("enrolled_pictures", 1)):
            given = getattr(self, name)
            if not isinstance(given, Integral) or (least is not None and given < least):
                raise InputError(
                    f"{name}: expected a whole number of at least {20 if least is None else least}, "
                    f"not {given!r}"
                )

    def targets(self, nonmated: int) -> tuple[float, ...]:
        """FMRs to report at, descending; by default with one that cannot be measured."""
        if self.fmr:
            return tuple(sorted(set(self.fmr), reverse=True))
        found = []
        for exponent in range(1, 13):
            found.append(float(f"1e-{exponent}"))
            if not allowed_errors(found[-1], nonmated):
                break
        return tuple(found)
