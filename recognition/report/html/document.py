"""What a report holds, whichever command it is of: sections of tables, drawings and sentences.

A command's page is made in two steps: a function turns its results into a `Document`, and
`render` turns any document into one HTML file. All text is plain text, as the results have it;
it is escaped when it is rendered.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from markupsafe import Markup

from recognition.report.table import Table


@dataclass(frozen=True)
class Drawing:
    """One figure, for those who see it and those who do not.

    Attributes:
        key: its name on the page, unique there: letters, digits and hyphens.
        title: what it shows, a few words.
        svg: the drawing, see `svg_of`; its texts are escaped already.
        sentence: what there is to be seen in it, read aloud in its place.
        table: the numbers behind it, folded away below it.
    """

    key: str
    title: str
    svg: Markup
    sentence: str
    table: Table


class Stop(NamedTuple):
    """One threshold that the slider can stand at.

    Attributes:
        threshold: its score.
        place: where its line is, from the left of the drawing, in units of the drawing.
        sentences: what this threshold means for people.
        cells: the rates there, one a heading.
    """

    threshold: str
    place: float
    sentences: Sequence[str]
    cells: Sequence[str]


@dataclass(frozen=True)
class Slider:
    """A threshold that the reader moves over a drawing of the scores.

    Attributes:
        drawing: both kinds of scores, along the axis that the threshold moves on.
        top, bottom: the ends of the threshold's line, in units of the drawing.
        headings: the names of the rates.
        stops: the thresholds, ascending.
        start: which of them it stands at when the page is opened.
    """

    drawing: Drawing
    top: float
    bottom: float
    headings: Sequence[str]
    stops: Sequence[Stop]
    start: int


class Pair(NamedTuple):
    """Pictures that were compared, or one: their names, who is on each, and how alike they are."""

    pictures: tuple[str, ...]
    people: tuple[str, ...]
    score: str


@dataclass(frozen=True)
class Pairs:
    """Pairs to look at; their pictures are shown where the page is given them."""

    title: str
    sentence: str
    pairs: Sequence[Pair]


Block = Table | Drawing | Slider | Pairs


@dataclass(frozen=True)
class Part:
    """A section of the page: a question, its answer in sentences, and what shows it."""

    key: str
    title: str
    sentences: Sequence[str] = ()
    blocks: Sequence[Block] = ()
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Document:
    """A whole report.

    Attributes:
        title: what was judged.
        lead: one sentence on what it was judged on.
        verdict: the answer in words, with intervals; the first sentence is set large.
        parts: the sections, the most important first.
        limits: what this report cannot say.
        command: what makes it again.
        facts: names and values for the foot: version, machine, seconds, memory, hashes.
        thumbnails: small JPEG pictures by the names that pairs call them, if any may be shown.
    """

    title: str
    lead: str
    verdict: Sequence[str]
    parts: Sequence[Part]
    limits: Sequence[str]
    command: str
    facts: Sequence[tuple[str, str]] = ()
    thumbnails: Mapping[str, bytes] = field(default_factory=dict)
