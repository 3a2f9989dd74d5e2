"""How a drawn face is painted: implicit shapes with soft edges, many pictures at once.

Face units: the chin is at y = +1, the top of the skull at y = −1, the nose points at x = 0.
Only sums, products, quotients and square roots touch pixels: they round alike wherever an array
is cut, so a picture does not depend on those painted beside it.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

if TYPE_CHECKING:  # names only: it is drawn.py that imports this module
    from recognition.datasets.drawn import Face, Take

Array = npt.NDArray[np.floating[Any]]  # float32 throughout; numpy's stubs lose track of it


def palette(*colours: tuple[float, float, float]) -> Array:
    """Colours to walk along, (K, 3), RGB in 0 … 1."""
    return np.array(colours, np.float32)


WHITE = palette((0.96, 0.95, 0.93))
DARK = palette((0.10, 0.06, 0.06))
LIPS = palette((0.74, 0.30, 0.30))
THROAT = palette((0.35, 0.08, 0.09))


@dataclass(frozen=True)
class Canvas:
    """B pictures in the making, or a crop of them that shares their memory.

    Attributes:
        image: (B, 3, h, w), RGB.
        x: (B, h, w), across the outline of the head.
        y: (B, h, w), down the outline.
        u: (B, h, w), across the surface of the face: x of a face seen from the front.
        v: (B, h, w), down the surface.
        head: (B, h, w), 0 in the middle of the head, 1 on its outline.
        pixel: (B, 1, 1), the side of a pixel in face units.
    """

    image: Array
    x: Array
    y: Array
    u: Array
    v: Array
    head: Array
    pixel: Array

    def crop(self, left: float, right: float, top: float, bottom: float) -> "Canvas":
        """The smallest part that holds this rectangle of the face in every picture."""
        step = 4
        u, v = self.u[:, ::step, ::step], self.v[:, ::step, ::step]
        reach = step * self.pixel
        inside = (u > left - reach) & (u < right + reach) & (v > top - reach) & (v < bottom + reach)
        rows, columns = (np.flatnonzero(np.any(inside, axis=(0, axis))) for axis in (2, 1))
        if not len(rows):  # out of every picture
            rows = columns = np.zeros(1, np.intp)
        high, wide = (slice(step * at[0], step * at[-1] + step) for at in (rows, columns))
        part = np.s_[..., high, wide]
        x, y, u, v, head = (a[part] for a in (self.x, self.y, self.u, self.v, self.head))
        return Canvas(self.image[part], x, y, u, v, head, self.pixel)

    def cover(self, distance: Array) -> Array:
        """How much of each pixel lies inside: 1 where the distance is below −½ pixel, else less."""
        return soft(distance, self.pixel)

    def paint(self, mask: Array, colour: Array) -> None:
        """Lay a colour, (3,) or (B, 3), over the picture where the mask, (B, h, w), is 1."""
        change = colour.reshape(-1, 3, 1, 1) - self.image
        change *= mask[:, None]
        np.add(self.image, change, out=self.image)

    def darken(self, mask: Array) -> None:
        """Take this part of the light away; give light where it is negative."""
        np.multiply(self.image, (1 - mask)[:, None], out=self.image)


def soft(distance: Array, width: Array | float) -> Array:
    """1 inside, 0 outside, with an edge as wide as said."""
    mask = distance / width
    np.subtract(0.5, mask, out=mask)
    return mask.clip(0, 1, out=mask)


def bump(x: Array, y: Array) -> Array:
    """(1 − x² − y²)₊²: a soft spot that ends at radius 1."""
    spot = np.maximum(1 - x * x - y * y, 0)
    return spot * spot


def wave(x: Array) -> Array:
    """A smooth wave of period 1 between −1 and 1, by parabolas."""
    phase: Array = 2 * (x - np.floor(x)) - 1
    height: Array = 4 * phase * (1 - np.abs(phase))
    return height


def paint(face: "Face", take: "Take", size: int) -> npt.NDArray[np.uint8]:
    """The pictures of one person, (B, S, S, 3) uint8, RGB."""
    canvas = pose(face, take, size)
    background(canvas, take)
    body(canvas, face, take)
    skull(canvas, face, take)
    cheeks(canvas.crop(-0.75, 0.75, -0.2, 1.0), face, take)
    beard(canvas.crop(-0.9, 0.9, 0.0, 1.1), face, take)
    mouth(canvas.crop(-0.55, 0.55, 0.2, 1.15), face, take)
    nose(canvas.crop(-0.45, 0.45, -0.3, 0.6), face, take)
    eyes(canvas.crop(-0.7, 0.7, -0.6, 0.35), face, take)
    brows(canvas.crop(-0.8, 0.8, -0.85, 0.15), face, take)
    locks(canvas, face, take)
    things(canvas, face, take)
    light(canvas, take)
    camera(canvas.image, take)
    pixels = (canvas.image.clip(0, 1) * 255 + 0.5).astype(np.uint8)
    return np.ascontiguousarray(pixels.transpose(0, 2, 3, 1))


def pose(face: "Face", take: "Take", size: int) -> Canvas:
    """An empty canvas and where each pixel lies on the head."""
    side = ((np.arange(size, dtype=np.float32) + 0.5) / size * 2 - 1) * 1.22
    across, down = side - take.right, side[:, None] - take.down + 0.04
    zoom = 1 + take.zoom
    x = (across * np.cos(take.roll) + down * np.sin(take.roll)) * zoom
    y = (down * np.cos(take.roll) - across * np.sin(take.roll)) * zoom
    x /= 1 - take.yaw * take.yaw
    depth = np.maximum(1 - (x / face.width) ** 2 - y * y, 0)
    image = np.empty((len(x), 3, size, size), np.float32)
    pixel = zoom * np.float32(2.44 / size)
    return Canvas(
        image, x, y, x - take.yaw * depth, y - take.pitch * depth, outline(face, x, y), pixel
    )


def outline(face: "Face", x: Array, y: Array) -> Array:
    """0 in the middle, 1 on the outline of the head: an ellipse squared off at the jaw."""
    below: Array = y.clip(0, 1)
    below *= below
    across = x / (face.width * (1 - face.narrow * below))
    across *= across
    height = y * y
    radius: Array = np.sqrt(across + height)
    squared = np.sqrt(np.sqrt(across * across + height * height))
    radius += face.square * below.clip(0, 0.5) * (squared - radius)
    return radius


def background(c: Canvas, take: "Take") -> None:
    """A gradient between two colours with slow waves: nothing of the person."""
    side = np.linspace(-1, 1, c.image.shape[-1], dtype=np.float32)
    t = take.texture[:, :, :, None]
    across = wave(side * t[:, 0, 0] + t[:, 0, 1]) * t[:, 0, 2]
    down = wave(side * t[:, 1, 0] + t[:, 1, 1]) * t[:, 1, 2]
    slope = across[:, None, :] + down[:, :, None]
    slope += across[:, None, ::-1] * down[:, :, None] * 2
    slope += side * t[:, 0, 3, :, None] + side[:, None] * t[:, 1, 3, :, None] + 0.5
    first, second = take.colours[:, 0], take.colours[:, 1]
    c.image[:] = slope[:, None] * (second - first)[..., None, None] + first[..., None, None]


def body(c: Canvas, face: "Face", take: "Take") -> None:
    """What hangs or stands behind the face: hair, neck and clothes."""
    style = face.style
    if style.bun:
        knot = np.sqrt(c.x * c.x + (c.y + 1.02 + style.bun / 2) ** 2) - style.bun
        c.paint(c.cover(knot), face.hair * 0.9)
    if style.length > 0.5:
        wide = face.width * (1 + style.volume) + 0.06 * style.length
        fall = np.where(c.y < 0, c.y / (1 + style.volume), c.y / (style.length + take.trim))
        fall *= fall
        fall *= np.where(c.y < 0, 1, fall)
        ends = style.curl * wave(c.y * 2.1 + c.x)
        c.paint(c.cover((np.sqrt((c.x / wide) ** 2 + fall) - 1 - ends) * 0.7), face.hair * 0.8)
    low = c.crop(-9.0, 9.0, 0.5, 9.0)
    low.paint(low.cover(np.abs(low.x) - face.neck - 0.1 * (low.y - 1)), face.skin * 0.8)
    shoulders = 1.12 - low.y + 0.25 * low.x * low.x - 0.10 * soft(np.abs(low.x) - 0.3, 0.4)
    low.paint(low.cover(shoulders), take.colours[:, 2])


def skull(c: Canvas, face: "Face", take: "Take") -> None:
    """Ears and the bare head, darker where the surface turns away."""
    skin = face.skin * (1 + take.tan[:, 0] * np.array([0.5, 1, 1.3], np.float32))
    ear_x = np.abs(c.x + 0.5 * take.yaw) - face.width - 0.02
    ear_y = (c.y - face.ear_height - take.pitch * 0.5) / 1.7
    ears = np.sqrt(ear_x * ear_x + ear_y * ear_y)
    c.paint(c.cover(ears - face.ear), skin * 0.92)
    c.darken(0.22 * soft(ears - face.ear * 0.55, 0.06))
    inside = c.cover((c.head - 1) * 0.8)
    c.paint(inside, skin)
    inside *= np.maximum(c.head - 0.55, 0) ** 2
    c.darken(inside)


def cheeks(c: Canvas, face: "Face", take: "Take") -> None:
    """Blush, folds beside the mouth, bags under the eyes, freckles and moles."""
    across = np.abs(c.u)
    blush = bump((across - 0.42) / 0.27, (c.v - 0.30) / 0.22) * (1.3 * face.cheek)
    c.image[:, 1:] *= (1 - blush)[:, None]
    smile = np.maximum(take.smile, 0)
    fold = across - face.mouth_width * (0.75 + 0.6 * (c.v - 0.3)) - 0.06
    band = bump(fold / 0.045, (c.v - 0.47) / 0.2) * (face.fold + 0.16 * smile)
    band += bump((across - face.eye_apart) / 0.2, (c.v - face.eye_height - 0.17) / 0.06) * face.bags
    band += bump(c.u / 0.06, (c.v - 0.86) / 0.1) * face.dimple
    c.darken(band)
    for u, v, radius in face.freckles.tolist():
        spot = c.crop(u - 0.1, u + 0.1, v - 0.1, v + 0.1)
        apart = np.sqrt((spot.u - u) ** 2 + (spot.v - v) ** 2)
        spot.darken(0.5 * spot.cover(apart - radius))


def beard(c: Canvas, face: "Face", take: "Take") -> None:
    """Stubble that comes and goes, on those who have a beard."""
    if not face.beard:
        return
    along = np.abs(c.u) / face.width
    region = 0.46 + 0.16 * bump(c.u / 0.3, np.float32(0) * c.v) - 0.4 * along * along - c.v
    mask = soft(region, 0.14) * c.cover((c.head - 1) * 0.8)
    mask *= (face.beard + take.stubble).clip(0.05, 0.9)
    c.paint(mask, face.hair)


def mouth(c: Canvas, face: "Face", take: "Take") -> None:
    """Lips around a gap that opens; a smile lifts the corners."""
    wide = face.mouth_width * (1 + 0.16 * take.smile)
    gap = np.maximum(take.mouth, 0)
    u = c.u - 0.5 * face.nose_aside
    t = (u / wide) ** 2
    level = face.mouth_height + gap * 0.3 + (face.mouth_curve + take.smile) * 0.05 * (0.4 - t)
    y = c.v - level - face.mouth_tilt * u / face.mouth_width
    fade = np.maximum(1 - t, 0)
    notch = 1 - face.bow * bump(u / 0.07, np.float32(0) * u)
    over = -y - (face.upper_lip * notch + gap * 0.7) * fade
    under = y - (face.lower_lip + gap) * fade
    lips = c.cover(np.maximum(np.maximum(over, under), (t - 1) * 0.1))
    c.paint(lips, (face.skin * (1 - face.lip_red) + LIPS * face.lip_red) * (0.55 + 0.4 * face.skin))
    inner = np.maximum(-y - gap * 0.7 * fade, y - gap * fade) - 0.012 * np.minimum(fade * 4, 1)
    hole = c.cover(inner) * soft((t - 1) * 0.3, 0.05)
    c.paint(hole, THROAT)
    hole *= c.cover(y - 0.1 * gap) * soft(0.03 - gap + 0 * y, 0.03)
    c.paint(hole, WHITE)


def nose(c: Canvas, face: "Face", take: "Take") -> None:
    """A bridge that catches the light, a tip and two nostrils, nearer than the cheeks."""
    u = c.u - 0.35 * take.yaw * np.maximum(c.v + 0.2, 0) - face.nose_aside
    v = c.v - 0.2 * take.pitch
    t = ((v + 0.15) / (face.nose_tip + 0.15)).clip(0, 1)
    wing = face.nose_bridge + (face.nose_width - face.nose_bridge) * t * t
    lit = np.where(take.side_light > 0, -u, u)
    slope = bump((lit - wing) / 0.055, (v - face.nose_tip * 0.45) / (face.nose_tip * 0.55 + 0.2))
    c.darken(0.26 * slope)
    c.darken(-0.14 * bump(u / face.nose_bulb, (v - face.nose_tip + 0.04) / face.nose_bulb))
    below = np.abs(v - face.nose_tip - 0.035 + 1.6 * u * u) - 0.016
    base = c.cover(np.maximum(below, np.abs(u) - face.nose_width))
    c.darken(0.30 * base)
    nostril = np.sqrt(((np.abs(u) - face.nose_width * 0.5) * 0.7) ** 2 + (v - face.nose_tip) ** 2)
    c.darken(0.55 * c.cover(nostril - 0.024))


def eyes(c: Canvas, face: "Face", take: "Take") -> None:
    """Two almonds under a lid that closes; the irises look where the picture says."""
    x = np.abs(c.u) - face.eye_apart
    y = c.v - face.eye_height + face.eye_slant * x
    t = (x / face.eye_width) ** 2
    almond = np.maximum(1 - t, 0)
    almond += face.eye_round * (np.sqrt(almond) - almond)
    closing = (1 - np.maximum(take.blink, -0.25)).clip(0.06, 1.25)
    upper = -y - face.eye_open * almond * closing
    lower = y - face.eye_open * 0.75 * almond * (1 - 0.12 * np.maximum(take.smile, 0))
    rim = np.maximum(np.maximum(upper, lower), (t - 1) * 0.06)
    ball = c.cover(rim)
    c.darken(0.3 * face.lid * bump(t * 0.75, (y + face.eye_open + 0.075) / 0.035))
    c.paint(ball, WHITE)
    seen = np.where(c.u < 0, -take.gaze, take.gaze)
    apart = np.sqrt((x - seen) ** 2 + (y + 0.012) ** 2)
    c.paint(ball * c.cover(apart - face.iris_size), face.iris)
    c.paint(ball * c.cover(apart - face.iris_size * 0.5), DARK)
    glint = np.sqrt((c.u - np.sign(c.u) * face.eye_apart + 0.03) ** 2 + (y + 0.04) ** 2)
    c.paint(ball * c.cover(glint - 0.022), WHITE)
    lash = np.maximum(np.abs(upper) - 0.017, (t - 1.1) * 0.1)
    c.paint(0.85 * c.cover(np.maximum(lash, y - 0.09)), DARK)


def brows(c: Canvas, face: "Face", take: "Take") -> None:
    """Two arcs, thicker near the nose, that go up and knit."""
    x = np.abs(c.u) - face.eye_apart - face.brow_apart
    level = face.eye_height - face.brow_height - take.brows
    arc = face.brow_arch * x * x + (face.brow_slope - take.frown) * x
    t = x / face.brow_width
    thick = face.brow_thick * (1 - 0.45 * t)
    band = np.maximum(np.abs(c.v - level - arc) - thick, (np.abs(t) - 1) * 0.12)
    c.paint(0.9 * c.cover(band), face.hair * 0.85)


def locks(c: Canvas, face: "Face", take: "Take") -> None:
    """The hair in front: what lies on the skull above the hairline."""
    style = face.style
    s = np.minimum((c.u / face.width) ** 2, 1.3)
    line = style.hairline + (style.tilt + take.part) * c.u + style.arch * s
    line += (style.side + take.trim) * s * s * s
    curls = style.curl * wave(c.x * 2.3) * wave(c.y * 2.3 + 0.2)
    cap = (c.head - 1 - style.volume - 0.3 * take.trim * min(1.0, 8 * style.volume)) * 0.8 - curls
    mask = c.cover(np.maximum(cap, (c.v - line) * 0.75 + 0.4 * curls))
    c.paint(mask, face.hair)
    strands = wave(c.u * 4.5 + c.v * 1.5 * (1 + style.tilt)) * 0.06
    strands += 0.9 * np.maximum(0.5 - np.abs(c.y + 0.78), 0) ** 2
    c.darken(-strands * mask)


def things(c: Canvas, face: "Face", take: "Take") -> None:
    """What is in the way on some pictures: glasses, a hat, a scarf, a bar across."""
    if take.glasses.any():
        glasses(c.crop(-1.0, 1.0, -0.45, 0.35), face, take)
    if take.hat.any():
        top = c.crop(-9.0, 9.0, -9.0, 0.0)
        rim = top.v + 0.50 - 0.2 * top.u * top.u
        hat = top.cover(np.maximum((top.head - 1.16) * 0.8, rim)) * take.hat
        top.paint(hat, take.colours[:, 4])
        top.darken(0.3 * hat * top.cover(np.abs(rim + 0.1) - 0.09))
    if take.scarf.any():
        low = c.crop(-9.0, 9.0, 0.4, 9.0)
        edge = 0.62 + 0.18 * low.u * low.u - low.v
        scarf = np.maximum(edge, np.abs(low.x) - 0.5 - 0.4 * low.y) - take.part
        low.paint(low.cover(scarf) * take.scarf, take.colours[:, 4])
    if take.bar.any():
        bar = (
            np.abs(c.x * take.bar_turn + c.y - take.bar_place) - 0.13 - 0.1 * np.abs(take.bar_turn)
        )
        c.paint(c.cover(bar) * take.bar, take.colours[:, 4])


def glasses(c: Canvas, face: "Face", take: "Take") -> None:
    """Two rounded frames, a bridge and arms that end at the ears."""
    x, y = np.abs(c.u) - face.eye_apart - 0.01, c.v - face.eye_height - 0.015
    across, down = x * x / 1.3, y * y
    ring = np.abs(np.sqrt(np.sqrt(across * across + down * down)) - 0.21) - 0.022
    arm = np.maximum(np.abs(y + 0.06) - 0.02, 0.22 - np.abs(x))
    frame = c.cover(np.minimum(ring, arm)) * soft((c.head - 1.0) * 0.8, 0.05)
    c.paint(frame * take.glasses, take.colours[:, 3])


def light(c: Canvas, take: "Take") -> None:
    """A lamp at one side, a shadow across, then exposure, warmth and contrast."""
    lamp = take.side_light * (c.x * 1.2).clip(-1, 1) + take.top_light * c.y.clip(-1, 1)
    edge = c.x + take.shadow_turn * c.y - take.shadow_place
    shade = soft(edge, 0.25) * np.maximum(take.shadow, 0)
    image = c.image
    image *= ((1 + lamp) * (1 - shade))[:, None]
    warm, tint = take.warmth[:, 0], take.tint[:, 0]
    gain = (1 + take.gain[:, 0]) * np.concatenate([1 + warm, 1 + tint, 1 - warm], axis=1)
    image *= gain[..., None, None]
    image.clip(0, 1, out=image)
    image += take.gamma[:, None] * (image - image * image)


def camera(image: Array, take: "Take") -> None:
    """Out of focus by a pixel or so, and grainy."""
    mix = np.abs(take.blur).clip(0, 0.33)[:, None]
    for step in (1, 2):
        middle = image[:, :, step:-step]
        middle += mix * (image[:, :, 2 * step :] + image[:, :, : -2 * step] - 2 * middle)
        middle = image[..., step:-step]
        middle += mix * (image[..., 2 * step :] + image[..., : -2 * step] - 2 * middle)
    image += np.abs(take.grain)[:, None] * take.noise
