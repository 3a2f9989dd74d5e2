import numpy as np
import pytest

from recognition.errors import InputError
from recognition.evaluation.options import PARTS, Options, exactly, known_part


@pytest.mark.parametrize(
    ("nonmated", "last"), [(9, 0.1), (10, 0.01), (78_000, 1e-5), (10**7, 1e-8), (10**15, 1e-12)]
)
def test_targets_end_with_one_that_cannot_be_measured(nonmated, last):
    targets = Options().targets(nonmated)
    assert targets[0] == 0.1
    assert targets[-1] == last
    assert list(targets) == sorted(targets, reverse=True)
    assert len(targets) == len(set(targets))
    if last > 1e-12:
        assert last * nonmated < 1 <= 10 * last * nonmated or nonmated < 10


def test_targets_asked_for_come_once_and_descending():
    assert Options(fmr=(0.001, 0.5, 0.001)).targets(10) == (0.5, 0.001)


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"fmr": (0.0,)}, "between 0 and 1, not 0"),
        ({"fpir": (1.0,)}, "between 0 and 1, not 1"),
        ({"fmr": (float("nan"),)}, "between 0 and 1, not nan"),
        ({"fmr": (0.1, 0.1 + 1e-9)}, "first six digits"),
        ({"fpir": (0.1, 0.1 + 1e-9)}, "first six digits"),
        ({"thresholds": (float("nan"),)}, "finite threshold"),
        ({"thresholds": (float("inf"),)}, "finite threshold"),
        ({"parts": ("verify",)}, "part among verification, thresholds"),
        ({"replicates": 19}, "at least 20 resamples"),
        ({"replicates": 1e3}, "replicates: expected a whole number of at least 20, not 1000.0"),
        ({"seed": -1}, "seed: expected a whole number of at least 0, not -1"),
        ({"seed": None}, "seed: expected a whole number"),
        ({"enrolled_pictures": 0}, "enrolled_pictures: expected a whole number of at least 1"),
        ({"fmr": 0.001}, r"fmr: expected a list, such as \[0.001\]"),
        ({"fpir": "0.1"}, r"fpir: expected a list, such as \['0.1'\]"),
        ({"fpir": ["0.1"]}, "fpir: expected numbers"),
        ({"thresholds": 0.5}, "thresholds: expected a list"),
        ({"parts": "verification"}, r"parts: expected a list, such as \['verification'\]"),
    ],
)
def test_what_cannot_be_asked_is_refused(wrong, message):
    with pytest.raises(InputError, match=message):
        Options(**wrong)


def test_parts_are_known_by_name():
    assert [known_part(name) for name in PARTS] == list(PARTS)
    assert Options(replicates=20, fmr=(0.1, 0.1)).parts == PARTS


def test_rates_may_be_an_array():
    assert Options(fmr=np.array([0.01, 0.1]), seed=np.int64(3)).targets(10) == (0.1, 0.01)


@pytest.mark.parametrize("number", [0.5, 1e-5, 0.4512345678, -3e6, 1 / 3, 7, 1e22])
def test_a_number_is_written_so_that_it_reads_back(number):
    assert float(exactly(number)) == number
    assert len(exactly(number)) <= len(repr(float(number)))
