"""A matplotlib figure as SVG that stands inside of a page, under its content-security policy.

Styles become attributes, which need no exception in the policy, and which the page's style sheet
overrides by their value: that is how drawings follow light and dark. Text stays text.
"""

import io
import re
import warnings
from xml.etree import ElementTree as ET

import matplotlib as mpl
from markupsafe import Markup
from matplotlib.figure import Figure

NAMESPACE = re.compile(r"\{[^}]*\}")
LONG = re.compile(r"-?\d+\.\d{3,}")
REFERENCE = re.compile(r"url\(#([^)]+)\)")
UNUSED = {"metadata", "style"}
UNSET = {"font-family", "font"}  # the page has one font for all
READABLE = 5.4  # inches: on a telephone, letters of such a drawing can still be read
SHRUNK = 7.0  # wider drawings have several panels, which would get too narrow
FONT = re.compile(r"(?:(?P<weight>bold|[1-9]00) )?(?P<size>[\d.]+)px")


def svg_of(figure: Figure, key: str) -> Markup:
    """The figure, which is used up by it, as one `<svg>` element without a name of its own.

    Args:
        figure: drawn on no ground: what is white in it becomes the page's paper.
        key: unique on the page; names inside of the drawing begin with it.
    """
    root = ET.fromstring(_saved(figure, key))
    for element in root.iter():
        for child in [child for child in element if NAMESPACE.sub("", child.tag) in UNUSED]:
            element.remove(child)
    named = {_target(value) for element in root.iter() for value in element.attrib.values()}
    for element in root.iter():
        _clean(element, key, named)
    left, top, width, height = root.attrib["viewBox"].split()
    root.attrib = {"viewBox": f"{left} {top} {width} {height}", "aria-hidden": "true"}
    return Markup(ET.tostring(root, encoding="unicode"))


def _saved(figure: Figure, key: str) -> bytes:
    file = io.BytesIO()
    width, height = figure.get_size_inches()
    if READABLE < width <= SHRUNK:
        figure.set_size_inches(READABLE, height * READABLE / width)
    figure.patch.set_visible(False)
    for panel in figure.axes:
        panel.patch.set_visible(False)
    # text stays text, and names inside are the same at every run
    with (
        mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": key}),
        warnings.catch_warnings(),
    ):
        # the reader's fonts draw these letters, not matplotlib's
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None})
    return file.getvalue()


def _target(value: str) -> str | None:
    """The name that an attribute refers to."""
    if value.startswith("#"):
        return value[1:]
    found = REFERENCE.fullmatch(value)
    return found[1] if found else None


def _clean(element: ET.Element, key: str, named: set[str | None]) -> None:
    element.tag = NAMESPACE.sub("", element.tag)
    old = {NAMESPACE.sub("", name): value for name, value in element.attrib.items()}
    new = dict[str, str]()
    for rule in filter(None, old.pop("style", "").split(";")):
        name, _, value = (text.strip() for text in rule.partition(":"))
        if name == "font" and (font := FONT.search(value)):
            new |= {"font-size": font["size"]} | (
                {"font-weight": font["weight"]} if font["weight"] else {}
            )
        elif name not in UNSET:
            new[name] = value
    for name, value in old.items():
        if name == "id":
            if value in named:
                new["id"] = f"{key}-{value}"
        elif name in ("href", "clip-path") and (target := _target(value)):
            new[name] = value.replace(target, f"{key}-{target}")
        else:
            new[name] = LONG.sub(_rounded, value)
    element.attrib = new
    if element.text and not element.text.strip():
        element.text = None
    if element.tail and not element.tail.strip():
        element.tail = None


def _rounded(number: re.Match[str]) -> str:
    return f"{float(number[0]):.2f}".rstrip("0").rstrip(".")
