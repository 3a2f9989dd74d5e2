import json

import numpy as np
import pytest

from recognition.errors import InputError
from recognition.evaluation.estimates import Estimate
from recognition.evaluation.findings import Findings, plain, plain_row
from recognition.evaluation.rows import Row, Section


def some():
    one = Row("eer", "EER", "share", Estimate(np.float64(0.1), 0.0, np.float32(0.5)), "made up")
    two = Row("gap", "Gap", "number", Estimate(None, note="why", counts={"t": np.inf, "n": (1, 2)}))
    curve = {"roc": {"fmr": np.array([0.0, np.nan]), "points": np.arange(2)}}
    sections = [
        Section("first", "First", (one,), ("a note",), curve),
        Section("second", "Second", (two,)),
    ]
    return Findings({"people": np.int64(3), "notes": ()}, sections, groups={"rows": [np.True_]})


def test_rows_are_found_by_key_and_come_in_order():
    found = some()
    assert [row.key for row in found] == ["eer", "gap"]
    assert found["gap"].label == "Gap"
    with pytest.raises(InputError, match=r"key of a row, not 'auc'; there are eer, gap"):
        found["auc"]


def test_findings_survive_json():
    found = some().as_dict()
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["input"] == {"people": 3, "notes": []}
    assert found["groups"] == {"rows": [True]}
    assert found["comparison"] is None
    first, second = found["sections"]
    assert first["rows"] == [
        {"key": "eer", "label": "EER", "unit": "share", "interval": "made up", "value": 0.1,
         "low": 0.0, "high": 0.5, "note": None, "counts": {}}
    ]  # fmt: skip
    assert first["curves"] == {"roc": {"fmr": [0.0, None], "points": [0, 1]}}
    assert first["notes"] == ["a note"]
    assert second["rows"][0]["counts"] == {"t": "inf", "n": [1, 2]}
    assert second["rows"][0]["value"] is None


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (np.float32(0.5), 0.5),
        (-np.inf, "-inf"),
        (np.nan, None),
        (np.array([[1, 2]]), [[1, 2]]),
        ({1: (np.int8(3),)}, {"1": [3]}),
        ("text", "text"),
        (None, None),
        (np.bool_(False), False),
    ],
)
def test_plain_is_what_json_knows(value, expected):
    found = plain(value)
    assert found == expected
    assert type(found) is type(expected)


def test_a_row_is_flat():
    row = plain_row(Row("x", "X", "bits", Estimate(np.inf)))
    assert row["value"] == "inf"
    assert "estimate" not in row
