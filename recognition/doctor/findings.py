"""What a check finds."""

from dataclasses import dataclass
from typing import Literal

from recognition.report.text import legible

State = Literal["works", "missing", "broken"]
PACKAGE = "margin-recognition"


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        about: what.
        state: it `works`; it is `missing`, but nothing that was asked for needs it; or it is
            needed and `broken`.
        said: what was seen, in a sentence.
        mend: the command that mends it; empty where nothing is to be mended.
    """

    about: str
    state: State
    said: str
    mend: str = ""

    def __post_init__(self) -> None:
        object.__setattr__(self, "said", legible(self.said))
        object.__setattr__(self, "mend", legible(self.mend))


def works(about: str, said: str) -> Finding:
    """As it should be."""
    return Finding(about, "works", said)


def missing(about: str, said: str, mend: str) -> Finding:
    """Not here, and not needed by what was asked for."""
    return Finding(about, "missing", said, mend)


def broken(about: str, said: str, mend: str) -> Finding:
    """Needed, and it does not work."""
    return Finding(about, "broken", said, mend)
