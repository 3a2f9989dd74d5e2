from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial import ConvexHull

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Steps, count_steps
from recognition.metrics import hull as h
from recognition.metrics.verification import equal_error_rate

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 0.5, 1.0])
KINDS = st.sampled_from([np.float32, np.float64])


@st.composite
def tied(draw):
    """A few values many times over: nearly everything ties."""
    kind = draw(KINDS)
    mated = draw(st.lists(GRID, min_size=1, max_size=12))
    nonmated = draw(st.lists(GRID, min_size=1, max_size=40))
    return ScoreLists(np.array(mated, kind), np.array(nonmated, kind))


@st.composite
def staircases(draw):
    """Any counts that never fall, with repeated steps, as a tally may have them."""
    moves = draw(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1))
    moves += [(1, 1)]
    false, true = np.cumsum([(0, 0), *moves], axis=0).T
    return Steps(np.arange(len(false), 0, -1.0), false, true, draw(st.booleans()))


def normal(mated, nonmated, seed=0, apart=2.0):
    random = np.random.default_rng(seed)
    return ScoreLists(random.normal(apart, 1, mated), random.normal(0, 1, nonmated))


def naive_vertices(false, true):
    """Both ends, and what no segment between two other points passes at or above: O(n^3)."""
    tops = {}
    for x, y in zip(false.tolist(), true.tolist(), strict=True):
        tops[x] = max(y, tops.get(x, 0))

    def passed(x, y):
        return any(
            (y - tops[left]) * (right - left) <= (tops[right] - tops[left]) * (x - left)
            for left in tops
            for right in tops
            if left < x < right
        )

    ends = {(0, 0), (int(false[-1]), int(true[-1]))}
    return sorted(ends | {point for point in tops.items() if not passed(*point)})


def least_cost(steps, prior):
    """min over t of π·FNMR(t) + (1−π)·FMR(t), in fractions."""
    mated, nonmated = steps.mated, steps.nonmated
    return min(
        prior * Fraction(mated - hits, mated) + (1 - prior) * Fraction(false, nonmated)
        for false, hits in zip(steps.false.tolist(), steps.true.tolist(), strict=True)
    )


def naive_rate(steps):
    """The lowest x at which a segment between any two steps meets FMR = FNMR, in fractions."""
    points = {
        (Fraction(f, steps.nonmated), 1 - Fraction(t, steps.mated))
        for f, t in zip(steps.false.tolist(), steps.true.tolist(), strict=True)
    }
    rates = []
    for x0, y0 in points:
        for x1, y1 in points:
            before, after = x0 - y0, x1 - y1
            if before <= 0 <= after and before < after:
                share = -before / (after - before)
                rates.append(x0 + share * (x1 - x0))
    return min(rates)


def assert_hull(steps, hull):
    found = list(zip(hull.false.tolist(), hull.true.tolist(), strict=True))
    assert found == naive_vertices(steps.false, steps.true)
    assert np.isin(hull.thresholds, steps.thresholds).all()
    assert (np.diff(hull.thresholds) < 0).all()
    for threshold, false, true in zip(*hull[:3], strict=True):
        at = np.flatnonzero((steps.false == false) & (steps.true == true))[0]
        assert threshold == steps.thresholds[at]
    assert not hull.complete


@given(tied())
def test_vertices_are_the_steps_above_every_line_between_two_others(scores):
    assert_hull(scores.steps, h.convex_hull(scores.steps))


@given(staircases())
def test_repeated_steps_and_long_edges_leave_only_vertices(steps):
    assert_hull(steps, h.convex_hull(steps))


@given(staircases())
def test_the_chain_alone_finds_the_same_vertices(steps):
    moved = np.append(True, (np.diff(steps.false) > 0) | (np.diff(steps.true) > 0))
    kept = np.flatnonzero(moved)
    chain = kept[h._chain(steps.false[kept].tolist(), steps.true[kept].tolist())]
    np.testing.assert_array_equal(steps.thresholds[chain], h.convex_hull(steps).thresholds)


@given(tied())
def test_no_step_is_cheaper_than_the_best_vertex(scores):
    hull = h.convex_hull(scores.steps)
    for prior in (Fraction(1, 100), Fraction(1, 3), Fraction(1, 2), Fraction(9, 10)):
        assert least_cost(hull, prior) == least_cost(scores.steps, prior)


@pytest.mark.parametrize("seed", range(5))
def test_vertices_agree_with_scipy(seed):
    steps = normal(300, 2000, seed, apart=1.0).steps
    hull = h.convex_hull(steps)
    # one more corner below the diagonal shuts the lower side
    points = np.stack([np.append(steps.fmr, 1), np.append(1 - steps.fnmr, 0)], axis=1)
    vertices = set(ConvexHull(points).vertices.tolist()) - {len(points) - 1}
    assert hull.thresholds.tolist() == steps.thresholds[sorted(vertices)].tolist()


def test_counts_whose_products_leave_int64_are_exact():
    small = normal(60, 80, apart=1.0).steps
    factor = 2**40
    large = small._replace(false=small.false * factor, true=small.true * factor)
    assert large.nonmated * large.mated > 2**63
    expected = h.convex_hull(small).thresholds
    np.testing.assert_array_equal(h.convex_hull(large).thresholds, expected)


def test_a_million_steps_need_no_million_passes():
    hull = h.convex_hull(normal(50_000, 1_000_000).steps)
    assert 2 < len(hull.thresholds) < 1000


def test_one_dent_after_another_is_still_linear():
    # a concave arc and then a high point: only the last step of the arc is a dent at a time
    run = np.arange(1, 20_001)
    false, true = np.append(0, np.cumsum(run)), np.arange(len(run) + 1)
    false, true = np.append(false, false[-1] + 1), np.append(true, 10**9)
    hull = h.convex_hull(Steps(-np.arange(len(false), dtype=float), false, true))
    assert hull.false.tolist() == [0, int(false[-1])]


@given(tied())
def test_the_rate_is_where_the_lowest_segment_meets_the_diagonal(scores):
    assert h.hull_equal_error_rate(scores).rate == float(naive_rate(scores.steps))


@given(tied())
def test_the_rate_is_what_the_best_threshold_costs_at_the_worst_prior(scores):
    found = h.hull_equal_error_rate(scores)
    hull = h.convex_hull(scores.steps)
    at = int(np.flatnonzero(hull.thresholds == found.upper)[0])
    false, true = np.diff(hull.false)[at], np.diff(hull.true)[at]
    run, rise = Fraction(int(false), hull.nonmated), Fraction(int(true), hull.mated)
    worst = run / (run + rise)  # the prior at which both ends of the edge cost the same
    assert float(least_cost(scores.steps, worst)) == pytest.approx(found.rate, abs=1e-15)
    for prior in (Fraction(1, 9), Fraction(1, 2), Fraction(4, 5)):
        assert float(least_cost(scores.steps, prior)) <= found.rate + 1e-15


@given(tied())
def test_the_crossing_lies_between_its_two_thresholds(scores):
    found = h.hull_equal_error_rate(scores)
    steps = scores.steps
    upper, lower = (int(np.flatnonzero(steps.thresholds == t)[0]) for t in found[1:3])
    assert upper < lower
    assert steps.fmr[upper] < steps.fnmr[upper]
    assert steps.fmr[lower] >= steps.fnmr[lower]
    assert 0 <= found.rate <= 0.5
    assert found.rate <= equal_error_rate(scores).high + 1e-15
    assert found.complete


def test_separated_scores_have_rate_zero_and_ties_alone_one_half():
    apart = ScoreLists(np.array([0.8, 0.9]), np.array([0.1, 0.2]))
    assert h.hull_equal_error_rate(apart)[:2] == (0.0, np.nextafter(0.9, 1))
    equal = ScoreLists(np.full(3, 0.5), np.full(7, 0.5))
    assert h.hull_equal_error_rate(equal).rate == 0.5
    worse = ScoreLists(np.array([0.1]), np.array([0.9]))
    assert h.hull_equal_error_rate(worse).rate == 0.5


def test_fewer_thresholds_never_lower_the_rate():
    scores = normal(200, 400, apart=1.0)
    exact = h.hull_equal_error_rate(scores).rate
    steps = scores.steps
    known = np.r_[0, 1 : len(steps.thresholds) - 1 : 40, len(steps.thresholds) - 1]

    class Binned(ScoreLists):
        steps = Steps(*(column[known] for column in scores.steps[:3]), complete=False)

    binned = h.hull_equal_error_rate(Binned(scores.mated, scores.nonmated))
    assert exact < binned.rate < exact + 0.05
    assert not binned.complete


def test_real_faces(shared_data):
    orl = np.load(shared_data / "orl_mobilefacenet.npz")
    scores = compare_all(orl["embeddings"], orl["labels"])
    found = h.hull_equal_error_rate(scores)
    eer = equal_error_rate(scores)
    assert found.rate <= eer.high
    assert found.rate == pytest.approx(eer.rate, abs=2e-3)
    steps = count_steps(scores.mated, scores.nonmated)
    points = np.stack([np.append(steps.fmr, 1), np.append(1 - steps.fnmr, 0)], axis=1)
    places = np.sort(ConvexHull(points).vertices)[:-1]
    x, y = steps.fmr[places], steps.fnmr[places]
    crossing = float(np.interp(0, x - y, x))
    assert found.rate == pytest.approx(crossing, abs=1e-12)
