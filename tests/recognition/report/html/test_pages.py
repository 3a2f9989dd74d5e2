"""The pages that commands write, as a browser shows them."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from browser import needs_chromium, opened
from markupsafe import escape
from PIL import Image
from typer.testing import CliRunner

from recognition.cli import app
from recognition.datasets.drawn import draw_faces
from recognition.report.html.compared import document as compared
from recognition.report.html.evaluated import document as evaluated
from recognition.report.html.render import render

INERT = '"><img src=x onerror=alert(1)><script>alert(1)</script>'
PAGES = {"evaluate": evaluated, "compare": compared}


def run(*arguments: object) -> None:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output


@pytest.fixture(scope="module")
def evaluate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight people of five pictures, one of whom has a name that would like to be run."""
    root = tmp_path_factory.mktemp("evaluate")
    draw = np.random.default_rng(0)
    centres = draw.normal(size=(8, 16))
    labels = np.repeat([*"abcdefg", INERT], 5)
    embeddings = np.repeat(centres, 5, axis=0) + 0.8 * draw.normal(size=(40, 16))
    ids = np.array([f"{label}/{at}.png" for at, label in enumerate(labels)])
    np.savez(root / "faces.npz", embeddings=embeddings, labels=labels, ids=ids, sex=labels)
    run("evaluate", root / "faces.npz", "--resamples", 50, "--out", root / "run", "--group", "sex")
    return root / "run"


@pytest.fixture(scope="module")
def compare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("compare")
    drawn = draw_faces(8, 4, size=32)
    for image, label, name in zip(drawn.images, drawn.labels, drawn.ids, strict=True):
        (root / "people" / label).mkdir(exist_ok=True, parents=True)
        Image.fromarray(image).save(root / "people" / f"{name}.png")
    run("compare", root / "people", "--steps", 2, "--batch-size", 8, "--out", root / "run",
        "--head", "normface", "--head", "arcface", "--seeds", 2)  # fmt: skip
    return root / "run"


@pytest.fixture(params=PAGES)
def folder(request: pytest.FixtureRequest) -> Path:
    path: Path = request.getfixturevalue(request.param)
    return path


def results(folder: Path) -> dict:
    found: dict = json.loads((folder / "results.json").read_text(encoding="utf-8"))
    return found


@pytest.mark.parametrize("name", PAGES)
def test_a_page_is_made_again_from_what_results_json_holds(
    name: str, request: pytest.FixtureRequest
) -> None:
    folder = request.getfixturevalue(name)
    page = (folder / "report.html").read_text(encoding="utf-8")
    assert page == render(PAGES[name](results(folder)))
    ids = re.findall(r' id="([^"]*)"', page)
    assert len(ids) == len(set(ids))
    assert len(page) < 1_000_000


def test_every_row_of_the_results_is_on_the_page(evaluate: Path) -> None:
    page = (evaluate / "report.html").read_text(encoding="utf-8")
    for section in results(evaluate)["sections"]:
        for row in section["rows"]:
            assert str(escape(row["label"])) in page


@needs_chromium
@pytest.mark.slow
@pytest.mark.parametrize(("width", "dark"), [(360, True), (1200, False)])
def test_a_browser_opens_it_without_a_complaint(folder: Path, width: int, dark: bool) -> None:
    with opened(folder / "report.html", width=width, dark=dark) as seen:
        assert seen.page.evaluate("document.documentElement.scrollWidth") == width
        assert seen.page.locator("main section h2").count() >= 5
        assert not seen.complaints
        assert not seen.requests


@needs_chromium
@pytest.mark.slow
def test_the_slider_s_numbers_are_those_of_the_results(folder: Path) -> None:
    found = results(folder)
    if "heads" in found:
        best = min(found["heads"], key=lambda head: head["estimates"]["eer"]["value"])
        curves = best["runs"][0]["operating"]
    else:
        curves = {
            section["key"]: section["curves"]["operating"]
            for section in found["sections"]
            if "operating" in section["curves"]
        }
    grid = curves["verification"]["threshold"]
    searched = curves["identification"]["threshold"]
    with opened(folder / "report.html") as seen:
        slider = seen.page.locator("input[type=range]")
        for at in (0, len(grid) // 2, len(grid) - 1):
            slider.fill(str(at))
            near = int(np.argmin(np.abs(np.asarray(searched) - grid[at])))
            wanted = [curves["verification"][name][at] for name in ("fmr", "fnmr")]
            wanted += [curves["identification"][name][near] for name in ("fpir", "fnir")]
            shown = [float(text.split(" %")[0].lstrip("> ")) for text in
                     seen.page.locator(".rates dd").all_inner_texts()]  # fmt: skip
            assert shown == pytest.approx([100 * rate for rate in wanted], abs=0.06)
            assert float(seen.page.locator("output").inner_text()) == pytest.approx(
                grid[at], abs=1e-4
            )
        assert not seen.complaints


@pytest.mark.parametrize(("low", "high", "first"), [
    (-0.02, 0.01, "No head is better than normface"),
    (-0.02, -0.01, "arcface has the lowest"),
])  # fmt: skip
def test_that_no_head_is_better_is_said_first(
    compare: Path, low: float, high: float, first: str
) -> None:
    found = results(compare)
    found["differences"]["heads"] = {"arcface": {"value": -0.015, "low": low, "high": high}}
    for head in found["heads"]:
        head["estimates"]["eer"]["value"] = 0.1 if head["name"] == "arcface" else 0.115
    assert compared(found).verdict[0].startswith(first)
    found["heads"][1]["name"] = "arcface:m=0.4"
    found["differences"]["heads"] = {"arcface:m=0.4": {"value": -0.015, "low": low, "high": high}}
    assert not any("m=0.4" in sentence for sentence in compared(found).verdict)
