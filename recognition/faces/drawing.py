"""Pictures for people: a photograph with its faces marked, and sheets of crops.

Colours are of Okabe and Ito's palette, which the colour-blind tell apart, edged in black so that
they show on any photograph.
"""

from collections.abc import Iterator, Sequence
from functools import cache
from math import ceil, sqrt
from pathlib import Path
from typing import NamedTuple

import numpy as np
from PIL import Image, ImageDraw, ImageFont, features

from recognition.faces.face import Face, Floats, Pixels
from recognition.faces.score_text import written_score
from recognition.report.text import shortened

Colour = tuple[int, int, int]
Font = ImageFont.FreeTypeFont | ImageFont.ImageFont
CERTAIN_COLOUR: Colour = (86, 180, 233)  # sky blue
DOUBTFUL_COLOUR: Colour = (230, 159, 0)  # orange
POINT_COLOUR: Colour = (240, 228, 66)  # yellow
BLACK, WHITE, GREY = (0, 0, 0), (255, 255, 255), (240, 240, 240)
SMALLEST, LARGEST = 400, 2000  # pixels: the longer side of a drawn picture
SHEET = 100  # crops that are looked over at a glance


class Crop(NamedTuple):
    """A crop, and what to write below it."""

    caption: str
    pixels: Pixels


def draw_faces(pixels: Pixels, faces: Sequence[Face], min_score: float) -> Image.Image:
    """The photograph with the box, the landmarks, the number and the score of every face.

    Faces whose score is below `min_score` have an orange, dashed box and a question mark. A
    photograph with a side of more than 2,000 pixels is reduced; one with none of 400 is enlarged a
    whole number of times, so that what is drawn leaves something to be seen.
    """
    picture = Image.fromarray(np.ascontiguousarray(pixels))
    scale = min(LARGEST / max(picture.size), float(ceil(SMALLEST / max(picture.size))))
    if scale < 1:
        width, height = (max(1, round(side * scale)) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BILINEAR, reducing_gap=3.0)
    elif scale > 1:
        width, height = (side * int(scale) for side in picture.size)
        picture = picture.resize((width, height), Image.Resampling.BICUBIC)
    pen = _Pen(ImageDraw.Draw(picture), max(2, round(max(picture.size) / 400)))
    for number, face in reversed(list(enumerate(faces))):  # the largest lie on top
        pen.face(number, face, scale, certain=face.score >= min_score)
    return picture


class _Pen(NamedTuple):
    draw: ImageDraw.ImageDraw
    width: int

    def face(self, number: int, face: Face, scale: float, *, certain: bool) -> None:
        colour = CERTAIN_COLOUR if certain else DOUBTFUL_COLOUR
        # within the picture's surroundings: a detector's box may lie anywhere
        box = np.clip(np.nan_to_num(face.box * scale), -1e4, 1e4)
        for thickness, shade in ((self.width + 2, BLACK), (self.width, colour)):
            for start, end in _sides(box, 0 if certain else 6 * self.width):
                self.draw.line([*start, *end], fill=shade, width=thickness)
        radius = max(self.width, (box[2] - box[0]) / 40)
        for x, y in np.clip(np.nan_to_num(face.landmarks * scale), -1e4, 1e4):
            around = (x - radius, y - radius, x + radius, y + radius)
            self.draw.ellipse(around, fill=POINT_COLOUR, outline=BLACK)
        self._label(f"#{number} {written_score(face.score)}{'' if certain else '?'}", box, colour)

    def _label(self, text: str, box: Floats, colour: Colour) -> None:
        """Above the box, or within it where it begins at the top of the picture.

        As wide as the box at most, where it can be read so: faces stand side by side.
        """
        font = _font(int(np.clip((box[2] - box[0]) / 5, 10, 6 * self.width)))
        left, top, right, bottom = self.draw.textbbox((0, 0), text, font=font)
        room = 2 * self.width
        wide, high = right - left + room, bottom - top + room
        size = self.draw.im.size
        x = max(0.0, min(float(box[0]), size[0] - wide))
        y = float(box[1]) - high if box[1] >= high else max(0.0, float(box[1]))
        self.draw.rectangle((x, y, x + wide, y + high), fill=colour)
        self.draw.text((x + room / 2 - left, y + room / 2 - top), text, fill=BLACK, font=font)


def _sides(box: Floats, dash: int) -> Iterator[tuple[Floats, Floats]]:
    """The four sides of a box; with `dash` in pieces of that many pixels."""
    left, top, right, bottom = box
    corners = np.array([(left, top), (right, top), (right, bottom), (left, bottom)], np.float32)
    for start, end in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        length = float(np.abs(end - start).max())
        pieces = 2 * ceil(length / (2 * dash)) + 1 if dash and length else 1
        for piece in range(0, pieces, 2):  # a dash at either end
            along = end - start
            yield start + along * (piece / pieces), start + along * ((piece + 1) / pieces)


def contact_sheet(crops: Sequence[Crop]) -> Image.Image:
    """The crops side by side, at least one, with their captions below; `SHEET` are enough."""
    side = max(max(crop.pixels.shape[:2]) for crop in crops)
    high, gap = max(10, side // 10), max(4, side // 16)
    font = _font(high)
    columns = ceil(sqrt(len(crops)))
    line = ceil(1.25 * high)
    cell = (side + gap, side + gap + 2 * line)
    size = (columns * cell[0] + gap, ceil(len(crops) / columns) * cell[1] + gap)
    sheet = Image.new("RGB", size, WHITE)
    draw = ImageDraw.Draw(sheet)
    direction = "ltr" if features.check("raqm") else None  # paths, whatever their letters
    for place, crop in enumerate(crops):
        x, y = (place % columns) * cell[0] + gap, (place // columns) * cell[1] + gap
        draw.rectangle((x, y, x + side - 1, y + side - 1), fill=GREY)
        height, width = crop.pixels.shape[:2]
        sheet.paste(
            Image.fromarray(np.ascontiguousarray(crop.pixels)),
            (x + (side - width) // 2, y + (side - height) // 2),
        )
        for number, part in enumerate(_lines(crop.caption)):
            place_of_line = (x, y + side + 2 + number * line)
            text = _fitting(part, font, side)
            draw.text(place_of_line, text, fill=BLACK, font=font, direction=direction)
    return sheet


def _lines(caption: str) -> list[str]:
    """The folder above and the name below it: of a long path both can be read so."""
    folder, _, name = caption.rpartition("/")
    return [folder, name] if folder else [name]


@cache
def _font(size: int) -> Font:
    """DejaVu Sans, which writes Greek, Cyrillic, Hebrew and Arabic too; it lies in matplotlib."""
    import matplotlib as mpl

    path = Path(mpl.get_data_path(), "fonts/ttf/DejaVuSans.ttf")
    return ImageFont.truetype(path, size) if path.is_file() else ImageFont.load_default(size)


def _fitting(caption: str, font: Font, most: int) -> str:
    letters = min(len(caption), most)
    while letters > 3 and font.getlength(shortened(caption, letters)) > most:
        letters -= 1
    return shortened(caption, letters)
