"""Whoever reads a report: by eye in light and dark, by keyboard, zoomed, on paper."""

import re
from collections.abc import Iterator
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from browser import Seen, needs_chromium, opened
from typer.testing import CliRunner

from recognition.cli import app

ENOUGH = 4.5  # of text, WCAG 2.2, 1.4.3
ENOUGH_OF_DRAWINGS = 3.0  # 1.4.11
STYLE = (files("recognition.report.html") / "templates" / "report.css").read_text()
TEXTS = ("--ink", "--quiet", "--accent")
GROUNDS = ("--paper", "--raised", "--doubt")


def schemes() -> dict[str, dict[str, str]]:
    """The colours of the page by their names, in light and in dark."""
    light, dark, *_ = re.findall(r":root \{(.*?)\}", STYLE, re.DOTALL)
    found = [dict(re.findall(r"(--[a-z]+): (#[0-9a-f]{3,6})", each)) for each in (light, dark)]
    return {"light": found[0], "dark": found[1]}


def luminance(colour: str) -> float:
    """Relative luminance, WCAG 2."""
    parts = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    linear = np.where(parts <= 0.04045, parts / 12.92, ((parts + 0.055) / 1.055) ** 2.4)
    return float(linear @ [0.2126, 0.7152, 0.0722])


def contrast(one: str, other: str) -> float:
    """From 1 to 21, WCAG 2."""
    darker, lighter = sorted(map(luminance, (one, other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast_is_that_of_wcag() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", schemes())
def test_every_text_can_be_read_on_every_ground(scheme: str) -> None:
    colours = schemes()[scheme]
    for text in TEXTS:
        for ground in GROUNDS:
            assert contrast(colours[text], colours[ground]) >= ENOUGH, (text, ground)


@pytest.mark.parametrize("place", [0, 1], ids=["light", "dark"])
def test_every_line_and_point_is_seen_on_paper(place: int) -> None:
    colours = list(schemes().values())[place]
    drawn = [pair[place] for pair in re.findall(r"light-dark\((#\w{6}), (#\w{6})\)", STYLE)]
    assert len(drawn) >= 20
    drawn += [colours[name] for name in ("--mated", "--nonmated", "--violet", "--ochre")]
    for colour in drawn:
        assert contrast(colour, colours["--paper"]) >= ENOUGH_OF_DRAWINGS, colour


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("reading")
    draw = np.random.default_rng(0)
    rows = np.repeat(draw.normal(size=(8, 12)), 4, axis=0) + 0.8 * draw.normal(size=(32, 12))
    np.savez(root / "faces.npz", embeddings=rows, labels=np.repeat([*"abcdefgh"], 4))
    given = ["evaluate", root / "faces.npz", "--out", root / "run", "--resamples", 20]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("recognition.cli.evaluation.save_curves", lambda *_: [])
        result = CliRunner().invoke(app, [*map(str, given)])
    assert result.exit_code == 0, result.output
    return root / "run" / "report.html"


@pytest.fixture(scope="module")
def seen(page: Path) -> Iterator[Seen]:
    """Dark, and as narrow as 1280 pixels are at 200 %."""
    with opened(page, width=640, dark=True, reduced_motion="reduce") as found:
        yield found


def test_headings_go_down_one_step_at_a_time_and_tables_have_scopes(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    levels = [int(level) for level in re.findall(r"<h([1-6])", text)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert max(np.diff(levels)) <= 1
    assert len(re.findall(r"<th ", text)) == len(re.findall(r'<th scope="(?:row|col)"', text))
    assert "<th>" not in text
    assert text.count("<caption") == text.count("<table>")
    for landmark in ("<header>", "<main>", "<nav aria-label=", "<footer"):
        assert text.count(landmark) == 1


@needs_chromium
@pytest.mark.slow
def test_zoomed_to_double_nothing_runs_over_and_nothing_moves_by_itself(seen: Seen) -> None:
    assert seen.page.evaluate("document.documentElement.scrollWidth") == 640
    assert seen.page.evaluate("getComputedStyle(document.documentElement).scrollBehavior") == "auto"


@needs_chromium
@pytest.mark.slow
def test_the_keyboard_alone_reaches_the_answer_and_moves_the_threshold(seen: Seen) -> None:
    page = seen.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    assert page.evaluate("document.activeElement.getBoundingClientRect().left") >= 0
    for _ in range(40):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.type") == "range":
            break
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    assert page.evaluate(outline) == "solid"
    moved, shown = [], "document.querySelector('output').textContent"
    for key in ("Home", "ArrowRight", "ArrowLeft", "End"):
        page.keyboard.press(key)
        moved.append(float(page.evaluate(shown)))
    assert moved[0] == moved[2] < moved[1] < moved[3]
    assert not seen.complaints


@needs_chromium
@pytest.mark.slow
def test_on_paper_a_dark_page_is_light_and_everything_is_unfolded(seen: Seen) -> None:
    page = seen.page
    page.emulate_media(media="print", color_scheme="dark")
    style = "getComputedStyle(document.body)"
    red, green, blue = map(int, re.findall(r"\d+", page.evaluate(f"{style}.backgroundColor"))[:3])
    assert min(red, green, blue) > 240
    ink = map(int, re.findall(r"\d+", page.evaluate(f"{style}.color"))[:3])
    assert max(ink) < 60
    assert page.pdf().startswith(b"%PDF")
    assert page.evaluate("[...document.querySelectorAll('details')].every((each) => each.open)")
    page.emulate_media(media="screen")
