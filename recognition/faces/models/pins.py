"""What a file of weights was when it was first used, so that a later change is noticed."""

import json
import logging
import os
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from recognition.datasets._files import refusing, shown
from recognition.errors import InputError

HOME = "RECOGNITION_HOME"
log = logging.getLogger("recognition")


def home() -> Path:
    """Where the toolkit keeps what it must remember; $RECOGNITION_HOME names another place."""
    from platformdirs import user_data_path

    named = os.environ.get(HOME)
    return Path(named).expanduser() if named else user_data_path("recognition", appauthor=False)


def pin_path(name: str) -> Path:
    """The small file that remembers the weights of this name."""
    return home() / "pins" / f"{name}.json"


def pinned(name: str) -> str | None:
    """The sha256 that the weights of this name had at first; None before they were ever used.

    Raises:
        InputError: the file that remembers it is damaged.
    """
    path = pin_path(name)
    if not path.exists():
        return None
    with refusing(path, "a remembered sha256", f"remove {shown(path)} to remember it anew"):
        sha256 = json.loads(path.read_text(encoding="utf-8"))["sha256"]
        if not (isinstance(sha256, str) and len(sha256) == 64 and sha256.isalnum()):
            raise ValueError("it holds another value")
        return sha256


def require_pinned(name: str, sha256: str, path: Path) -> None:
    """Refuse weights that are not those which were first used under this name.

    Raises:
        InputError: they differ; it names both hashes.
    """
    first = pinned(name)
    if first is not None and first != sha256:
        raise InputError(
            f"{shown(path)} has changed: its sha256 was {first} when it was first used, and is "
            f"{sha256} now; put the first file back, or, if the change is meant, remove "
            f"{shown(pin_path(name))}"
        )


def pin(name: str, sha256: str, path: Path) -> None:
    """Remember the hash, unless one is remembered; of two processes the first decides for both.

    Raises:
        InputError: another hash is remembered.
    """
    final = pin_path(name)
    if not final.exists():
        final.parent.mkdir(parents=True, exist_ok=True)
        date = datetime.now(UTC).date().isoformat()
        told = {"file": str(path), "sha256": sha256, "date": date}
        handle, partial = tempfile.mkstemp(prefix=".", suffix=".part", dir=final.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(told, file)
            _name_it(Path(partial), final)
        finally:
            Path(partial).unlink(missing_ok=True)
        log.warning("%s has the sha256 %s, which is remembered from now on", shown(path), sha256)
    require_pinned(name, sha256, path)


def _name_it(partial: Path, final: Path) -> None:
    try:
        os.link(partial, final)  # unlike a rename, it never replaces what another process wrote
    except FileExistsError:
        pass
    except OSError:  # a file system without hard links
        partial.replace(final)
