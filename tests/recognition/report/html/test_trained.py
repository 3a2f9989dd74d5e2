"""The page of a training run: what is said of it, and how it is made again from its folder."""

import copy
import json
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from browser import needs_chromium, opened
from PIL import Image
from torch import nn

from recognition.backbones import registry
from recognition.backbones.registry import Backbone
from recognition.datasets.drawn import draw_faces
from recognition.errors import InputError
from recognition.report.html.document import Drawing
from recognition.report.html.render import render
from recognition.report.html.trained import COLUMNS, document
from recognition.report.html.trained_drawings import validations
from recognition.report.training_figures import course
from recognition.training import run as module
from recognition.training.config import TrainConfig
from recognition.training.config_files import changed
from recognition.training.logs import lines_until
from recognition.training.run import run_training
from recognition.training.run_report import write_report

INERT = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
TURNED = "\u202egpj.exe"


class Tiny(nn.Sequential):
    """16 x 16 pictures to 8 numbers."""

    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 4, 5, 4), nn.PReLU(4), nn.Flatten(), nn.Linear(36, 8))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A finished run, which was stopped after four of its six steps."""
    root = tmp_path_factory.mktemp("trained")
    drawn = draw_faces(9, 5, size=16)
    for number, (image, label) in enumerate(zip(drawn.images, drawn.labels, strict=True)):
        (root / "faces" / label).mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(root / "faces" / label / f"{number}.png")
    (root / "faces" / label / "none.png").write_text("no picture")
    given = {
        "data.pictures": str(root / "faces"), "data.validation_share": 0.4,
        "model.backbone": "tiny", "model.head": "cosface:s=8", "run.batch_size": 6,
        "run.steps": 4, "validation.every": 2, "schedule.name": "constant", "schedule.warmup": 0.0,
    }  # fmt: skip
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(registry.BACKBONES, "tiny", Backbone(Tiny, 16, 8))
        patch.setattr(module, "FINAL_REPLICATES", 20)
        patch.setattr(module, "REPLICATES", 20)
        config = changed(TrainConfig(), given)
        run_training(config, root / "run", command="recognition train <faces>")
        first = (root / "run" / "report.html").read_text(encoding="utf-8")
        assert "in 4 steps" in first
        more = replace(config, run=replace(config.run, steps=6))
        run_training(more, root / "run", resume=True, command="recognition train --resume run")
    return root / "run"


@pytest.fixture
def results(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "results.json").read_text())
    return copy.deepcopy(found)


def lines_of(folder: Path) -> list[dict[str, float]]:
    return [
        {key: float(value) for key, value in line.items()}
        for line in lines_until(folder / "log.csv", 6, COLUMNS)
    ]


def verdict(results: dict[str, Any], *values: float) -> str:
    """What is said when validations at steps 2, 4, ... were so; the last one is the last network."""
    every = [dict.fromkeys(COLUMNS, 0.5) | {"step": 2 * at + 2, "validation": value}
             for at, value in enumerate(values[:-1])]  # fmt: skip
    steps = 2 * len(values)
    best = int(np.argmin(values))
    results["steps"] = steps
    results["best"] = {"step": 2 * best + 2, "metric": "eer", "value": values[best]}

    def told(value: float) -> dict[str, Any]:
        return {"value": value, "low": value - 0.02, "high": value + 0.02, "note": None}

    results["estimates"] = {"eer": told(values[best])}
    results["last_estimates"] = {"eer": told(values[-1])}
    return " ".join(document(results, every).verdict)


def test_a_finished_run_has_a_page_that_is_made_again_from_its_folder(folder: Path) -> None:
    page = folder / "report.html"
    before = page.read_text(encoding="utf-8")
    assert "in 6 steps" in before, "the run that went on wrote it anew"
    page.unlink()
    assert write_report(folder) == page
    assert page.read_text(encoding="utf-8") == before
    assert not list(folder.glob("*.part"))


def test_the_log_has_the_columns_that_the_page_reads() -> None:
    assert list(COLUMNS) == module.COLUMNS


def test_a_page_says_what_was_asked_and_what_came(folder: Path, results: dict[str, Any]) -> None:
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert "recognition train --resume run" in page
    assert results["resumed"] == 4
    assert results["peak_gib"] is None or results["peak_gib"] > 0
    for name in ("milestones", "head_weight_decay", "patience"):
        assert f">{name}</th>" in page
    assert "none.png" in page, "what was not decoded, or passed over"
    made = document(results, lines_of(folder))
    keys = [b.key for part in made.parts for b in part.blocks if isinstance(b, Drawing)]
    assert keys == ["validation", "loss", "accuracy", "angle", "cosine", "rates", "gradient"]
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))


def test_it_is_told_whether_more_steps_would_do_more(results: dict[str, Any]) -> None:
    people = results["validation"]["people"]
    improves = verdict(results, 0.4, 0.3, 0.2)
    assert f"On {people} people never learned from, the equal error rate is 20.00 %" in improves
    assert "(95 %: 18.00–22.00), by the network after step 6 of 6" in improves
    assert "About 200 of 1,000 pairs would be judged wrongly" in improves
    assert "The last of 3 validations is the best" in improves
    assert "hardly improves" in verdict(results, 0.4, 0.20, 0.21)
    assert "the last network is worse, at 30.00 %" in verdict(results, 0.4, 0.20, 0.30)
    assert "validated once" in verdict(results, 0.3)


def test_higher_is_better_of_rates_that_are_accepted(results: dict[str, Any]) -> None:
    verdict(results, 0.9, 0.7)
    results["config"]["validation"]["metric"] = "tar@fmr=0.01"
    results["best"] = {"step": 2, "metric": "tar@fmr=0.01", "value": 0.9}
    for key, value in (("estimates", 0.9), ("last_estimates", 0.7)):
        results[key] = {"tar@fmr=0.01": {"value": value, "low": value - 0.02,
                                         "high": value + 0.02, "note": None}}  # fmt: skip
    lines = [dict.fromkeys(COLUMNS, 0.5) | {"step": 2.0, "validation": 0.9}]
    said = " ".join(document(results, lines).verdict)
    assert "the TAR at FMR 0.01 is 90.0 %" in said
    assert "About 900 of 1,000 pairs of one person would be accepted" in said
    assert "the last network is worse" in said


def test_the_last_validation_is_that_of_the_results(results: dict[str, Any], folder: Path) -> None:
    points = validations(results, lines_of(folder))
    assert [point.step for point in points] == [2, 6]
    last = results["last_estimates"]["eer"]
    assert (points[-1].value, points[-1].low) == (last["value"], last["low"])


def test_a_run_that_cannot_be_judged_has_a_page(results: dict[str, Any]) -> None:
    results["best"], results["estimates"], results["last_estimates"] = {}, {}, {}
    made = document(results, [])
    assert "Nothing can be said of people never seen" in made.verdict[0]
    assert "no line that could be drawn" in render(made)


def test_numbers_that_the_data_cannot_tell_are_grey(results: dict[str, Any]) -> None:
    verdict(results, 0.4, 0.2)
    missing = {"value": None, "low": None, "high": None, "note": "too few pairs"}
    few = {"value": 0.5, "low": 0.1, "high": 0.9, "note": "rests on one pair"}
    results["estimates"] |= {"tar@fmr=0.001": missing, "tar@fmr=0.01": few}
    page = render(document(results))
    assert '<td class="unknown">not resolved*' in page
    assert '<td class="doubtful">50.0 %†' in page
    assert "* too few pairs." in page


def test_a_curve_keeps_its_course_and_leaves_out_what_is_not_finite() -> None:
    steps = np.arange(1, 10_001)
    found = course(steps.tolist(), np.where(steps % 2, np.nan, steps).tolist())
    assert len(found.steps) == 300
    np.testing.assert_allclose(found.steps, found.values)
    assert not len(course([1, 2], [np.inf, np.nan]).values)


def test_names_are_inert_wherever_they_stand(results: dict[str, Any], folder: Path) -> None:
    for key in ("source", "command", "start"):
        results[key] = INERT
    results["config"]["model"]["head"] = INERT + "x" * 500
    results["config"]["data"]["pictures"] = TURNED
    results["broken"] = [{"picture": INERT, "reason": TURNED}]
    results["passed_over"] = [{"path": f"{at}{INERT}", "reason": INERT} for at in range(101)]
    results["warnings"], results["notes"] = [INERT], [INERT]
    results["skipped"] = [{"step": 3, "why": INERT, "pictures": [INERT]}]
    page = render(document(results, lines_of(folder)))
    assert "<img" not in page
    assert "<script>alert" not in page
    assert "\u202e" not in page
    assert "And 1 more in results.json." in page
    (folder / "hostile.html").write_text(page, encoding="utf-8")


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(("name", "width", "dark"), [
    ("report.html", 1200, False), ("hostile.html", 360, True),
])  # fmt: skip
def test_a_browser_opens_it_without_a_complaint(
    folder: Path, results: dict[str, Any], name: str, width: int, dark: bool
) -> None:
    if name == "hostile.html":
        test_names_are_inert_wherever_they_stand(results, folder)
    with opened(folder / name, width=width, dark=dark) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
        assert not seen.complaints
        assert not seen.requests


def test_a_folder_without_results_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="the results of a training run"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text("[1]")
    with pytest.raises(InputError, match="got other JSON"):
        write_report(tmp_path)
    (tmp_path / "results.json").write_text("{")
    with pytest.raises(InputError, match="came to its end"):
        write_report(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["results.json"]
