"""Drawn people: a data set of any size when there is none at hand."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, NamedTuple, TypeVar, get_type_hints

import numpy as np
import numpy.typing as npt

from recognition.datasets._face_painting import Array, paint, palette
from recognition.datasets.pictures import Pictures
from recognition.errors import InputError

_CHANCES = {"glasses": 0.13, "bar": 0.07, "scarf": 0.05, "hat": 0.08}
_AT_ONCE = 10  # pictures painted together: few enough to stay in the processor's cache
_CLIP = 2.2  # normals are clipped here, so that no face and no picture falls apart


@dataclass(frozen=True)
class Variation:
    """How much the pictures of one person differ, kind by kind; 0 is not at all.

    At the defaults a CNN of four layers, trained with softmax for 12 epochs on 200 people, has an
    equal error rate of about 8 % on 100 others. The background is another one on every picture,
    whatever the strengths are.
    """

    pose: float = 1.0
    expression: float = 1.0
    light: float = 1.0
    camera: float = 1.0
    habits: float = 1.0
    occlusion: float = 1.0


SKIN = palette((0.98, 0.85, 0.77), (0.93, 0.74, 0.61), (0.76, 0.56, 0.42), (0.50, 0.34, 0.25))
HAIR = palette((0.11, 0.09, 0.09), (0.30, 0.19, 0.13), (0.52, 0.30, 0.16), (0.80, 0.64, 0.38))
IRIS = palette((0.22, 0.13, 0.08), (0.45, 0.30, 0.15), (0.36, 0.48, 0.32), (0.34, 0.52, 0.68))


class Style(NamedTuple):
    """A way to wear hair, before a person's own jitter; lengths in face units."""

    volume: float  # beyond the skull
    hairline: float  # height at the middle of the forehead
    arch: float  # how much lower the hairline is at the temples
    side: float  # and how much lower still at the ears
    tilt: float  # a parting
    length: float  # how far down it hangs behind the face
    curl: float  # waviness of the outline
    bun: float  # radius of a knot on top


STYLES = (
    Style(0.01, -0.97, 0.05, 0.75, 0.00, 0.3, 0.00, 0.00),  # thinning
    Style(0.03, -0.66, 0.05, 0.55, 0.00, 0.3, 0.00, 0.00),  # buzz cut
    Style(0.10, -0.58, 0.00, 0.50, 0.12, 0.4, 0.01, 0.00),  # short
    Style(0.14, -0.62, 0.05, 0.50, 0.38, 0.4, 0.00, 0.00),  # parted
    Style(0.10, -0.40, -0.06, 0.60, 0.00, 0.6, 0.00, 0.00),  # fringe
    Style(0.12, -0.66, 0.45, 0.90, 0.10, 1.7, 0.01, 0.00),  # long
    Style(0.16, -0.46, 0.05, 1.00, 0.06, 1.0, 0.00, 0.00),  # bob
    Style(0.24, -0.58, 0.10, 0.60, 0.00, 0.9, 0.07, 0.00),  # curls
    Style(0.05, -0.66, 0.12, 0.50, 0.00, 0.3, 0.00, 0.26),  # knot
)


class Own(NamedTuple):
    """A number that is a person's own: mean + spread · clipped normal, at least `low`."""

    mean: float
    spread: float
    low: float = -9.0


class Varies(NamedTuple):
    """A number that is a picture's own: strength of the group · spread · clipped normal."""

    group: str
    spread: float


@dataclass(frozen=True)
class Face:
    """What stays: the shapes and colours of one person."""

    style: Style
    skin: Array  # (3,)
    hair: Array  # (3,)
    iris: Array  # (3,)
    freckles: Array  # (K, 3): u, v and radius; none for most
    beard: float  # 0 for most
    width: Annotated[float, Own(0.76, 0.045)]
    narrow: Annotated[float, Own(0.27, 0.08)]
    square: Annotated[float, Own(0.35, 0.35, 0.0)]
    ear: Annotated[float, Own(0.16, 0.035, 0.05)]
    ear_height: Annotated[float, Own(0.02, 0.06)]
    neck: Annotated[float, Own(0.40, 0.05)]
    eye_apart: Annotated[float, Own(0.33, 0.035)]
    eye_height: Annotated[float, Own(-0.06, 0.045)]
    eye_width: Annotated[float, Own(0.165, 0.022)]
    eye_open: Annotated[float, Own(0.105, 0.024, 0.05)]
    eye_slant: Annotated[float, Own(0.0, 0.17)]
    eye_round: Annotated[float, Own(0.45, 0.25, 0.0)]
    iris_size: Annotated[float, Own(0.082, 0.010)]
    lid: Annotated[float, Own(0.35, 0.25, 0.0)]
    brow_height: Annotated[float, Own(0.215, 0.040, 0.14)]
    brow_width: Annotated[float, Own(0.20, 0.03)]
    brow_thick: Annotated[float, Own(0.038, 0.016, 0.012)]
    brow_slope: Annotated[float, Own(0.0, 0.16)]
    brow_arch: Annotated[float, Own(1.3, 0.9, 0.0)]
    brow_apart: Annotated[float, Own(0.0, 0.03)]
    nose_tip: Annotated[float, Own(0.29, 0.06)]
    nose_width: Annotated[float, Own(0.135, 0.032, 0.06)]
    nose_bridge: Annotated[float, Own(0.05, 0.018, 0.015)]
    nose_bulb: Annotated[float, Own(0.10, 0.025)]
    nose_aside: Annotated[float, Own(0.0, 0.018)]
    mouth_height: Annotated[float, Own(0.585, 0.045)]
    mouth_width: Annotated[float, Own(0.26, 0.042)]
    upper_lip: Annotated[float, Own(0.050, 0.019, 0.015)]
    lower_lip: Annotated[float, Own(0.070, 0.022, 0.02)]
    bow: Annotated[float, Own(0.4, 0.4, 0.0)]
    mouth_curve: Annotated[float, Own(0.0, 0.35)]
    mouth_tilt: Annotated[float, Own(0.0, 0.03)]
    lip_red: Annotated[float, Own(0.5, 0.2, 0.1)]
    cheek: Annotated[float, Own(0.10, 0.08, 0.0)]
    fold: Annotated[float, Own(0.12, 0.10, 0.0)]
    bags: Annotated[float, Own(0.10, 0.09, 0.0)]
    dimple: Annotated[float, Own(0.05, 0.08, 0.0)]


@dataclass(frozen=True)
class Take:
    """What changes: B pictures of one person; every number is (B, 1, 1)."""

    colours: Array  # (B, 5, 3): two of the background, clothes, glasses, whatever is in the way
    texture: Array  # (B, 2, 4): waves of the background
    glasses: Array  # 0 or 1, as are the next three
    bar: Array
    scarf: Array
    hat: Array
    noise: Array  # (B, 3, S, S)
    yaw: Annotated[Array, Varies("pose", 0.105)]
    pitch: Annotated[Array, Varies("pose", 0.075)]
    roll: Annotated[Array, Varies("pose", 0.12)]
    zoom: Annotated[Array, Varies("pose", 0.06)]
    right: Annotated[Array, Varies("pose", 0.06)]
    down: Annotated[Array, Varies("pose", 0.055)]
    smile: Annotated[Array, Varies("expression", 0.7)]
    mouth: Annotated[Array, Varies("expression", 0.075)]
    brows: Annotated[Array, Varies("expression", 0.045)]
    frown: Annotated[Array, Varies("expression", 0.12)]
    blink: Annotated[Array, Varies("expression", 0.28)]
    gaze: Annotated[Array, Varies("expression", 0.035)]
    side_light: Annotated[Array, Varies("light", 0.24)]
    top_light: Annotated[Array, Varies("light", 0.16)]
    gain: Annotated[Array, Varies("light", 0.14)]
    gamma: Annotated[Array, Varies("light", 0.21)]
    warmth: Annotated[Array, Varies("light", 0.075)]
    tint: Annotated[Array, Varies("light", 0.035)]
    shadow: Annotated[Array, Varies("light", 0.20)]
    shadow_turn: Annotated[Array, Varies("light", 0.8)]
    shadow_place: Annotated[Array, Varies("light", 0.35)]
    blur: Annotated[Array, Varies("camera", 0.09)]
    grain: Annotated[Array, Varies("camera", 0.016)]
    tan: Annotated[Array, Varies("habits", 0.035)]
    stubble: Annotated[Array, Varies("habits", 0.13)]
    trim: Annotated[Array, Varies("habits", 0.05)]
    part: Annotated[Array, Varies("habits", 0.07)]
    bar_place: Annotated[Array, Varies("occlusion", 0.55)]
    bar_turn: Annotated[Array, Varies("occlusion", 1.0)]


T = TypeVar("T")


def _notes(described: type, kind: type[T]) -> dict[str, T]:
    """The annotations of this kind, by the names of the fields that carry them."""
    return {
        name: note
        for name, hint in get_type_hints(described, include_extras=True).items()
        for note in getattr(hint, "__metadata__", ())
        if isinstance(note, kind)
    }


_OWN, _VARIES = _notes(Face, Own), _notes(Take, Varies)


def draw_faces(
    people: int = 300,
    pictures: int = 20,
    *,
    size: int = 64,
    seed: int = 0,
    variation: Variation = Variation(),
    progress: Callable[[int], None] | None = None,
) -> Pictures:
    """Cartoon people, each on several pictures with their own pose, light and background.

    Person i of a seed is the same whatever `people` and `pictures` are, and so is their picture k:
    a larger set holds the smaller one.

    Args:
        people: how many.
        pictures: how many of each.
        size: side of a picture in pixels, at least 16.
        seed: of everything; the same arguments give the same bytes.
        variation: how much the pictures of one person differ.
        progress: called with the number of pictures finished, now and then.

    Returns:
        people · pictures pictures, sorted by person; `images` is (N, size, size, 3).

    Raises:
        InputError: a count below 1, a size below 16, a negative seed or a strength outside 0 … 2.

    >>> drawn = draw_faces(2, 3, size=32)
    >>> drawn.images.shape, drawn.ids[-1].item()
    ((6, 32, 32, 3), 'p001/02')
    """
    for name, value, least in (
        ("people", people, 1), ("pictures", pictures, 1), ("size", size, 16), ("seed", seed, 0)
    ):  # fmt: skip
        if value < least:
            raise InputError(
                f"draw_faces needs {name} >= {least} and got {value}: choose a larger {name}"
            )
    for name, strength in vars(variation).items():
        if not 0 <= strength <= 2:
            raise InputError(
                f"a variation's {name} lies between 0 and 2 and was {strength}: 1 is the usual"
            )
    images = np.empty((people, pictures, size, size, 3), np.uint8)
    for person in range(people):
        face = _person(seed, person)
        for start in range(0, pictures, _AT_ONCE):
            part = range(start, min(start + _AT_ONCE, pictures))
            images[person, part.start : part.stop] = paint(
                face, _take(seed, person, part, size, variation), size
            )
            if progress is not None:
                progress(person * pictures + part.stop)
    return _as_pictures(images, seed)


def _as_pictures(images: npt.NDArray[np.uint8], seed: int) -> Pictures:
    """Names for what was drawn; a name does not change when the set grows."""
    people, pictures = images.shape[:2]
    labels = np.repeat([f"p{i:03d}" for i in range(people)], pictures)
    takes = np.tile([f"/{k:02d}" for k in range(pictures)], people)
    source = f"drawn faces ({people} people x {pictures} pictures, seed {seed})"
    return Pictures(images.reshape(-1, *images.shape[2:]), labels, labels + takes, source)


def _stream(seed: int, *key: int) -> np.random.Generator:
    """A stream of its own for each person, (i,), and for each of their pictures, (i, k)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=key))


def _person(seed: int, person: int) -> Face:
    """Everything that stays, drawn in a fixed order."""
    rng = _stream(seed, person)
    normal = rng.standard_normal(len(_OWN)).clip(-_CLIP, _CLIP).tolist()
    numbers: dict[str, float] = {
        name: max(own.mean + own.spread * z, own.low)
        for (name, own), z in zip(_OWN.items(), normal, strict=True)
    }
    style = STYLES[rng.integers(len(STYLES))]
    jitter = rng.normal(0, (0.03, 0.04, 0.05, 0.06, 0.05, 0.10, 0.006, 0.03)).clip(-0.12, 0.12)
    worn = Style(*(part + float(j) * (part != 0) for part, j in zip(style, jitter, strict=True)))
    beard, spots, moles = rng.random(3)
    return Face(
        style=worn,
        skin=_walk(SKIN, rng.random()) * _around(rng, 0.025),
        hair=_walk(HAIR, rng.random() ** 1.5) * _around(rng, 0.06),
        iris=_walk(IRIS, rng.random()) * _around(rng, 0.06),
        freckles=_freckles(rng, 9 * (spots < 0.15), int(moles < 0.3)),
        beard=float(max(beard - 0.72, 0) * 2),
        **numbers,
    )


def _walk(colours: Array, t: float) -> Array:
    """The colour at t in 0 … 1 on the way along a palette."""
    place = t * (len(colours) - 1)
    first = min(int(place), len(colours) - 2)
    part = np.float32(place - first)
    mixed: Array = colours[first] * (1 - part) + colours[first + 1] * part
    return mixed


def _around(rng: np.random.Generator, spread: float) -> Array:
    """A factor for each of the three channels, near 1."""
    return (1 + rng.normal(0, spread, 3).clip(-2 * spread, 2 * spread)).astype(np.float32)


def _freckles(rng: np.random.Generator, freckles: int, moles: int) -> Array:
    """Small spots on the cheeks and larger ones anywhere: (K, 3), u, v and radius."""
    small = rng.uniform((-0.5, 0.08, 0.018), (0.5, 0.36, 0.03), (9, 3))[:freckles]
    large = rng.uniform((-0.5, 0.1, 0.03), (0.5, 0.8, 0.045), (1, 3))[:moles]
    return np.concatenate([small, large]).astype(np.float32)


def _take(seed: int, person: int, part: range, size: int, variation: Variation) -> Take:
    """Everything that changes, for these pictures of a person."""
    streams = [_stream(seed, person, k) for k in part]
    # every stream is used in this order: numbers, things, colours, texture, noise
    normal = np.array([r.standard_normal(len(_VARIES)) for r in streams]).clip(-_CLIP, _CLIP)
    spreads = [varies.spread * getattr(variation, varies.group) for varies in _VARIES.values()]
    chances = [variation.occlusion * chance for chance in _CHANCES.values()]
    things = np.array([r.random(len(chances)) for r in streams]) < chances
    return Take(
        colours=np.array([_colours(r) for r in streams]),
        texture=np.array([_texture(r) for r in streams]),
        noise=np.array([r.standard_normal((3, size, size), np.float32) for r in streams]),
        **dict(zip(_CHANCES, _columns(things), strict=True)),
        **dict(zip(_VARIES, _columns(normal * spreads), strict=True)),
    )


def _columns(table: npt.NDArray[Any]) -> Array:
    """(B, K) as K times (B, 1, 1), which broadcast over the pixels of B pictures."""
    return table.T.astype(np.float32)[..., None, None]


def _colours(rng: np.random.Generator) -> Array:
    """Two muted ones of the background, clothes, dark glasses, something in the way: (5, 3)."""
    loud = rng.random((5, 3), np.float32)
    strength = np.array([[0.5], [0.5], [0.7], [0.6], [0.8]], np.float32)
    bright = np.array([[0.85], [0.85], [0.8], [0.5], [0.8]], np.float32)
    grey = loud[:, 1:2]
    return np.float32(0.08) + bright * (grey + strength * (loud - grey))


def _texture(rng: np.random.Generator) -> Array:
    """Across and down: frequency, phase and height of a wave, and a slope: (2, 4)."""
    return (rng.random((2, 4)) * (2.5, 1, 1.2, 1) - (0, 0, 0.6, 0.5)).astype(np.float32)
