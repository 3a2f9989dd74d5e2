import re
from html.parser import HTMLParser

import pytest
from browser import needs_chromium, opened
from markupsafe import Markup
from matplotlib.figure import Figure

from recognition.errors import InputError
from recognition.report.html.document import Document, Drawing, Pair, Pairs, Part
from recognition.report.html.embedding_map import map_drawing
from recognition.report.html.render import LONGEST_NUMBER, MOST_BYTES, doubt, prose, render
from recognition.report.html.svg import svg_of
from recognition.report.html.threshold import Operating, threshold_slider, what_it_means
from recognition.report.table import Table

HOSTILE = [
    "<script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "</script><script>alert(1)</script>",
    "{{ 7 * 7 }}",
    "javascript:alert(1)",
    "\u202egnp.exe",
    "a\x00b\x1b[31m",
    "\ud800",
    "x" * 5_000,
]
THRESHOLDS = [0.0, 0.25, 0.5, 0.75]
VERIFICATION = {
    "threshold": THRESHOLDS,
    "fmr": [1.0, 0.5, 0.01, 0.0],
    "fmr_low": [0.9, 0.4, 0.005, 0.0],
    "fmr_high": [1.0, 0.6, 0.02, 0.003],
    "fnmr": [0.0, 0.1, 0.2, 1.0],
    "fnmr_low": [0.0, 0.05, 0.1, 0.9],
    "fnmr_high": [0.01, 0.15, 0.3, 1.0],
}
IDENTIFICATION = {
    "threshold": THRESHOLDS,
    **{key.replace("fmr", "fpir").replace("fnmr", "fnir"): rate
       for key, rate in VERIFICATION.items() if key != "threshold" and "fnmr" not in key},
    **{key.replace("fnmr", "fnir"): rate for key, rate in VERIFICATION.items() if "fnmr" in key},
    "enrolled": 300,
}  # fmt: skip
HISTOGRAM = {"bins": [-1.0, 0.0, 0.5, 1.0], "mated": [0, 2, 8], "nonmated": [50, 49, 1]}
OPERATING = Operating(HISTOGRAM, VERIFICATION, IDENTIFICATION)


def drawn(key="curve"):
    figure = Figure()
    panel = figure.subplots()
    panel.plot([0, 1], [1, 0], "o-", label="a & b <i>")
    panel.legend()
    return svg_of(figure, key)


def document(names=("ann", "bob"), **changes):
    names = [*names, "ann", "bob"]
    found = {
        "method": "pca", "explained": [0.5, 0.2], "shown": len(names), "of": len(names),
        "x": list(range(len(names))), "y": [0.0] * len(names), "person": names, "picture": names,
    }  # fmt: skip
    table = Table(
        names[0], [names[1], "value"], [[(name, ""), ("1.0", "0–2")] for name in names], names
    )
    pairs = [Pair((one, other), (other, one), "0.5") for one in names for other in names[:1]]
    parts = [
        Part("scores", names[0], names, [threshold_slider("threshold", OPERATING, 0.5)], names),
        Part("rest", "The rest", [], [
            table, Drawing("curve", names[0], drawn(), names[0], table), Pairs(names[0], names[0], pairs),
            map_drawing("map", found),
        ]),
    ]  # fmt: skip
    whole = {
        "title": names[0], "lead": names[0], "verdict": names, "parts": parts, "limits": names,
        "command": names[0], "facts": [(name, name) for name in names],
    }  # fmt: skip
    return Document(**{**whole, **changes})


class Reader(HTMLParser):
    """The tags of a page with their attributes, and its text."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.text = [], []
        self.feed(page)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_data(self, text):
        self.text.append(text)


def test_what_people_are_called_is_text_wherever_it_stands():
    read, plain = Reader(render(document(HOSTILE))), Reader(render(document()))
    assert sum(tag == "script" for tag, _ in read.tags) == 2
    assert not [tag for tag, _ in read.tags if tag in ("img", "i", "iframe", "link", "object")]
    for _, attributes in read.tags:
        assert not [name for name in attributes if name.startswith("on") or name == "style"]
        assert not attributes.get("href", "#").startswith("javascript")
    assert {tag for tag, _ in read.tags} == {tag for tag, _ in plain.tags}
    text = "".join(read.text)
    assert "<script>alert(1)</script>" in text
    assert "{{ 7 * 7 }}" in text
    assert not set("\x00\x1b\u202e") & set(text)


def test_the_policy_lets_nothing_in_but_the_page_s_own_style_and_script():
    page = render(document())
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', page)[1].replace("&#39;", "'")
    assert policy.startswith("default-src 'none'; style-src 'sha256-")
    assert "unsafe" not in policy
    assert not re.search(r'(src|href)="(?!#|data:)', page)
    assert "://" not in re.sub(r'"http://www.w3.org/2000/svg"', "", page)


def test_a_page_is_the_same_for_the_same_results():
    assert render(document()) == render(document())


def test_names_of_elements_are_unique_and_labels_have_what_they_name():
    tags = Reader(render(document())).tags
    ids = [attributes["id"] for _, attributes in tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    wanted = [attributes[key] for _, attributes in tags for key in ("for", "aria-labelledby")
              if key in attributes]  # fmt: skip
    wanted += [attributes["href"][1:] for tag, attributes in tags if tag == "a"]
    assert set(wanted) <= set(ids)


def test_every_drawing_has_its_sentence_and_its_table():
    page = render(document())
    figures = re.findall(r"<figure.*?</figure>", page, re.DOTALL)
    assert len(figures) == 3
    for figure in figures:
        assert re.search(r'role="img" aria-label="[^"]{10,}"|aria-label="ann. ann"', figure)
        assert "<figcaption>" in figure
        assert re.search(r"<details>.*<table>.*<th scope=.col.>", figure, re.DOTALL)


def test_a_page_that_is_too_large_is_refused_with_the_way_out():
    pictures = {"ann": b"\0" * MOST_BYTES}
    with pytest.raises(InputError, match=r"4\.\d MB.*--include-images"):
        render(document(thumbnails=pictures))


def test_pictures_are_shown_where_there_are_some():
    page = render(document(thumbnails={"ann": b"jpeg"}))
    assert '<img src="data:image/jpeg;base64,anBlZw==" alt=""' in page
    assert "<img" not in render(document())


@pytest.mark.parametrize(
    ("value", "shown"),
    [("1.0 %", ""), ("1.0 %*", "doubtful"), ("1.0 [12]", "doubtful"), ("not resolved†", "unknown")],
)
def test_a_cell_is_greyed_where_the_data_cannot_tell(value, shown):
    assert doubt((value, "")) == shown


def test_a_text_takes_as_many_lines_as_it_needs_and_a_number_one():
    assert prose(("x" * LONGEST_NUMBER, "")) == ""
    assert prose(("x" * (LONGEST_NUMBER + 1), "")) == "prose"


def test_a_drawing_has_no_style_no_name_but_its_own_and_keeps_its_text():
    svg = drawn("left")
    assert isinstance(svg, Markup)
    assert "style" not in svg
    assert "font-family" not in svg
    assert set(re.findall(r'id="([^"]*)"', svg)) == set(re.findall(r"#(left-\w+)", svg))
    assert "a &amp; b &lt;i&gt;" in svg
    assert "matplotlib" not in svg


def test_a_threshold_in_words():
    first, *others = what_it_means(OPERATING, 2)
    assert first == (
        "At threshold 0.5000 and 300 enrolled people, about 10 of 1,000 strangers would be given "
        "a name (95 %: 5 to 20)."
    )
    assert others[-1] == (
        "About 200 of 1,000 pairs of one person would be taken for two people (95 %: 100 to 300)."
    )
    none, *_ = what_it_means(Operating(HISTOGRAM, VERIFICATION), 3)
    assert none == (
        "At threshold 0.7500, none of 1,000 pairs of two people would be taken for one person "
        "(95 %: 0 to 3)."
    )


def test_a_threshold_of_searches_alone_has_their_rates_alone():
    searched = {key: rate for key, rate in IDENTIFICATION.items() if "fnir" not in key}
    found = threshold_slider("t", Operating(HISTOGRAM, None, searched), 0.5)
    assert found.headings == ["FPIR: strangers given a name"]
    assert "strangers</text>" in found.drawing.svg
    assert "two people</text>" not in found.drawing.svg
    assert [len(stop.cells) for stop in found.stops] == [1] * len(THRESHOLDS)
    with pytest.raises(InputError, match="of pairs or of searches"):
        threshold_slider("t", Operating(HISTOGRAM, None), 0.5)


def test_the_slider_starts_at_the_nearest_threshold_and_its_line_lies_on_the_axis():
    slider = threshold_slider("t", OPERATING, 0.6)
    assert slider.start == 2
    assert slider.stops[2].cells[0] == "1.00 % (0.50–2.00)"
    places = [stop.place for stop in slider.stops]
    assert places == sorted(places)
    assert slider.top < slider.bottom


@needs_chromium
@pytest.mark.slow
def test_a_browser_shows_it_moves_the_threshold_and_complains_of_nothing(tmp_path):
    path = tmp_path / "report.html"
    path.write_text(render(document(HOSTILE)), encoding="utf-8")
    with opened(path, width=390, dark=True) as seen:
        page = seen.page
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(22, 26, 25)"
        line = page.locator("line.threshold")
        before = line.get_attribute("x1")
        page.locator("input[type=range]").press("ArrowRight")
        assert page.locator("output").inner_text() == "0.7500"
        assert line.get_attribute("x1") != before
        assert (
            page.locator(".means li").first.inner_text().startswith("At threshold 0.7500 and 300")
        )
        assert page.locator(".rates dd").first.inner_text() == "0.000 % (0.000–0.300)"
        page.locator("svg.map circle").first.hover()
        assert page.locator("svg.map .lit").count() == 1
        assert not seen.complaints
        assert not seen.requests
