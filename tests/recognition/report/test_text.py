import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.report.text import as_code, in_figure, in_markdown, legible, shortened

ANYTHING = st.text(st.characters(), max_size=40)


@given(text=ANYTHING)
def test_legible_text_is_one_line_that_utf_8_takes_and_no_terminal_obeys(text):
    shown = legible(text)
    shown.encode()
    assert shown.splitlines() in ([], [shown])
    assert not re.search(r"[\x00-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown)


@pytest.mark.parametrize("name", ["Ann-Marie O'Neil", "山田　太郎", "Łucja", "👩‍🚀", ""])
def test_names_of_people_stay_as_they_are(name):
    assert legible(name) == name


def test_what_cannot_be_seen_is_spelled_out():
    assert legible("a\x1b[0m\n\u202eb\udcff") == r"a\x1b[0m\x0a\u202eb\udcff"


@given(text=ANYTHING, most=st.integers(5, 30))
def test_shortened_text_keeps_both_ends_and_the_limit(text, most):
    whole, short = legible(text), shortened(text, most)
    assert len(short) <= most
    if len(whole) > most:
        first, last = short.split("…")[0], short.split("…")[-1]
        assert whole.startswith(first)
        assert whole.endswith(last)
        assert len(short) == most
    else:
        assert short == whole


@given(text=ANYTHING)
def test_a_markdown_cell_has_no_bar_tag_or_emphasis_of_its_own(text):
    cell = in_markdown(text)
    assert not re.search(r"(?<!\\)(\\\\)*[|*_`\[\]~$]", cell)
    assert not re.search(r"[<>\n\r]", cell)


def test_markdown_escapes_are_the_usual_ones():
    assert in_markdown("a|b_c\n<i>&") == r"a\|b\_c &lt;i&gt;&amp;"


@pytest.mark.parametrize(
    ("text", "code"), [("a", "`a`"), ("a`b", "`` a`b ``"), ("``", "``` `` ```"), ("\n", r"`\x0a`")]
)
def test_code_is_fenced_by_more_ticks_than_it_holds(text, code):
    assert as_code(text) == code


def test_dollars_are_no_formulas_in_a_figure():
    assert in_figure("$x$", 20) == r"\$x\$"
