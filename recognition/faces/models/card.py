"""The card of a model: a small JSON beside its file that says what the file itself does not."""

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from recognition.contract import Preprocessing
from recognition.datasets._files import refusing, require_file, shown
from recognition.errors import InputError

MOST_BYTES = 1 << 20
_INPUT = tuple(each.name for each in fields(Preprocessing))
_HASH = re.compile(r"([0-9a-f]{64})?")
EXAMPLE = (
    '{"height": 112, "width": 112, "alignment": "points", "channels": "RGB", "mean": 127.5, '
    '"std": 127.5, "mirror": "none", "licence": "..."}'
)


@dataclass(frozen=True)
class Card:
    """What is known of a file of weights.

    Attributes:
        preprocessing: what the network takes.
        name: for people; empty where the file's own will do.
        licence: of the weights.
        sha256: of the file beside it; empty where nobody wrote it down.
        original_sha256: of the file that it was converted from, whose embeddings it gives.
        source: where that file came from.
        date: when it was converted.
        backbone: which of our networks the weights are for; empty for others.
        output: which output of an ONNX graph is the embedding, where it has several.
    """

    preprocessing: Preprocessing
    name: str = ""
    licence: str = "unknown"
    sha256: str = ""
    original_sha256: str = ""
    source: str = ""
    date: str = ""
    backbone: str = ""
    output: str = ""

    def to_json(self) -> str:
        """JSON for people, one line a key; `read_card` reads it."""
        told = asdict(self)
        told |= told.pop("preprocessing")
        return json.dumps({key: value for key, value in told.items() if value != ""}, indent=1)


_TEXTS = tuple(each.name for each in fields(Card) if each.name != "preprocessing")


def card_path(model: Path) -> Path:
    """Where the card of a model lies: `face.json` beside `face.onnx`."""
    return model.with_suffix(".json")


def read_card(model: Path) -> Card:
    """The card beside a model.

    Raises:
        InputError: there is none, it is no JSON object, or a key is unknown or has no sound value.
    """
    path = card_path(model)
    if not path.exists():
        raise InputError(
            f"expected {shown(path)} beside {shown(model)}, which says how the network wants its "
            f"crops, but there is none; write it, for example {EXAMPLE}"
        )
    expected = "a model's card, a JSON object"
    if require_file(path, expected) > MOST_BYTES:
        raise InputError(f"expected {expected} of a few lines at {shown(path)}; check the path")
    with refusing(path, expected, f"write it anew, for example {EXAMPLE}"):
        told = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(told, dict):
        raise InputError(f"expected {expected} at {shown(path)}; write it as in {EXAMPLE}")
    return _card(told, path)


def require_unchanged(card: Card, sha256: str, model: Path) -> None:
    """Refuse a file that is not the one its card was written for.

    Raises:
        InputError: the card names another hash, or a conversion without its own hash.
    """
    if card.sha256 and card.sha256 != sha256:
        raise InputError(
            f"{shown(model)} has changed: its card tells the sha256 {card.sha256[:12]}..., and it "
            f"has {sha256[:12]}...; copy or convert it again, with its card"
        )
    if card.original_sha256 and not card.sha256:
        raise InputError(
            f"{shown(card_path(model))}: expected sha256 beside original_sha256, as a conversion "
            "is only known by both; convert it again"
        )


def _card(told: Mapping[str, Any], path: Path) -> Card:
    known = [*_INPUT, *_TEXTS]
    for key, value in told.items():
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1, cutoff=0)
            raise InputError(
                f"{shown(path)}: unknown key {key[:40]!r}; did you mean {near[0]!r}? known: "
                f"{', '.join(known)}"
            )
        if key in _TEXTS and not (isinstance(value, str) and value.isprintable()):
            raise InputError(
                f"{shown(path)}: expected {key} as a line of text, got {str(value)[:40]!r}; put it "
                "in quotation marks"
            )
        if key.endswith("sha256") and not _HASH.fullmatch(value):
            raise InputError(
                f"{shown(path)}: expected {key} as 64 hexadecimal digits, got {value[:70]!r}; leave "
                "it out, or write what sha256sum tells"
            )
    missing = [key for key in ("height", "width", "mean", "std") if key not in told]
    if missing:
        raise InputError(
            f"{shown(path)}: expected {', '.join(missing)} too, as no network says them itself; "
            f"write them as in {EXAMPLE}"
        )
    try:
        preprocessing = Preprocessing(**{key: told[key] for key in _INPUT if key in told})
    except (InputError, TypeError, OverflowError) as error:
        raise InputError(f"{shown(path)}: {error}") from error
    return Card(preprocessing, **{key: told[key] for key in _TEXTS if key in told})
