"""Names of files made from names of people and photographs: data, never paths."""

import hashlib
import re

MOST_LETTERS = 60


def file_stem(name: str) -> str:
    """A name for a file that any system takes, different for different names.

    Only plain letters, digits, `-` and `_` are kept of it, its last 60; a piece of its sha256
    follows, so names that look alike or differ in capitals stay apart, none leads to another
    folder, and none is a device of Windows such as `CON`.

    >>> file_stem("../people/Ann.jpg")
    'people_Ann_jpg-21d7ed96fbb6'
    """
    plain = re.sub(r"[^A-Za-z0-9-]+", "_", name).strip("_-")[-MOST_LETTERS:].lstrip("_-")
    digest = hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:12]
    return f"{plain}-{digest}" if plain else f"face-{digest}"


def safe_cell(text: str) -> str:
    """A text that a spreadsheet does not take for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
