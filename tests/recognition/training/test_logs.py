"""The log of a run that was stopped and resumed is that of one that was not."""

import csv
import math
from pathlib import Path

import pytest

from recognition.training.logs import CSV, CsvLog, lines_until, make_loggers

COLUMNS = ["step", "loss", "validation"]


def test_steps_that_are_taken_again_are_written_once(tmp_path: Path) -> None:
    path = tmp_path / CSV
    first = CsvLog(path, COLUMNS, 0)
    for step in range(1, 6):
        first.log_metrics({"loss": 1 / step, "validation": math.nan, "other": 3}, step)
    with path.open("a") as file:
        file.write("6,0.1")  # it was stopped here
    again = CsvLog(path, COLUMNS, 3)
    for step in (4, 5):
        again.log_metrics({"loss": 10 + step, "validation": 0.5}, step)
    with path.open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["step"] for row in rows] == ["1", "2", "3", "4", "5"]
    assert [row["loss"] for row in rows] == ["1", "0.5", "0.333333", "14", "15"]
    assert [row["validation"] for row in rows] == ["nan"] * 3 + ["0.5"] * 2
    assert list(rows[0]) == COLUMNS
    CsvLog(path, COLUMNS, 0)
    assert path.read_text().splitlines() == ["step,loss,validation"]


def test_a_damaged_log_keeps_nobody_from_training(tmp_path: Path) -> None:
    path = tmp_path / CSV
    for raw in (b"", b"\xff\xfe\0", b"step,loss,validation\n1,x,2\n2,1,1\n\xb2,1,1\n", b'"' * 99):
        path.write_bytes(raw)
        assert [line["step"] for line in lines_until(path, 5, COLUMNS)] in ([], ["2"])
        CsvLog(path, COLUMNS, 5)
    assert lines_until(tmp_path / "none", 5, COLUMNS) == []


def test_who_is_stopped_while_a_log_is_taken_up_has_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / CSV
    CsvLog(path, COLUMNS, 0).log_metrics({"loss": 1, "validation": 2}, 1)
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("recognition.whole_files.os.fsync", killed)
    with pytest.raises(KeyboardInterrupt):
        CsvLog(path, COLUMNS, 1)
    assert path.read_bytes() == before


def test_tensorboard_has_the_numbers_too_where_it_is_installed(tmp_path: Path) -> None:
    loggers = make_loggers(tmp_path, COLUMNS, 0)
    for logger in loggers:
        logger.log_metrics({"loss": 0.25}, 1)
        logger.finalize("success")
    assert (tmp_path / CSV).exists()
    assert list((tmp_path / "tensorboard").glob("events*"))
