import copy

import pytest

from recognition.cli.console import show_tables
from recognition.report.comparison.tables import markdown, notes, tables, verdict

KEYS = ("eer", "tar@fmr=0.1", "tar@fmr=0.01", "tar@fmr=0.001", "auc", "rank1", "fnir@fpir=0.1")
KEYS += ("fnir@fpir=0.01", "w-ec", "w-inter", "intra", "inter", "learn-intra", "learn-inter")
SPREAD = ("silhouette", "trace-ratio", "nc1", "alignment", "uniformity", "effective-rank")
KEYS += SPREAD
DEGREES = ("w-ec", "w-inter", "intra", "inter", "learn-intra", "learn-inter")
LSOFTMAX = "lsoftmax:m=2+annealed:base=100,power=1.5,minimum=1"


def estimate(value, low=None, high=None, spread=None, note=None):
    return {"value": value, "low": low, "high": high, "spread": spread, "note": note}


def head(name, setting, eer=0.05, **estimates):
    plain = {
        key: estimate(40.0, 30.0, 50.0) if key in DEGREES else estimate(0.9, 0.8, 0.95)
        for key in KEYS
    }
    plain["uniformity"] = estimate(-2.5, -2.625, -2.25)
    plain["nc1"] = estimate(3.25)
    plain["eer"] = estimate(eer, eer - 0.01, eer + 0.02)
    return {"name": name, "settings": [setting], "estimates": plain | estimates}


def gap(value, low, high):
    return {"value": value, "low": low, "high": high}


@pytest.fixture
def results():
    side = {"people": 3, "pictures": 12, "size": [64, 64], "sha256": ""}
    return {
        "command": "recognition compare --quick",
        "seconds": 61.6,
        "seeds": [0],
        "resamples": 200,
        "options_chosen": "found on the drawn faces",
        "data": [
            {
                "source": "drawn faces",
                "learn": {**side, "people": 60, "pictures": 600},
                "test": {**side, "people": 30, "pictures": 300},
                "skipped": [],
                "notes": [],
            }
        ],
        "heads": [
            head("softmax", "softmax:s=1", 0.08),
            head("normface", "normface:s=8", 0.06),
            head("lsoftmax", LSOFTMAX, 0.05),
        ],
        "differences": {
            "metric": "eer",
            "baseline": "normface",
            "heads": {"softmax": gap(0.02, 0.01, 0.03), "lsoftmax": gap(-0.01, -0.02, -0.001)},
        },
    }


def rows_of(page, title):
    """The rows of one Markdown table, cell by cell."""
    lines = page.split(f"## {title}")[1].split("##")[0].splitlines()
    lines = [line for line in lines if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]


TITLES = ("Verification", "Open-set identification", "Angles in degrees", "Separability")


@pytest.mark.parametrize("title", TITLES)
def test_markdown_has_one_row_a_head_in_order_and_as_many_cells_as_headings(results, title):
    page = markdown(results)
    rows = rows_of(page, title)
    assert [row[0].split()[0] for row in rows] == ["softmax", "normface", "lsoftmax"]
    part = page.split(f"## {title}")[1].splitlines()
    headings, rule = [line.count("|") for line in part if line.startswith("|")][:2]
    assert headings == rule == len(rows[0]) + 1
    assert len({len(row) for row in rows}) == 1


def test_a_head_is_named_with_its_options(results):
    names = [row[0] for row in tables(results)[0].rows]
    assert names[0] == ("softmax", "s=1")
    assert names[2] == ("lsoftmax", "m=2 annealed base=100 power=1.5 minimum=1")


def test_options_stand_once_where_the_name_is_enough(results):
    for table in tables(results)[1:]:
        assert {row[0][1] for row in table.rows} == {""}
    results["heads"].append(
        {**results["heads"][2], "name": "lsoftmax:m=3", "settings": ["lsoftmax:m=3"]}
    )
    for table in tables(results)[1:]:
        options = [row[0][1] for row in table.rows]
        assert options[2].startswith("m=2")
        assert options[-1] == "m=3"
        assert not any(options[:2])


def test_settings_that_differ_between_seeds_are_all_named(results):
    results["heads"][0]["settings"] = ["softmax:s=1", "softmax:s=2"]
    assert tables(results)[0].rows[0][0] == ("softmax", "s=1 or s=2")


def test_rates_are_percent_and_angles_degrees_with_their_interval(results):
    verification, search, angles, spread = tables(results)
    assert verification.rows[0][1] == ("8.0", "7.0–10.0")
    assert verification.rows[0][-1] == ("90.00", "80.00–95.00")
    assert search.rows[0][1] == ("90.0", "80.0–95.0")
    assert angles.rows[0][1] == ("40.0", "30.0–50.0")
    assert spread.rows[0][1] == ("0.90", "0.80–0.95")
    assert spread.rows[0][2] == ("3.25", "")
    assert spread.rows[0][4] == ("-2.50", "-2.62 to -2.25")
    results["heads"][0]["estimates"]["silhouette"] = estimate(-0.001, -0.004, 0.2)
    assert tables(results)[3].rows[0][1] == ("0.00", "0.00–0.20")
    assert rows_of(markdown(results), "Verification")[0][1] == "8.0 (7.0–10.0)"


@pytest.mark.parametrize(("key", "table", "column"), [
    ("eer", 0, 1), ("tar@fmr=0.1", 0, 2), ("tar@fmr=0.01", 0, 3), ("tar@fmr=0.001", 0, 4),
    ("auc", 0, 5), ("rank1", 1, 1), ("fnir@fpir=0.1", 1, 2), ("fnir@fpir=0.01", 1, 3),
    ("w-ec", 2, 1), ("w-inter", 2, 2), ("intra", 2, 3), ("inter", 2, 4),
    ("silhouette", 3, 1), ("nc1", 3, 2), ("alignment", 3, 3), ("uniformity", 3, 4),
    ("effective-rank", 3, 5),
])  # fmt: skip
def test_every_number_stands_under_its_own_heading(results, key, table, column):
    plain = tables(results)
    results["heads"][1]["estimates"][key] = estimate(0.123, 0.1, 0.2)
    changed = tables(results)
    differ = [
        (t, r, c)
        for t, (one, two) in enumerate(zip(plain, changed, strict=True))
        for r, (a, b) in enumerate(zip(one.rows, two.rows, strict=True))
        for c, (x, y) in enumerate(zip(a, b, strict=True))
        if x != y
    ]
    assert differ == [(table, 1, column)]
    heading = changed[table].headings[column].lower().replace(" %", "").replace("\n", " ")
    for word in (
        key.replace("-rank", " rank")
        .replace("tar@", "")
        .replace("fnir@", "")
        .replace("=", " ")
        .split()
    ):
        assert word.replace("rank1", "rank 1") in heading


def test_what_is_not_resolved_says_so_and_why(results):
    reason = "FMR 0.001 cannot be measured with 900 non-mated comparisons"
    for each in results["heads"]:
        each["estimates"]["tar@fmr=0.001"] = estimate(None, note=reason)
    assert tables(results)[0].rows[0][4] == ("not resolved", "")
    page = markdown(results)
    assert page.count("| not resolved |") == 3
    assert page.count(f"Not resolved: {reason}.") == 1
    assert notes(results).count(f"Not resolved: {reason}.") == 1
    assert "*" not in page


def test_what_is_not_reliable_has_a_star_and_a_sentence(results):
    reason = "FMR 0.01 rests on at most 4 false matches"
    results["heads"][0]["estimates"]["tar@fmr=0.01"] = estimate(0.5, 0.4, 0.6, note=reason)
    assert tables(results)[0].rows[0][3] == ("50.0*", "40.0–60.0")
    assert tables(results)[0].rows[1][3] == ("90.0", "80.0–95.0")
    page = markdown(results)
    assert page.count("*") == 2
    assert f"* {reason}.  \n" in page
    assert "Not resolved" not in page


def test_several_seeds_show_their_spread(results):
    assert not any("seeds" in line for line in notes(results))
    results["seeds"] = [0, 1, 2]
    results["heads"][0]["estimates"]["eer"] = estimate(0.08, 0.07, 0.1, spread=0.0123)
    results["heads"][1]["estimates"]["eer"] = estimate(0.08, 0.07, 0.1, spread=0.01, note="why")
    found = tables(results)[0].rows
    assert (found[0][1][0], found[1][1][0]) == ("8.0 ±1.2", "8.0* ±1.0")
    assert "Means over 3 seeds, ± the spread between them." in notes(results)


def test_notes_say_who_was_compared_and_on_what(results):
    assert notes(results)[0] == (
        "drawn faces: learned from 60 people (600 pictures), judged on 30 people never seen "
        "(300 pictures)."
    )
    assert "clustered Wilson of EER, TAR" in notes(results)[1]
    assert "people resampled 200 times" in notes(results)[1]
    results["data"][0]["skipped"] = [{"path": "a", "reason": "b"}] * 2
    assert notes(results)[0].endswith("(300 pictures); 2 files skipped.")


def test_the_page_ends_with_the_command(results):
    page = markdown(results)
    assert page.startswith("# ")
    assert page.endswith("`recognition compare --quick` took 62 s.\n")


def test_the_lowest_error_is_named_first(results):
    assert verdict(results)[0] == "Lowest equal error rate: lsoftmax, 5.0% (95 %: 4.0% to 7.0%)."
    results["heads"][1] = head("normface", "normface:s=8", 0.011)
    assert verdict(results)[0].startswith("Lowest equal error rate: normface, 1.1%")


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.02, -0.0001, "lower"),
        (-0.02, 0.0, "not told apart"),
        (-0.02, 0.01, "not told apart"),
        (0.0, 0.02, "not told apart"),
        (0.0001, 0.02, "higher"),
        (0.0, 0.0, "not told apart"),
    ],
)
def test_heads_are_told_apart_just_where_the_interval_leaves_out_zero(results, low, high, said):
    middle = (low + high) / 2
    results["differences"]["heads"] = {"softmax": gap(middle, low, high)}
    lines = verdict(results)[2:]
    numbers = f"{middle * 100:+.1f} [{low * 100:+.1f}, {high * 100:+.1f}]"
    assert lines == [f"  {said}: softmax {numbers}."]


def test_heads_of_one_verdict_share_a_line_and_the_baseline_is_named(results):
    results["differences"]["heads"] |= {"arcface": gap(-0.03, -0.04, -0.02)}
    lines = verdict(results)
    assert lines[1].startswith("Against normface, the baseline without a margin, on the same")
    assert lines[2:] == [
        "  lower: lsoftmax -1.0 [-2.0, -0.1], arcface -3.0 [-4.0, -2.0].",
        "  higher: softmax +2.0 [+1.0, +3.0].",
    ]


@pytest.mark.parametrize("nothing", [None, {"metric": "eer", "baseline": "normface", "heads": {}}])
def test_without_differences_the_verdict_is_one_line(results, nothing):
    results["differences"] = nothing
    assert len(verdict(results)) == 1


def test_reading_results_changes_nothing(results):
    before = copy.deepcopy(results)
    markdown(results)
    assert results == before


def shown(results, monkeypatch, capsys):
    monkeypatch.setenv("COLUMNS", "80")
    show_tables(tables(results))
    return capsys.readouterr().out


def test_tables_at_a_terminal_show_every_cell(results, monkeypatch, capsys):
    text = shown(results, monkeypatch, capsys)
    assert max(map(len, text.splitlines())) <= 80
    for part in ("softmax", "s=1", "7.0–10.0", "80.00–95.00", "W-Inter", "FPIR 0.01", "minimum=1"):
        assert part in text
    assert [text.count(title) for title in TITLES] == [1, 1, 1, 1]


def test_the_widest_tables_fit_80_columns_with_nothing_cut(results, monkeypatch, capsys):
    results["seeds"] = [0, 1, 2]
    wide = estimate(1.0, 0.9999, 1.0, spread=0.1234, note="doubtful")
    for each in results["heads"]:
        each["estimates"] = {
            key: estimate(100.04, 100.04, 101.26, spread=10.26) if key in DEGREES else wide
            for key in KEYS
        }
        each["estimates"]["auc"] = estimate(0.99999, 0.99994, 1.0, spread=0.0111)
        each["estimates"]["tar@fmr=0.001"] = estimate(None, note="why")
        each["estimates"]["silhouette"] = estimate(-0.05, -0.091, 0.064, spread=0.01)
        each["estimates"]["uniformity"] = estimate(-2.83, -2.96, -2.704, spread=0.12)
        each["estimates"]["effective-rank"] = estimate(431.16, spread=12.25)
    text = shown(results, monkeypatch, capsys)
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    for part in ("100.0* ±12.3", "100.00 ±1.11", "not resolved", "100.0 ±10.3", "99.99–100.00",
                 "-0.09 to 0.06", "-2.96 to -2.70", "431.2 ±12.2"):  # fmt: skip
        assert part in text
