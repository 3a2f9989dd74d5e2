"""Finished photographs on disk while `recognition embed` is at work, so that a stop costs seconds."""

import re
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from recognition.contract import Contract
from recognition.errors import InputError
from recognition.faces.face_file import Settings, face_file
from recognition.faces.face_file_reader import read_faces
from recognition.faces.pipeline import Outcome

SECONDS = 5.0  # so much work is lost at most, beside the photographs in flight


class Parts:
    """A folder beside the file, `faces.npz.parts`: each part holds the photographs of some seconds.

    A part is a file of faces, written whole. What is kept is written when the block ends, too,
    however it ends.
    """

    def __init__(self, out: Path, contract: Contract, settings: Settings) -> None:
        self.folder = out.with_name(out.name + ".parts")
        self._contract = contract
        self._settings = Settings(settings.detector, settings.min_score, labelled=False)
        self._waiting: dict[str, Outcome] = {}
        self._saved = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._flush()

    def read(self) -> dict[str, Outcome]:
        """What is kept, by digest; a part that is damaged is done again.

        Raises:
            InputError: they are of another contract or other settings.
        """
        kept: dict[str, Outcome] = {}
        for path in self._files():
            try:
                part = read_faces(path)
            except InputError:
                continue
            refuse_others(
                self.folder, (part.contract, part.settings), (self._contract, self._settings)
            )
            kept.update(part.outcomes())
        return kept

    def keep(self, outcome: Outcome) -> None:
        """Remember a photograph that is finished; every few seconds, on disk."""
        self._waiting[outcome.file.id] = outcome
        if time.monotonic() - self._saved >= SECONDS:
            self._flush()

    def remove(self) -> None:
        """The whole is written, or is to begin anew."""
        self._waiting.clear()
        for path in self._files(".*"):
            path.unlink()
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            self.folder.rmdir()

    def _flush(self) -> None:
        if self._waiting:
            part = face_file([*self._waiting.values()], self._contract, self._settings)
            numbers = [int(path.stem) for path in self._files()]
            self.folder.mkdir(mode=0o700, exist_ok=True)
            part.save(self.folder / f"{max(numbers, default=0) + 1:06d}.npz")
            self._waiting.clear()
        self._saved = time.monotonic()

    def _files(self, more: str = "") -> list[Path]:
        """Only what is named as parts are: nothing else is read or removed."""
        if not self.folder.is_dir():
            return []
        named = re.compile(r"[0-9]{6,}\.npz" + more)
        return sorted(path for path in self.folder.iterdir() if named.fullmatch(path.name))


def refuse_others(
    path: Path, there: tuple[Contract, Settings], now: tuple[Contract, Settings]
) -> None:
    """Refuse to go on with what another model, detector or settings began.

    Raises:
        InputError: they differ; it names both.
    """
    if (there[0].identity, there[1]) == (now[0].identity, now[1]):
        return
    if there[0].identity != now[0].identity:
        held, asked = f"by {there[0]}", f"by {now[0]}"
    else:
        held, asked = there[1].unlike(now[1]), now[1].unlike(there[1])
    raise InputError(
        f"{path} holds faces {held}, and what was asked for is faces {asked}; the two cannot be "
        "mixed: name another file with -o, or begin anew with --fresh"
    )
