"""Every step's numbers in `log.csv`, and in TensorBoard where it is installed."""

import csv
import io
from argparse import Namespace
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lightning_fabric.loggers.logger import Logger

from recognition.whole_files import written_whole

CSV = "log.csv"
TENSORBOARD = "pip install 'margin-recognition[tensorboard]'"


class CsvLog(Logger):
    """A line a step, in the columns given; on the disk as soon as it is written.

    Args:
        path: of the file, which is made if it is not there.
        columns: the names of the numbers; others are not written.
        after: the step that training goes on from: lines of later ones are taken away, as those
            steps are taken again.
    """

    def __init__(self, path: Path, columns: Sequence[str], after: int) -> None:
        super().__init__()
        self.path, self.columns = path, list(columns)
        kept = lines_until(path, after, self.columns)
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns)
        writer.writeheader()
        writer.writerows(kept)
        with written_whole(path) as file:
            file.write(text.getvalue().encode())

    @property
    def name(self) -> str:
        return "csv"

    @property
    def version(self) -> str:
        return ""

    def log_hyperparams(
        self, params: dict[str, Any] | Namespace, *args: Any, **kwargs: Any
    ) -> None:
        """They are in `config.toml`."""

    def log_metrics(self, metrics: Mapping[str, float], step: int | None = None) -> None:
        with self.path.open("a", encoding="utf-8", newline="") as file:
            writer = csv.DictWriter(file, self.columns, extrasaction="ignore")
            writer.writerow(
                {"step": step, **{key: _short(value) for key, value in metrics.items()}}
            )


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _short(value: float) -> str:
    return f"{value:.6g}"


def lines_until(path: Path, after: int, columns: Sequence[str]) -> list[dict[str, str]]:
    """The whole lines of a log up to a step; a last one that was cut off is not among them.

    A log is for reading, and none, or one that is damaged, keeps nobody from training.
    """
    if not path.exists():
        return []
    try:
        rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8", errors="replace"))))
    except csv.Error:
        return []
    return [
        {key: row[key] for key in columns}
        for row in rows
        if all(row.get(key) is not None for key in columns)
        and row["step"].isdecimal()
        and all(_is_number(row[key]) for key in columns)
        and int(row["step"]) <= after
    ]


def has_tensorboard() -> bool:
    """Whether it is installed, so that curves are written for it."""
    return find_spec("tensorboard") is not None


def make_loggers(folder: Path, columns: Sequence[str], after: int) -> list[Logger]:
    """The logs of a run folder."""
    loggers: list[Logger] = [CsvLog(folder / CSV, columns, after)]
    if has_tensorboard():
        from lightning_fabric.loggers.tensorboard import TensorBoardLogger

        loggers.append(TensorBoardLogger(folder, name="tensorboard", version=""))
    return loggers
