import copy

import pytest

from recognition.cli.console import show_lines, show_tables
from recognition.report.evaluation.markdown_page import markdown
from recognition.report.evaluation.summary import headline, summary
from recognition.report.evaluation.tables import largest_groups, notes, tables

RESTS = "FMR 0.001 rests on at most 7 false matches"
NEVER = "FMR 1e-06 cannot be measured with 78000 non-mated comparisons"


def row(key, label, value, low=None, high=None, unit="share", note=None, kind=None, **counts):
    kind = kind if kind is not None else "person bootstrap" if low is not None else ""
    return {"key": key, "label": label, "unit": unit, "value": value, "low": low, "high": high,
            "note": note, "interval": kind, "counts": counts}  # fmt: skip


def section(key, title, *rows, notes=()):
    return {"key": key, "title": title, "rows": list(rows), "notes": list(notes), "curves": {}}


@pytest.fixture
def results():
    return {
        "format": 1,
        "version": "0.3.0",
        "command": "recognition evaluate faces.npz",
        "seconds": 3.1,
        "name": "faces.npz",
        "input": {
            "source": "faces.npz", "pictures": 400, "people": 40, "dimensions": 256,
            "mated": 1800, "nonmated": 78_000, "failures": [], "notes": ["Read once"],
        },
        "sections": [
            section(
                "verification", "Verification",
                row("eer", "EER", 0.01222, 0.0022, 0.0206, people=40, threshold=0.37),
                row("tar@fmr=0.001", "TAR at FMR 0.001", 1741 / 1800, 0.925, 0.9956,
                    accepted=1741, mated=1800, nonmated=78_000, target=0.001),
                row("tar@fmr=1e-06", "TAR at FMR 1e-06", None, note=NEVER,
                    accepted=1000, mated=1800, nonmated=78_000, target=1e-6),
                notes=["Every picture with every other one."],
            ),
            section("thresholds", "Thresholds",
                    row("t", "Threshold at FMR 0.001", 0.47731, unit="score", note=RESTS)),
            section("empty", "Nothing"),
        ],
        "groups": None,
        "comparison": None,
    }  # fmt: skip


def group(name, people, *rates, too_few=False):
    return {"group": name, "people": people, "pictures": 9, "mated": 4, "nonmated": 30,
            "too_few": too_few, "rates": list(rates)}  # fmt: skip


def with_groups(results, rows):
    results["groups"] = {"column": "sex", "rows": rows, "notes": ["Ten people are few"]}
    return results


def compared(key, label, value, other, low, high, verdict, unit="share", note=None):
    gap = None if None in (value, other) else value - other
    return {"key": key, "label": label, "unit": unit, "value": value, "other": other,
            "difference": gap, "low": low, "high": high, "verdict": verdict, "note": note}  # fmt: skip


def with_other(results, *rows, name="other.npz"):
    rows = rows or (compared("eer", "EER", 0.0122, 0.0334, -0.0252, -0.0172, "lower"),)
    results["comparison"] = {"name": name, "people": 40, "rows": list(rows), "notes": []}
    return results


def shown(results, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    show_tables(tables(results))
    return capsys.readouterr().out


def test_a_table_at_the_terminal_is_exactly_this(results, monkeypatch, capsys):
    lines = [line.rstrip() for line in shown(results, monkeypatch, capsys).splitlines()]
    assert lines == [
        "Verification",
        "",
        "                           value  95 % interval         counted",
        " ───────────────────────────────────────────────────────────────",
        " EER                      1.22 %      0.22–2.06       40 people",
        " TAR at FMR 0.001        96.72 %    92.50–99.56  1,741 of 1,800",
        " TAR at FMR 1e-06  not resolved*",
        "",
        " * FMR 1e-06 cannot be measured with 78000 non-mated comparisons.",
        " Intervals: 95 %, person bootstrap.",
        " Every picture with every other one.",
        "",
        "Thresholds",
        "",
        "                             value  95 % interval    counted",
        " ────────────────────────────────────────────────────────────",
        " Threshold at FMR 0.001    0.4773*",
        "",
        " * FMR 0.001 rests on at most 7 false matches.",
        "",
    ]


def test_a_table_explains_its_own_marks_and_says_each_thing_once(results):
    results["sections"][1]["rows"] *= 2
    results["sections"][1]["notes"] = ["Of halves", "Of halves"]
    first, second = tables(results)
    assert first.notes == [
        f"* {NEVER}.",
        "Intervals: 95 %, person bootstrap.",
        "Every picture with every other one.",
    ]
    assert second.notes == [f"* {RESTS}.", "Of halves."]


def test_what_belongs_to_no_table_is_said_at_the_end(results):
    results["sections"][2]["notes"] = ["There was nothing", "Read once"]
    assert notes(results) == ["There was nothing.", "Read once."]


def test_lines_are_cut_between_words_and_a_path_is_not(monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "40")
    show_lines(["word " * 20, "unit-media " * 9, "x" * 60], indent=1)
    lines = capsys.readouterr().out.splitlines()
    assert max(map(len, lines[:-1])) <= 40
    assert all(line.startswith(" ") for line in lines)
    assert "unit-\n" not in "\n".join(lines)
    assert lines[-1] == " " + "x" * 60
    monkeypatch.setenv("COLUMNS", "300")
    show_lines(["word " * 60])
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 100


def test_many_notes_are_numbered(results):
    results["sections"][1]["rows"] = [
        row(f"r{n}", f"row {n}", 0.5, note=f"note {n}") for n in range(6)
    ]
    first, second = tables(results)
    assert first.rows[2][1] == ("not resolved*", "")
    assert second.rows[-1][1] == ("50.0 % [6]", "")
    assert "[6] note 5." in second.notes


def test_kinds_of_intervals_are_told_apart_and_no_width_is_no_certainty(results):
    rows = results["sections"][1]["rows"]
    rows += [row(key, key, 0.1, 0.05, 0.2, kind="Wilson") for key in ("FTE", "Cllr, best")]
    assert tables(results)[1].notes[1:] == ["Intervals: 95 %, Wilson."]
    rows += [row(f"rank {n}", f"rank {n}", 1.0, 1.0, 1.0) for n in range(3)]
    assert tables(results)[1].notes[1:] == [
        "Intervals: 95 %, person bootstrap.",
        "Intervals of FTE; Cllr, best: 95 %, Wilson.",
        "An interval without width: no resample differed, which is no certainty.",
    ]


@pytest.mark.parametrize(
    ("entry", "counted"),
    [
        (row("r", "r", 0.25, missed=5, mated=20), "5 of 20"),
        (row("r", "r", 0.75, missed=5, mated=20), "15 of 20"),
        (row("r", "r", 0.3, missed=5, mated=20, people=7), "7 people"),
        (row("r", "r", 0.25, unit="number", missed=5, mated=20), ""),
        (row("r", "r", 0.0, errors=0, trials=9), "0 of 9"),
        (row("r", "r", 1e-6, errors=10**6, trials=10**12), "1,000,000\nof 1,000,000,000,000"),
        (row("r", "r", None, missed=5, mated=20, people=7), ""),
    ],
)
def test_what_is_counted_is_what_the_value_says(results, entry, counted):
    results["sections"][1]["rows"] = [entry]
    assert tables(results)[1].rows[0][3] == (counted, "")


def test_infinite_thresholds_come_as_text(results):
    results["sections"][1]["rows"] = [row("t", "t", "-inf", unit="score")]
    assert tables(results)[1].rows[0][1] == ("minus infinite", "")


def test_a_group_is_a_row_with_its_rates_and_too_few_people_are_named(results):
    rates = (row("fmr", "FMR", 0.001, 0.0005, 0.002), row("fnmr", "FNMR", None, note=NEVER))
    with_groups(results, [group("f", 12, *rates), group("m", 3, rates[0], too_few=True)])
    table = tables(results)[-1]
    assert table.title == "Groups by sex, at one threshold for all"
    assert list(table.headings) == ["sex", "size", "FMR", "FNMR"]
    size = ("12 people", "9 pictures")
    assert table.rows[0] == [("f", ""), size, ("0.100 %", "0.050–0.200"), ("not resolved*", "")]
    assert table.rows[1][0] == ("m", "too few")
    assert table.rows[1][3] == ("", "")
    assert table.notes[-1] == "Ten people are few."


def test_of_a_thousand_groups_the_largest_are_shown_in_their_order(results):
    rows = [group(str(n), n % 100, row("fmr", "FMR", 0.1, note=f"{n}")) for n in range(1000)]
    found = largest_groups(with_groups(results, rows)["groups"])
    assert len(found) == 30
    assert min(each["people"] for each in found) == 97
    assert [int(each["group"]) for each in found] == sorted(int(each["group"]) for each in found)
    text = (
        "The 30 groups with the most people are shown, of 1,000; all of them are in results.json."
    )
    told = tables(results)[-1].notes
    assert text in told
    assert len(told) < 45


def test_a_comparison_shows_both_values_the_difference_and_the_verdict(results):
    with_other(
        results,
        compared("eer", "EER", 0.0122, 0.0334, -0.0252, -0.0172, "lower"),
        compared("tar", "TAR", 0.98, 0.97, -0.002, 0.03, "not told apart"),
        compared("far", "FAR", None, 0.97, None, None, None, note=NEVER),
        compared("cllr", "Cllr", 0.05, 0.06, None, None, None, unit="bits"),
    )
    table = tables(results)[-1]
    assert list(table.headings) == ["", "faces.npz", "other.npz", "difference", "verdict"]
    assert [row[1:] for row in table.rows] == [
        [("1.22 %", ""), ("3.34 %", ""), ("-2.12", "-2.52 to -1.72"), ("lower", "")],
        [("98.00 %", ""), ("97.00 %", ""), ("+1.00", "-0.20 to +3.00"), ("not told apart", "")],
        [("not resolved", ""), ("97.0 %", ""), ("not resolved*", ""), ("", "")],
        [("0.0500 bits", ""), ("0.0600 bits", ""), ("-0.0100", ""), ("", "")],
    ]
    assert any("percentage points" in line for line in table.notes)
    assert summary(results)[-1].endswith(
        "faces.npz is lower than that of other.npz on the same people."
    )


def test_models_whose_short_names_agree_are_first_and_second(results):
    results["name"] = "embeddings-a-of-faces.npz"
    with_other(results, name="embeddings-b-of-faces.npz")
    assert list(tables(results)[-1].headings[1:3]) == ["first", "second"]
    line = "first: embeddings-a-of-faces.npz; second: embeddings-b-of-faces.npz."
    assert line in tables(results)[-1].notes


def test_the_summary_says_how_many_get_in_how_sure_and_what_is_missing(results):
    assert summary(results) == [
        (
            "Of 100 pairs that show one person, about 97 are accepted (1,741 of 1,800) if at most one "
            "in 1,000 pairs that show two people may be accepted by mistake."
        ),
        "With 40 other people it can be 92.50 to 99.56 of 100 (95 % interval).",
        (
            "Not resolved: TAR at FMR 1e-06. FMR 1e-06 takes 1,000,000 pairs of two people to be seen "
            "at all and 30,000,000 to be trusted; here are 78,000, and some 780 people with as many "
            "pictures each would do."
        ),
    ]


def test_people_are_asked_for_only_where_all_pictures_are_compared(results):
    results["input"]["nonmated"] = 77_999
    assert "would do" not in summary(results)[2]
    results["input"].update(nonmated=78_000, people=None, pictures=None)
    assert "would do" not in summary(results)[2]
    assert summary(results)[1].startswith("With other comparisons it can be")


@pytest.mark.parametrize(
    ("value", "said"),
    [(1.0, "all"), (0.9999, "more than 99"), (0.994, "about 99"), (0.001, "fewer than 1"),
     (0.0, "none")],
)  # fmt: skip
def test_nearly_all_is_not_all_and_hardly_any_is_not_none(results, value, said):
    results["sections"][0]["rows"][1] = row("tar@fmr=0.001", "TAR", value, value, value, note=RESTS)
    first, second = summary(results)[:2]
    assert f"one person, {said} are accepted if at most" in first
    assert second == (
        "No resample gave anything else, which is no certainty for 40 other people. "
        f"Careful: {RESTS}."
    )


def test_without_the_usual_rate_the_nearest_that_is_measured_is_told(results):
    rows = results["sections"][0]["rows"]
    rows[1] = row("tar@fmr=0.1", "TAR at FMR 0.1", 0.5)
    rows.append(row("tar@fmr=0.01", "TAR at FMR 0.01", 0.25))
    assert "about 25 are accepted if at most one in 100 pairs" in summary(results)[0]
    assert summary(results)[1] == "How it would be with 40 other people is not known."
    results["sections"][0]["rows"] = rows[:1]
    assert summary(results) == []


def test_failures_are_counted_in_the_summary_and_listed_on_the_page(results):
    assert "Failures" not in markdown(results)
    reason = "no face <b>"
    results["input"]["failures"] = [
        {"id": f"a|{n}", "label": "x\ny", "reason": reason} for n in range(23)
    ]
    assert summary(results)[-1] == "23 pictures could not be used, the first: a|0, no face <b>."
    page = markdown(results)
    assert "## Failures: 23" in page
    assert page.count("no face &lt;b&gt; |") == 20
    assert "| a\\|19 | x y | no face &lt;b&gt; |" in page
    assert "And 3 more in results.json." in page


def test_a_page_is_exactly_this(results):
    results["sections"] = results["sections"][:1]
    assert markdown(results) == "\n\n".join([
        "# faces.npz on strangers",
        ("faces.npz: 400 pictures, 40 people, 256 dimensions, 1,800 mated comparisons, "
        "78,000 non-mated comparisons."),
        *summary(results),
        "## Verification",
        ("|  | value | 95 % interval | counted |\n"
        "|---|---:|---:|---:|\n"
        "| EER | 1.22 % | 0.22–2.06 | 40 people |\n"
        "| TAR at FMR 0.001 | 96.72 % | 92.50–99.56 | 1,741 of 1,800 |\n"
        "| TAR at FMR 1e-06 | not resolved\\* |  |  |"),
        (f"- \\* {NEVER}.\n"
        "- Intervals: 95 %, person bootstrap.\n"
        "- Every picture with every other one."),
        "## Notes",
        "- Read once.",
        "`recognition evaluate faces.npz` took 3.1 s (version 0.3.0).",
    ]) + "\n"  # fmt: skip


def test_names_from_files_break_no_page(results):
    bad = "a|b`c\x1b[31m\n<script>*"
    results["name"] = results["command"] = results["input"]["source"] = bad
    with_other(with_groups(results, [group(bad, 3, row("fmr", "FMR", 0.1))]), name=bad)
    results["groups"]["column"] = bad
    page = markdown(results)
    assert "\x1b" not in page
    assert "<script>" not in page.replace("`` a|b`c\\x1b[31m\\x0a<script>* ``", "")
    tables_ = [part.splitlines() for part in page.split("\n\n") if part.startswith("|")]
    assert len(tables_) == 4
    for lines in tables_:
        assert len({line.replace("\\|", "").count("|") for line in lines}) == 1


def with_list(results, entries, total):
    results["sections"][2]["lists"] = [
        {"key": "none", "title": "Nothing?", "headings": ["picture"], "rows": [], "total": 0},
        {"key": "mislabelled", "title": "Mislabelled?", "rows": entries, "total": total,
         "headings": ["picture", "labelled", "rather", "votes", "own", "score"]},
    ]  # fmt: skip
    return results


def test_a_list_shows_its_first_entries_and_says_how_many_there_are(results):
    entry = ["7.jpg", "ann", "bob", "3 of 4", 0.25, 0.8125]
    few = tables(with_list(results, [entry] * 2, 2))
    assert [table.title for table in few] == ["Verification", "Thresholds", "Mislabelled?"]
    assert [cell for cell, _ in few[-1].rows[0]] == [
        "7.jpg",
        "ann",
        "bob",
        "3 of 4",
        "0.250",
        "0.812",
    ]
    many = tables(with_list(results, [entry] * 9, 2000))[-1]
    assert len(many.rows) == 5
    assert many.title == "Mislabelled? The first 5 of 2,000; see results.json"


def test_a_list_of_long_and_hostile_names_fits_and_breaks_no_page(results, monkeypatch, capsys):
    bad = "a|b\x1b[31m\n<script>" * 20
    with_list(results, [[bad, bad, bad, "10 of 10", None, -0.123456]], 1)
    text = shown(results, monkeypatch, capsys)
    assert max(map(len, text.splitlines())) <= 80
    assert "-0.123" in text
    assert text.count("…") == 3
    page = markdown(results)
    assert "\x1b" not in page
    assert "<script>" not in page


def test_scores_without_people_have_a_headline_too(results):
    results["input"].update(pictures=None, people=None, dimensions=None)
    assert headline(results) == (
        "faces.npz: 1,800 mated comparisons, 78,000 non-mated comparisons."
    )


def test_reading_results_changes_nothing(results):
    before = copy.deepcopy(with_other(results))
    markdown(results)
    assert results == before


def test_the_widest_tables_fit_80_columns_with_nothing_cut(results, monkeypatch, capsys):
    near = 1 - 2e-8
    results["sections"][1]["rows"] = [
        row("a", "A label of several words that does not fit", near, 0.5, near, note=f"n{n}",
            accepted=10**12 - 20_000, mated=10**12)
        for n in range(12)
    ]  # fmt: skip
    wide = row("fmr", "FMR", near, 0.99999, near, note="n1")
    with_groups(results, [group("w" * 300, 10**7, wide, {**wide, "label": "FNMR"}, too_few=True)])
    with_other(
        results,
        compared("a", "A label of words", near, 0.5, 0.49999, 0.50001, "not told apart"),
        name="z" * 60,
    )
    text = shown(results, monkeypatch, capsys)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("99.999998 % [12]", "not resolved*", "wwwwwwwww…wwwwwwww", "too few",
                 "zzzzzzz…zzzzzz", "not told apart", "of 1,000,000,000,000", "+49.99"):  # fmt: skip
        assert part in text
    assert text.count("…") == 3  # the group, and the other model in heading and note
