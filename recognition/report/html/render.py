"""A document as one HTML file: no network, nothing that runs but the page's own script."""

import base64
import hashlib
import re
from functools import cache
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from recognition.errors import InputError
from recognition.report.evaluation.cells import NOT_RESOLVED, SYMBOLS
from recognition.report.html.document import Block, Document, Pairs, Slider
from recognition.report.table import Table
from recognition.report.text import legible

MARKED = re.compile(rf"\d( %)?([{''.join(SYMBOLS)}]| \[\d+\])")  # a number with a note
LONGEST_NUMBER = 32  # letters: what is longer is a text, which may be broken into lines
MOST_BYTES = 3_000_000


def render(document: Document) -> str:
    """The page, complete.

    Raises:
        InputError: a page of more than 3 MB, which mail and browsers would not like; pictures left
            out make it smaller.
    """
    style, script = _asset("report.css"), _asset("report.js")
    page = (
        _environment()
        .get_template("report.html.j2")
        .render(
            document=document,
            style=Markup(style),
            script=Markup(script),
            policy=_policy(style, script),
            data={"sliders": _sliders(document)},
        )
    )
    size = len(page.encode())
    if size > MOST_BYTES:
        raise InputError(
            f"the report would have {size / 1e6:.1f} MB, and may have {MOST_BYTES / 1e6:g}; "
            "leave out pictures (--include-images), or the map (--map none)"
        )
    return page


def _policy(style: str, script: str) -> str:
    """Nothing is fetched, and only the page's own style and script are taken, by their hashes."""
    return (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("recognition.report.html"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: legible(value) if type(value) is str else value,
    )
    environment.filters |= {
        "jpeg": _jpeg,
        "doubt": doubt,
        "prose": prose,
        "kind": _kind,
        "words": _words,
    }
    return environment


def _asset(name: str) -> str:
    return (files(__package__) / "templates" / name).read_text(encoding="utf-8")


def _jpeg(picture: bytes) -> str:
    return f"data:image/jpeg;base64,{base64.b64encode(picture).decode()}"


def doubt(cell: tuple[str, str]) -> str:
    """How a cell is shown: as a number, as one to doubt, or as one that there is not."""
    value = cell[0]
    if value.startswith(NOT_RESOLVED):
        return "unknown"
    return "doubtful" if MARKED.search(value) else ""


def prose(cell: tuple[str, str]) -> str:
    """How a text is shown: in as many lines as it needs."""
    return "prose" if len(cell[0]) > LONGEST_NUMBER else ""


def _words(text: str) -> str:
    """A heading in one line."""
    return " ".join(text.split())


def _kind(block: Block) -> str:
    kinds = {Table: "table", Slider: "slider", Pairs: "pairs"}
    return kinds.get(type(block), "drawing")


def _sliders(document: Document) -> dict[str, Any]:
    """What the script moves, by the key of the drawing."""
    return {
        block.drawing.key: [
            {
                "threshold": stop.threshold,
                "place": round(stop.place, 2),
                "means": [legible(sentence) for sentence in stop.sentences],
                "cells": list(stop.cells),
            }
            for stop in block.stops
        ]
        for part in document.parts
        for block in part.blocks
        if isinstance(block, Slider)
    }
