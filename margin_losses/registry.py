"""Margins by name: `arcface:m=0.4`, `cosface:m=0.35,s=30`, `lsoftmax:m=2+annealed:minimum=0`."""

import difflib
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from numbers import Real
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

from margin_losses.drawn_margins import (
    ElasticArcFace,
    ElasticArcFacePlus,
    ElasticCosFace,
    ElasticCosFacePlus,
)
from margin_losses.hard_negatives import CurricularFace, MVArcFace, MVSoftmax
from margin_losses.lengths import AdaFace, MagFace
from margin_losses.margin import LARGEST_SCALE, Margin, is_whole
from margin_losses.margins import (
    AMSoftmax,
    ArcFace,
    CombinedMargin,
    CosFace,
    LSoftmax,
    NormFace,
    SMSoftmax,
    Softmax,
    SphereFace,
    SphereFaceR,
    SubCenterArcFace,
)
from margin_losses.own_scale import AdaCos, FixedAdaCos
from margin_losses.wrappers import Annealed, Detached, Wrapper

MARGINS: dict[str, type[Margin]] = {
    margin.__name__.lower(): margin
    for margin in (
        Softmax,
        NormFace,
        LSoftmax,
        SphereFace,
        SMSoftmax,
        AMSoftmax,
        CosFace,
        ArcFace,
        SubCenterArcFace,
        CombinedMargin,
        SphereFaceR,
        CurricularFace,
        MVSoftmax,
        MVArcFace,
        AdaFace,
        MagFace,
        ElasticArcFace,
        ElasticArcFacePlus,
        ElasticCosFace,
        ElasticCosFacePlus,
        FixedAdaCos,
        AdaCos,
    )
}
WRAPPERS: dict[str, type[Wrapper]] = {"annealed": Annealed, "detached": Detached}
MOST_CENTERS = 100


class HeadSpec(NamedTuple):
    """A margin, and the scale and sub-centres that were asked for with it."""

    margin: Margin
    scale: float | None = None
    centers: int | None = None

    @classmethod
    def parse(cls, text: str) -> "HeadSpec":
        """Read `name[:option=value,...][+wrapper[:option=value,...]]`.

        Of the options `s` is the scale, `k` the number of sub-centres, the rest the margin's.

        Raises:
            ValueError: an unknown name or option, or a value that makes no sense.

        >>> HeadSpec.parse("arcface:m=0.4,s=32")
        HeadSpec(margin=ArcFace(m=0.4, past='linear'), scale=32.0, centers=None)
        """
        first, *wrappers = re.split(r"\+(?=\s*[a-zA-Z])", text)
        name, options = _read(first)
        scale = _value(options.pop("s"), float, "s") if "s" in options else None
        centers = _value(options.pop("k"), int, "k") if "k" in options else None
        margin = _make(MARGINS, "margin", name, options, extra=("s", "k"))
        for wrapper in wrappers:
            name, options = _read(wrapper)
            margin = _make(WRAPPERS, "wrapper", name, options, margin)
        return cls(
            margin,
            None if scale is None else check_scale(scale),
            None if centers is None else check_centers(centers),
        )


def parse_margin(text: str) -> Margin:
    """The margin of `name[:option=value,...]`, without a scale or sub-centres.

    >>> parse_margin("sphereface:m=1.7")
    SphereFace(m=1.7)
    """
    spec = HeadSpec.parse(text)
    if spec.scale is not None or spec.centers is not None:
        raise ValueError(
            f"{text!r}: scale and sub-centres belong to the head, not to the margin; "
            "leave out s= and k="
        )
    return spec.margin


def check_scale(scale: float) -> float:
    """The scale, if it makes sense: 0 < s <= 1000."""
    if not _is_real(scale) or not 0 < scale <= LARGEST_SCALE:
        raise ValueError(
            f"scale: expected a number 0 < s <= {LARGEST_SCALE:g} (published heads use 4 to 64), "
            f"got {scale!r}"
        )
    return float(scale)


def check_centers(centers: int) -> int:
    """The number of sub-centres, if it makes sense: 1 <= K <= 100."""
    if not is_whole(centers) or not 1 <= centers <= MOST_CENTERS:
        raise ValueError(
            f"centers: expected a whole number 1 <= K <= {MOST_CENTERS} (the paper uses 3), "
            f"got {centers!r}"
        )
    return int(centers)


class Row(NamedTuple):
    """A margin as the tables show it.

    Attributes:
        name: what `HeadSpec.parse` reads.
        formula: the own class's logit.
        defaults: its options and their values.
        paper: where it comes from.
    """

    name: str
    formula: str
    defaults: str
    paper: str


def rows() -> list[Row]:
    """Every margin with its formula, defaults and paper."""
    return [Row(name, kind.formula, _defaults(kind), kind.paper) for name, kind in MARGINS.items()]


def table() -> str:
    """Every margin with its formula, defaults and paper, as a Markdown table."""
    lines = ["| name | own class's logit | defaults | paper |", "|---|---|---|---|"]
    lines += [f"| `{r.name}` | {r.formula} | {r.defaults} | {r.paper} |" for r in rows()]
    return "\n".join(lines)


def _defaults(kind: type[Margin]) -> str:
    margin = kind()
    found = [_option(field.name, getattr(margin, field.name)) for field in fields(margin)]
    if kind.geometry.unit_embedding and not kind.chooses_scale:
        found.append(f"s={kind.geometry.scale:g}")
    if kind.centers > 1:
        found.append(f"k={kind.centers}")
    return ", ".join(found)


def _option(name: str, value: object) -> str:
    return f"{name}={value:g}" if isinstance(value, Real) else f"{name}={value}"


def _is_real(value: object) -> bool:
    return isinstance(value, Real)


def _read(part: str) -> tuple[str, dict[str, str]]:
    name, colon, rest = part.strip().partition(":")
    options: dict[str, str] = {}
    for item in rest.split(",") if colon else ():
        key, equals, value = (side.strip() for side in item.partition("="))
        if not equals:
            raise ValueError(f"{part.strip()!r}: expected name:option=value,..., got {item!r}")
        if key in options:
            raise ValueError(f"{part.strip()!r}: option {key} is given twice; leave one out")
        options[key] = value
    return name.strip().lower(), options


def _make(
    known: Mapping[str, type[Margin]],
    what: str,
    name: str,
    options: Mapping[str, str],
    *inner: Margin,
    extra: Iterable[str] = (),
) -> Margin:
    if name not in known:
        raise ValueError(f"unknown {what} {name!r}; {_nearest(name, known)}")
    kind = known[name]
    types = get_type_hints(kind)
    accepted = {field.name: types[field.name] for field in fields(kind)[len(inner) :]}
    for key in options:
        if key not in accepted:
            names = [*accepted, *extra]
            raise ValueError(f"{name} has no option {key!r}; {_nearest(key, names)}")
    return kind(*inner, **{key: _value(v, accepted[key], key) for key, v in options.items()})


def _nearest(name: str, known: Iterable[str]) -> str:
    known = list(known)
    long_form = {"scale": "s", "margin": "m"}.get(name)
    close = [long_form] if long_form in known else difflib.get_close_matches(name, known, n=1)
    hint = f"did you mean {close[0]!r}? " if close else ""
    return f"{hint}known: {', '.join(known) or 'none'}"


def _value(text: str, kind: type, key: str) -> Any:
    if get_origin(kind) is Literal:
        known = get_args(kind)
        if text not in known:
            raise ValueError(f"option {key}: expected one of {', '.join(known)}, got {text!r}")
        return text
    try:
        value: float = kind(text)
    except ValueError:
        wanted = "a whole number" if kind is int else "a number"
        raise ValueError(f"option {key}: expected {wanted}, got {text!r}") from None
    if not math.isfinite(value):
        raise ValueError(f"option {key}: expected a finite number, got {text!r}")
    return value
