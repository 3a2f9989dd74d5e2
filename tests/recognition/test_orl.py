"""Real embeddings of real faces, from end to end: 40 people with 10 photographs each."""

from pathlib import Path

import numpy as np
import pytest

from recognition.comparisons import compare_all
from recognition.metrics import (
    angle_statistics,
    area_under_curve,
    equal_error_rate,
    fnir_at_fpir,
    pool,
    rank_one_rate,
    tar_at_fmr,
    verification_intervals,
)
from recognition.protocols import open_set_split
from recognition.search import search_people

FILE = Path(__file__).parents[2] / "../shared/data/orl_mobilefacenet.npz"
pytestmark = pytest.mark.skipif(not FILE.exists(), reason=f"no {FILE.name} in ../shared/data")


@pytest.fixture(scope="module")
def faces():
    with np.load(FILE, allow_pickle=False) as file:
        return file["embeddings"], file["labels"]


def test_verification_of_real_faces(faces):
    scores = compare_all(*faces)
    assert (len(scores.mated), len(scores.nonmated)) == (1800, 78000)
    assert equal_error_rate(scores).rate == pytest.approx(0.01222, abs=1e-5)
    assert area_under_curve(scores) == pytest.approx(0.999215, abs=1e-6)
    hits = [tar_at_fmr(scores, target).accepted for target in (0.1, 0.01, 0.001)]
    assert hits == [1796, 1777, 1741]
    assert not tar_at_fmr(scores, 1e-6).resolved


def test_real_people_differ_more_than_their_pairs_suggest(faces):
    found = verification_intervals(compare_all(*faces), [0.001], replicates=200)
    low, high = found.tar[0.001]
    assert low < 0.945 < 0.967 < 0.98 < high < 1  # independent pairs would give 0.958 to 0.974
    assert found.equal_error_rate.low < 0.0122 < found.equal_error_rate.high


def test_identification_of_real_faces_among_strangers(faces):
    rows, labels = faces
    found = pool(
        [
            search_people(rows[g], labels[g], rows[p], labels[p])
            for g, p in open_set_split(labels, seed=0)
        ]
    )
    assert (found.mated.sum(), (~found.mated).sum()) == (200, 400)
    assert rank_one_rate(found) >= 0.99
    assert fnir_at_fpir(found, 0.01).fnir <= 0.03


def test_angles_of_real_faces(faces):
    found = angle_statistics(*faces)
    assert found.single_picture_people == 0
    assert 20 < found.intra < found.inter < 90
