"""Pictures without an embedding are errors, and this is how they are counted.

A rate of matching leaves them out: FMR and FNMR are shares of comparisons that were made. A
system has to answer for them. Failure to enrol (FTE) and failure to acquire (FTA, the capture or
its embedding failed at the time of the comparison) turn one into the other:

    FAR  = FMR (1 - FTA)                    FRR  = FTA + (1 - FTA) FNMR
    GFAR = FMR (1 - FTA) (1 - FTE)          GFRR = FTE + (1 - FTE) FTA + (1 - FTE) (1 - FTA) FNMR

so a failure is never a false acceptance and always a false rejection. A rate of no trials is not
zero, it is refused; only where everything failed does FAR = 0, FRR = 1 need no comparison at all.

Source: ISO/IEC 19795-1:2021, sections on failure to enrol, failure to acquire, and generalised
rates; NIST FRTE 1:N for identification.
"""

from dataclasses import dataclass

from recognition.errors import InputError


@dataclass(frozen=True)
class Failures:
    """How many attempts there were to enrol and to acquire, and how many of them failed.

    Attributes:
        failed_enrolments: people (or pictures, whatever enrols) that could not be enrolled.
        enrolments: attempts, the failed ones among them.
        failed_acquisitions: probes, or pictures of comparisons, without an embedding.
        acquisitions: attempts, the failed ones among them.

    Raises:
        InputError: counts below zero, or more failures than attempts.

    >>> Failures(1, 50, 3, 200).fte, Failures(1, 50, 3, 200).fta
    (0.02, 0.015)
    """

    failed_enrolments: int
    enrolments: int
    failed_acquisitions: int
    acquisitions: int

    def __post_init__(self) -> None:
        for failed, attempts in (
            (self.failed_enrolments, self.enrolments),
            (self.failed_acquisitions, self.acquisitions),
        ):
            if not 0 <= failed <= attempts:
                raise InputError(
                    f"expected failures among the attempts, got {failed} of {attempts}; count "
                    "failed attempts as attempts too"
                )

    @property
    def fte(self) -> float:
        """FTE = failed enrolments / enrolments tried.

        Raises:
            InputError: nobody was to be enrolled.
        """
        return _share(self.failed_enrolments, self.enrolments, "attempts to enrol")

    @property
    def fta(self) -> float:
        """FTA = failed acquisitions / acquisitions tried.

        Raises:
            InputError: nothing was to be acquired.
        """
        return _share(self.failed_acquisitions, self.acquisitions, "attempts to acquire")


def false_accept_rate(fmr: float | None, fta: float) -> float:
    """FAR = FMR (1 - FTA) (ISO/IEC 19795-1).

    Args:
        fmr: false match rate, None if no comparison was made, which only FTA = 1 allows.
        fta: failure-to-acquire rate.

    Raises:
        InputError: a rate outside [0, 1], or an FMR that is missing but needed.

    >>> false_accept_rate(0.001, 0.25), false_accept_rate(None, 1.0)
    (0.00075, 0.0)
    """
    return generalised_false_accept_rate(fmr, fta, 0.0)


def false_reject_rate(fnmr: float | None, fta: float) -> float:
    """FRR = FTA + (1 - FTA) FNMR (ISO/IEC 19795-1).

    Args:
        fnmr: false non-match rate, None if no comparison was made, which only FTA = 1 allows.
        fta: failure-to-acquire rate.

    Raises:
        InputError: a rate outside [0, 1], or an FNMR that is missing but needed.

    >>> false_reject_rate(0.02, 0.5), false_reject_rate(None, 1.0)
    (0.51, 1.0)
    """
    return generalised_false_reject_rate(fnmr, fta, 0.0)


def generalised_false_accept_rate(fmr: float | None, fta: float, fte: float) -> float:
    """GFAR = FMR (1 - FTA) (1 - FTE) (ISO/IEC 19795-1).

    Raises:
        InputError: a rate outside [0, 1], or an FMR that is missing while something was compared.
    """
    compared = (1 - _rate(fta, "FTA")) * (1 - _rate(fte, "FTE"))
    return compared * _needed(fmr, compared, "FMR")


def generalised_false_reject_rate(fnmr: float | None, fta: float, fte: float) -> float:
    """GFRR = FTE + (1 - FTE) FTA + (1 - FTE) (1 - FTA) FNMR (ISO/IEC 19795-1).

    Raises:
        InputError: a rate outside [0, 1], or an FNMR that is missing while something was compared.
    """
    enrolled = 1 - _rate(fte, "FTE")
    compared = enrolled * (1 - _rate(fta, "FTA"))
    return fte + enrolled * fta + compared * _needed(fnmr, compared, "FNMR")


def _share(count: int, trials: int, what: str) -> float:
    if not trials:
        raise InputError(f"a share of no {what} cannot be measured; make some, or leave it out")
    return count / trials


def _rate(value: float, name: str) -> float:
    if not 0 <= value <= 1:
        raise InputError(f"expected {name} between 0 and 1, not {value!r}; 0.001 is one in 1000")
    return value


def _needed(rate: float | None, compared: float, name: str) -> float:
    if rate is not None:
        return _rate(rate, name)
    if compared > 0:
        raise InputError(
            f"expected {name} where some comparisons are made, got none; it can be missing only "
            "where every attempt fails"
        )
    return 0.0  # multiplied by no comparisons
