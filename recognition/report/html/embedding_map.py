"""The map of the embeddings: a point a picture, with names for whoever points at it."""

from collections.abc import Mapping
from typing import Any

from jinja2 import Environment
from markupsafe import Markup

from recognition.report.html.document import Drawing
from recognition.report.table import Table
from recognition.report.text import legible, several, shortened

WIDTH, HEIGHT, ROOM, RADIUS = 520.0, 400.0, 12.0, 3.5
HUES = 10  # people share colours; pointing at one shows whose the others are
MOST_NAMED = 15
LONGEST = 60

POINTS = Environment(autoescape=True).from_string(
    """<svg class="map" viewBox="0 0 {{ width }} {{ height }}" aria-hidden="true">
{%- for x, y, person, hue, name in points -%}
<circle cx="{{ x }}" cy="{{ y }}" r="{{ radius }}" class="hue{{ hue }}" data-person="{{ person }}">
<title>{{ name }}</title></circle>
{%- endfor -%}
</svg>"""
)


def map_drawing(key: str, found: Mapping[str, Any]) -> Drawing:
    """The points of a map as results hold it: "x", "y", "person", "picture", "method" ..."""
    people = list(dict.fromkeys(found["person"]))
    number = {person: at for at, person in enumerate(people)}
    across, upwards = _scaled(found["x"], WIDTH), _scaled(found["y"], HEIGHT)
    points = [
        (x, round(HEIGHT - y, 1), number[person], number[person] % HUES, _name(person, picture))
        for x, y, person, picture in zip(
            across, upwards, found["person"], found["picture"], strict=True
        )
    ]
    svg = POINTS.render(width=WIDTH, height=HEIGHT, radius=RADIUS, points=points)
    counts = sorted(((found["person"].count(one), one) for one in people), key=lambda n: -n[0])
    rows = [[(shortened(one, LONGEST), ""), (f"{n:,}", "")] for n, one in counts[:MOST_NAMED]]
    more = [f"And {len(people) - MOST_NAMED:,} more."] if len(people) > MOST_NAMED else []
    table = Table("People on the map", ["person", "pictures"], rows, more)
    # every text in it was escaped by the template
    return Drawing(key, "A map of the embeddings", Markup(svg), _sentence(found, people), table)


def _scaled(values: list[float], length: float) -> list[float]:
    least, most = min(values), max(values)
    factor = (length - 2 * ROOM) / ((most - least) or 1.0)
    return [round(ROOM + (value - least) * factor, 1) for value in values]


def _name(person: str, picture: str) -> str:
    return f"{shortened(person, LONGEST)}: {shortened(legible(picture), LONGEST)}"


def _sentence(found: Mapping[str, Any], people: list[str]) -> str:
    shown = f"{several(found['shown'], 'picture')} of {several(len(people), 'person', 'people')}"
    if found["shown"] < found["of"]:
        shown += f", drawn at random from {found['of']:,},"
    if found["method"] == "pca":
        share = sum(found["explained"])
        return (
            f"{shown} along the two directions in which their embeddings differ most. These hold "
            f"{share:.0%} of all differences: people who lie apart here are apart, people who lie "
            "on each other need not be alike. Point at one to see whose it is."
        )
    return (
        f"{shown}, arranged by t-SNE so that neighbours stay neighbours. Only who lies beside whom "
        "means something here; distances and sizes of groups do not. Point at one to see whose it is."
    )
