"""Which kind of index searches a gallery, as a value and as text.

| text | what it is |
|---|---|
| `exact` | every sample is looked at, in eight bits or float32, whichever is quicker here |
| `exact:float32`, `exact:float16`, `exact:int8` | the same answer from numbers of this width |
| `ivf:nlist=1024,nprobe=16` | samples in `nlist` cells by faiss, of which the nearest `nprobe` are looked into |
| `hnsw:m=32,ef=128` | a graph by faiss with `m` links a sample, `ef` candidates kept on the way |
"""

from collections.abc import Mapping
from dataclasses import MISSING, dataclass, fields
from typing import ClassVar, Literal, get_args

from recognition.errors import InputError

Numbers = Literal["quickest", "float32", "float16", "int8"]


@dataclass(frozen=True)
class Exact:
    """Every sample is looked at; the answer is the same for all `numbers`.

    >>> str(Exact()), str(parse_kind("exact:int8"))
    ('exact', 'exact:int8')
    """

    name: ClassVar[str] = "exact"
    approximate: ClassVar[bool] = False
    numbers: Numbers = "quickest"

    def __post_init__(self) -> None:
        if self.numbers not in get_args(Numbers):
            raise InputError(
                f"exact: expected one of {', '.join(get_args(Numbers))}, got {self.numbers!r}"
            )

    def __str__(self) -> str:
        """As `parse_kind` reads it."""
        return self.name if self.numbers == "quickest" else f"{self.name}:{self.numbers}"


@dataclass(frozen=True)
class Ivf:
    """Samples in cells; only the nearest cells are looked into.

    Attributes:
        nlist: cells.
        nprobe: how many of them a search looks into.
    """

    name: ClassVar[str] = "ivf"
    approximate: ClassVar[bool] = True
    nlist: int = 1024
    nprobe: int = 16

    def __post_init__(self) -> None:
        _require(self.name, "nlist", self.nlist, 1, 2**20)
        _require(self.name, "nprobe", self.nprobe, 1, self.nlist)

    def __str__(self) -> str:
        """As `parse_kind` reads it."""
        return f"{self.name}:nlist={self.nlist},nprobe={self.nprobe}"


@dataclass(frozen=True)
class Hnsw:
    """A graph of samples that are near each other (Malkov and Yashunin, arXiv:1603.09320).

    Attributes:
        m: links of a sample.
        ef: candidates kept on the way through the graph.
    """

    name: ClassVar[str] = "hnsw"
    approximate: ClassVar[bool] = True
    m: int = 32
    ef: int = 128

    def __post_init__(self) -> None:
        _require(self.name, "m", self.m, 2, 512)
        _require(self.name, "ef", self.ef, 1, 2**16)

    def __str__(self) -> str:
        """As `parse_kind` reads it."""
        return f"{self.name}:m={self.m},ef={self.ef}"


Kind = Exact | Ivf | Hnsw
KINDS: Mapping[str, type[Kind]] = {kind.name: kind for kind in (Exact, Ivf, Hnsw)}


def parse_kind(text: str) -> Kind:
    """The kind that a text names; what it leaves out is as usual.

    Raises:
        InputError: another text.

    >>> parse_kind("ivf:nprobe=32")
    Ivf(nlist=1024, nprobe=32)
    """
    name, colon, rest = text.strip().partition(":")
    if name not in KINDS or bool(colon) != bool(rest):
        raise InputError(
            f"expected a kind of index such as {', '.join(str(kind()) for kind in KINDS.values())}"
            f", got {text[:80]!r}"
        )
    kind = KINDS[name]
    if kind is Exact:
        return Exact(rest) if rest else Exact()  # type: ignore[arg-type]  # it is checked
    known = {each.name for each in fields(kind) if each.default is not MISSING}
    options: dict[str, int] = {}
    for option in rest.split(",") if rest else []:
        key, _, value = option.partition("=")
        if key not in known or key in options or not (value.isascii() and value.isdigit()):
            raise InputError(
                f"{name}: expected whole numbers for {' and '.join(sorted(known))}, each once, got "
                f"{option[:80]!r}; the usual one is {kind()}"
            )
        options[key] = int(value[:12])
    return kind(**options)  # type: ignore[arg-type]  # known for this kind


def _require(kind: str, option: str, value: object, least: int, most: int) -> None:
    if type(value) is not int or not least <= value <= most:
        raise InputError(
            f"{kind}: expected {option} from {least} to {most}, got {str(value)[:40]}; leave "
            "it out for the usual one"
        )
