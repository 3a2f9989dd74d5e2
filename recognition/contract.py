"""What two embeddings must have in common before they may be compared."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal, Self, get_args

import numpy as np
import numpy.typing as npt

from recognition.errors import InputError

Alignment = Literal["points", "box", "whole"]
Channels = Literal["RGB", "BGR"]
Mirror = Literal["none", "sum", "concatenate"]


@dataclass(frozen=True)
class Preprocessing:
    """From a face on a photograph to what a network takes.

    Attributes:
        alignment: `points` lays the five landmarks on ArcFace's template; `box` cuts the
            detector's box with a margin, as facenet does; `whole` stretches the box, without one.
        height: of the crop in pixels.
        width: of the crop in pixels.
        margin: with `box`: how many of the crop's pixels, on both sides together, lie around it.
        channels: their order in the network's input.
        mean: subtracted from values in [0, 255], one a channel in that order.
        std: divided by then.
        mirror: whether the mirrored crop is embedded too, and summed with or set behind the first.
    """

    alignment: Alignment = "points"
    height: int = 112
    width: int = 112
    margin: int = 0
    channels: Channels = "RGB"
    mean: tuple[float, float, float] = (127.5, 127.5, 127.5)
    std: tuple[float, float, float] = (128.0, 128.0, 128.0)
    mirror: Mirror = "none"

    def __post_init__(self) -> None:
        for name, known in (("alignment", Alignment), ("channels", Channels), ("mirror", Mirror)):
            if getattr(self, name) not in get_args(known):
                raise InputError(
                    f"{name}: expected one of {', '.join(get_args(known))}, "
                    f"got {getattr(self, name)!r}; see the model's documentation"
                )
        for name in ("height", "width", "margin"):
            least = 0 if name == "margin" else 1
            value = getattr(self, name)
            if type(value) is not int or not least <= value <= 4096:
                raise InputError(
                    f"{name}: expected whole pixels from {least} to 4096, got {value!r}; 112 is "
                    "usual for a side, and 0 for the margin"
                )
        if self.margin >= min(self.height, self.width):
            raise InputError(
                f"margin: expected less than the side of the crop, got {self.margin} of "
                f"{self.height} x {self.width} pixels; facenet's recipe is 14 of 160"
            )
        object.__setattr__(self, "mean", _channels("mean", self.mean))
        object.__setattr__(self, "std", _channels("std", self.std))
        if min(self.std) <= 0:
            raise InputError(f"std: expected numbers above 0, got {self.std}; 128 is usual")


@dataclass(frozen=True)
class Contract:
    """Which model made an embedding, and of which input.

    Two sets of embeddings can be compared only when model file, dimension and preprocessing are
    the same: cosines between the spaces of two networks mean nothing.

    Attributes:
        model: a name for people, such as that of the file.
        sha256: of the file of weights, in hexadecimal digits.
        dimension: numbers in an embedding.
        preprocessing: what the network was given.
        licence: of the weights, as far as it is known.
        versions: of the libraries that made them; they may differ.
    """

    model: str
    sha256: str
    dimension: int
    preprocessing: Preprocessing
    licence: str = "unknown"
    versions: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def of_weights(
        cls,
        model: str,
        weights: Mapping[str, npt.ArrayLike],
        *,
        dimension: int,
        preprocessing: Preprocessing,
        licence: str = "unknown",
    ) -> Self:
        """Of a network that is in no file: instead of a file, its weights are hashed.

        Args:
            model: a name for people.
            weights: by name, such as `network.state_dict()` of a network on the CPU.
            dimension: numbers in an embedding.
            preprocessing: what the network was given.
            licence: of the weights.

        Raises:
            InputError: no weights, or some that are no numbers numpy can read.

        >>> one = Contract.of_weights("a", {"w": [1.0]}, dimension=2, preprocessing=Preprocessing())
        >>> two = Contract.of_weights("a", {"w": [2.0]}, dimension=2, preprocessing=Preprocessing())
        >>> one.identity == two.identity
        False
        """
        contract = cls(model, _hash_of(weights), dimension, preprocessing, licence)
        contract._require_sound()
        return contract

    @property
    def identity(self) -> tuple[str, int, Preprocessing]:
        """What must be the same; name, licence and versions may differ."""
        return self.sha256, self.dimension, self.preprocessing

    def __str__(self) -> str:
        """One line for people: the name, the beginning of the hash, what goes in and comes out."""
        p = self.preprocessing
        how = {"points": "five points", "box": f"box + {p.margin}", "whole": "box"}[p.alignment]
        mirror = "" if p.mirror == "none" else f", mirror {p.mirror}"
        return (
            f"{self.model} ({self.sha256[:12] or 'not known which'}, {self.dimension} dimensions, {p.height} x "
            f"{p.width} by {how}, {p.channels}, mean {_short(p.mean)}, std {_short(p.std)}{mirror})"
        )

    def to_json(self) -> str:
        """One line of JSON; `from_json` reads it."""
        return json.dumps({**asdict(self), "versions": dict(self.versions)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """What `to_json` wrote.

        Raises:
            InputError: it is something else.
        """
        try:
            told = json.loads(text)
            preprocessing = Preprocessing(**_tuples(told.pop("preprocessing")))
            contract = cls(preprocessing=preprocessing, **told)
        except InputError:
            raise
        except Exception as error:
            raise InputError(
                "expected an embedding contract in JSON, as recognition embed writes it, got "
                f"{text[:80]!r}; embed the photographs again"
            ) from error
        contract._require_sound()
        return contract

    def _require_sound(self) -> None:
        kinds = {"model": str, "sha256": str, "dimension": int, "licence": str, "versions": dict}
        for name, kind in kinds.items():
            value = getattr(self, name)
            if type(value) is not kind or (type(value) is int and value < 1):
                raise InputError(
                    f"embedding contract: expected {name} as {kind.__name__}, got "
                    f"{str(value)[:80]!r}; embed the photographs again"
                )


def require_same(first: Contract, second: Contract, *, names: tuple[str, str]) -> None:
    """Refuse to mix embeddings of two contracts.

    Args:
        first: of one set.
        second: of the other.
        names: what to call the sets, such as their files.

    Raises:
        InputError: they differ in weights, dimension or preprocessing; it names both.
    """
    if first.identity == second.identity:
        return
    raise InputError(
        f"{names[0]} and {names[1]} hold embeddings that cannot be compared: the first are by "
        f"{first}, the second by {second}; embed both with the same model"
    )


def _hash_of(weights: Mapping[str, npt.ArrayLike]) -> str:
    """sha256 of arrays with their names, kinds and shapes, whatever their order."""
    if not weights:
        raise InputError("weights: expected some, got none; give network.state_dict()")
    found = hashlib.sha256()
    for name in sorted(weights):
        try:
            array = np.asarray(weights[name])
        except Exception as error:  # of a library we do not know: on a GPU, in bfloat16
            raise InputError(
                f"weights: expected numbers that numpy can read, {name!r} cannot be: {error}; "
                "give those of network.cpu().float()"
            ) from error
        if array.dtype.kind not in "biuf":
            raise InputError(f"weights: expected numbers, got {array.dtype} for {name!r}")
        found.update(json.dumps([name, array.dtype.str, array.shape]).encode())
        found.update(array.tobytes())
    return found.hexdigest()


def _channels(name: str, values: Any) -> tuple[float, float, float]:
    numbers = tuple(values) if isinstance(values, list | tuple) else (values,) * 3
    numeric = all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
    if len(numbers) != 3 or not numeric or not all(abs(n) < float("inf") for n in numbers):
        raise InputError(
            f"{name}: expected a number, or three, one a channel, got {values!r}; 127.5 is usual"
        )
    red, green, blue = map(float, numbers)
    return red, green, blue


def _tuples(told: Mapping[str, Any]) -> dict[str, Any]:
    unknown = told.keys() - {each.name for each in fields(Preprocessing)}
    if unknown:
        raise ValueError(f"unknown {sorted(unknown)}")
    return {name: tuple(v) if isinstance(v, list) else v for name, v in told.items()}


def _short(values: tuple[float, ...]) -> str:
    return "/".join(f"{value:g}" for value in dict.fromkeys(values))
