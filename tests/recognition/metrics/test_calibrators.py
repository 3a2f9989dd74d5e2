import json
from functools import partial

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from scipy.special import expit, logit
from sklearn.isotonic import IsotonicRegression
from sklearn.linear_model import LogisticRegression

from recognition.comparisons.pairs import compare_all
from recognition.comparisons.scores import ScoreLists
from recognition.comparisons.steps import Steps
from recognition.errors import InputError
from recognition.metrics import calibrators as c
from recognition.metrics.calibration import calibration_loss, cllr, min_cllr

GRID = st.sampled_from([-1.0, -0.5, 0.0, 0.1, 0.3, 0.5, 1.0])
TIED = st.lists(GRID, min_size=1, max_size=20)
PRIORS = st.sampled_from([0.5, 0.01, 0.9])


def lists(mated, nonmated, dtype=np.float64):
    return ScoreLists(np.array(mated, dtype), np.array(nonmated, dtype))


@pytest.fixture(scope="module")
def faces():
    """Scores of 12 people with 6 pictures each, and one with a single picture."""
    rng = np.random.default_rng(7)
    labels = np.append(np.repeat(np.arange(12), 6), 12)
    people = rng.normal(size=(13, 8))
    return compare_all(people[labels] + 0.8 * rng.normal(size=(73, 8)), labels)


def pulls(found, mated, nonmated):
    """The derivatives of the loss by offset and by slope; zero at its only minimum."""
    z = logit(found.prior)
    one = found.prior * expit(-found.llr(mated) - z) / len(mated)
    two = (1 - found.prior) * expit(found.llr(nonmated) + z) / len(nonmated)
    return two.sum() - one.sum(), two @ nonmated - one @ mated


@given(TIED, TIED, PRIORS)
def test_the_logistic_fit_is_where_the_loss_is_flat(mated, nonmated, prior):
    u, v = np.array(mated), np.array(nonmated)
    assume(u.min() < v.max())
    found = c.fit_logistic(lists(mated, nonmated), prior=prior)
    by_offset, by_slope = pulls(found, u, v)
    assert by_offset == pytest.approx(0, abs=1e-12)
    if found.slope > 0:
        assert by_slope == pytest.approx(0, abs=1e-12)
    else:
        assert by_slope >= -1e-12  # only a falling line would be better
        assert found.llr(u).tolist() == [0] * len(u)


@pytest.mark.parametrize("prior", [0.5, 0.01, 0.9])
def test_the_logistic_fit_agrees_with_sklearn(faces, prior):
    found = c.fit_logistic(faces, prior=prior)
    x = np.concatenate([faces.mated, faces.nonmated]).astype(np.float64)
    truth = np.repeat([1, 0], [len(faces.mated), len(faces.nonmated)])
    weights = np.where(truth, prior / len(faces.mated), (1 - prior) / len(faces.nonmated))
    model = LogisticRegression(C=np.inf, tol=1e-12, solver="newton-cholesky")
    model.fit(x[:, None], truth, sample_weight=weights * len(x))
    assert found.slope == pytest.approx(float(model.coef_[0, 0]), rel=1e-8)
    assert found.offset == pytest.approx(float(model.intercept_[0] - logit(prior)), rel=1e-8)


@given(TIED, TIED, PRIORS, st.floats(0.01, 1000), st.floats(-50, 50))
def test_stretching_and_shifting_scores_changes_no_llr(mated, nonmated, prior, by, to):
    assume(min(mated) < max(nonmated))
    u, v = np.array(mated), np.array(nonmated)
    fit = partial(c.fit_logistic, prior=prior)
    expected = fit(lists(mated, nonmated)).llr(u)
    found = fit(lists(by * u + to, by * v + to)).llr(by * u + to)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


def test_no_straight_line_has_a_lower_cllr_than_the_fit_at_even_prior(faces):
    found = c.fit_logistic(faces)
    least = cllr(found.llr(faces.mated), found.llr(faces.nonmated))
    assert min_cllr(faces) < least < 1
    for slope, offset in np.array([[1.01, 1], [0.99, 1], [1, 1.01], [1, 0.99], [0, 0]]):
        other = c.LogisticCalibrator(slope * found.slope, offset * found.offset)
        assert cllr(other.llr(faces.mated), other.llr(faces.nonmated)) > least


@pytest.mark.parametrize("prior", [1e-6, 0.5, 0.999])
def test_a_fit_far_from_its_start_is_found(prior):
    crowd = [1.0, 2, 1, 2, 0, 2, 1, 2, 3, 2, 1, 3], [1.0]
    thin = np.append(0.5, np.full(1000, 0.9)), np.append(np.full(1000, 0.1), 0.5 + 1e-9)
    for mated, nonmated in (crowd, thin):
        found = c.fit_logistic(lists(mated, nonmated), prior=prior)
        at_most = 1e-7 * min(prior, 1 - prior)
        assert np.abs(pulls(found, np.array(mated), np.array(nonmated))).max() < at_most


@pytest.mark.parametrize(
    ("mated", "nonmated"),
    [([0.5, 0.6], [0.1, 0.4]), ([0.5, 0.6], [0.1, 0.5]), ([0.5, 0.6], [0.5]), ([0.6], [0.5])],
    ids=["apart", "touching", "all others at the lowest", "one each"],
)
def test_scores_that_no_slope_is_steep_enough_for_are_refused(mated, nonmated):
    with pytest.raises(InputError, match=r"overlap.*fit_isotonic"):
        c.fit_logistic(lists(mated, nonmated))


@pytest.mark.parametrize(
    ("mated", "nonmated"),
    [([0.1] * 3, [0.1] * 7), ([0.1], [0.9]), ([0.4, 0.6], [0.3, 0.7]), ([0.1, 0.5], [0.5, 0.9])],
    ids=["equal", "upside down", "equal means", "lower"],
)
def test_scores_that_are_no_higher_when_mated_say_nothing(mated, nonmated):
    found = c.fit_logistic(lists(mated, nonmated), prior=0.2)
    assert np.abs(found.llr([-5.0, 0.5])).max() < 1e-12


@pytest.mark.parametrize("far", [1e3, 1e6, 1e12])
def test_an_outlier_on_its_own_side_hardly_matters(far):
    near = c.fit_logistic(lists([0.2, 0.6, 30.0], [0.1, 0.3, 0.4]))
    found = c.fit_logistic(lists([0.2, 0.6, far], [0.1, 0.3, 0.4]))
    assert found.slope == pytest.approx(near.slope, rel=1e-9)
    assert found.offset == pytest.approx(near.offset, rel=1e-9)


def test_a_fit_that_does_not_arrive_is_refused(monkeypatch):
    monkeypatch.setattr(c, "STEPS", 2)
    with pytest.raises(InputError, match="best slope lost"):
        c.fit_logistic(lists([0.2, 0.6], [0.1, 0.3, 0.4]))


def test_scores_lost_in_rounding_are_refused_instead_of_fitted_somehow():
    with pytest.raises(InputError, match="look for outliers"):
        c.fit_logistic(lists([0.2, 0.6, 1e300], [0.1, 0.3, 0.4]))


@pytest.mark.parametrize("to", [0.01, 0.1, 7.7, -3.3])
def test_means_that_differ_by_rounding_alone_say_nothing(to):
    u, v = 0.125 * np.array([0.5]) + to, 0.125 * np.array([0.0, 0.5, 1.0]) + to
    assert np.abs(c.fit_logistic(lists(u, v)).llr(v)).max() < 1e-12


def test_scores_that_are_only_counted_are_refused_by_logistic_regression_alone():
    full = lists([0.2, 0.5, 0.7, 0.9], [0.1, 0.3, 0.4, 0.6])

    class Counted:
        mated, nonmated_count = full.mated, full.nonmated_count
        steps = Steps(*(part[[0, 2, 5, -1]] for part in full.steps[:3]), complete=False)

    with pytest.raises(InputError, match="only counted"):
        c.fit_logistic(Counted())
    assert len(c.fit_isotonic(Counted()).llrs) > 1


@given(TIED, TIED)
def test_the_isotonic_fit_agrees_with_sklearn_on_padded_scores(mated, nonmated):
    found = c.fit_isotonic(lists(mated, nonmated))
    u, v = [-9.0, *mated, 9.0], [-9.0, *nonmated, 9.0]  # one of each beyond both ends
    truth = np.repeat([1.0, 0.0], [len(u), len(v)])
    share = IsotonicRegression().fit_transform(u + v, truth)
    expected = logit(share) - np.log(len(u) / len(v))
    np.testing.assert_allclose(found.llr(u + v), expected, rtol=1e-9, atol=1e-9)


@given(TIED, TIED)
def test_isotonic_llrs_are_finite_never_fall_and_stay_above_min_cllr(mated, nonmated):
    found = c.fit_isotonic(lists(mated, nonmated))
    llrs = found.llr(np.linspace(-10, 10, 101))
    assert np.isfinite(llrs).all()
    assert (np.diff(llrs) >= 0).all()
    cost = cllr(found.llr(mated), found.llr(nonmated))
    assert cost >= min_cllr(lists(mated, nonmated)) - 1e-12


def test_isotonic_cost_comes_close_to_min_cllr(faces):
    found = c.fit_isotonic(faces)
    cost = cllr(found.llr(faces.mated), found.llr(faces.nonmated))
    assert min_cllr(faces) < cost < min_cllr(faces) + 0.05


@pytest.mark.parametrize("kind", [np.float32, np.float64])
def test_a_score_reaches_its_own_step(kind):
    scores = lists([0.1, 0.7, 0.8], [0.1, 0.2, 0.7], kind)
    found = c.fit_isotonic(scores)
    step = np.float64(kind(0.7))
    at, below = found.llr([step]), found.llr([np.nextafter(step, 0)])
    assert at > below
    assert found.llr(scores.mated[1:2]) == at


@pytest.mark.parametrize("fit", [c.fit_logistic, c.fit_isotonic])
def test_shapes_are_kept_and_nan_is_refused(faces, fit):
    found = fit(faces)
    assert found.llr(np.zeros((2, 3), np.float32)).shape == (2, 3)
    assert found.llr(0.3).shape == ()
    with pytest.raises(InputError, match="without NaN"):
        found.llr([0.5, np.nan])


@pytest.mark.parametrize(
    "fit", [c.fit_logistic, partial(c.fit_logistic, prior=0.01), c.fit_isotonic]
)
def test_json_brings_a_calibrator_back_to_the_last_bit(faces, fit):
    found = fit(faces)
    again = c.calibrator_from_dict(json.loads(json.dumps(found.as_dict(), allow_nan=False)))
    assert again == found
    assert again.llr(faces.mated).tolist() == found.llr(faces.mated).tolist()


LOGISTIC = c.LogisticCalibrator(20.0, -8.0).as_dict()
ISOTONIC = {"kind": "isotonic", "lowest": [0.5, 0.7], "llrs": [-1.0, 0.0, 2.0]}


@pytest.mark.parametrize(
    ("kept", "says"),
    [
        ({**LOGISTIC, "kind": "beta"}, "unknown kind of calibrator 'beta'; known"),
        ({}, "KeyError"),
        ({"kind": "logistic", "slope": 1}, "'offset'"),
        ({**LOGISTIC, "slope": "steep"}, "could not convert"),
        ({**LOGISTIC, "slope": -1.0}, "^expected a finite slope of at least 0"),
        ({**LOGISTIC, "offset": float("nan")}, "finite offset"),
        ({**LOGISTIC, "prior": 1.5}, "strictly between"),
        ({**ISOTONIC, "llrs": [1.0, 2.0]}, "3 and 2 numbers"),
        ({**ISOTONIC, "llrs": [1.0, 0.0, 2.0]}, "never falling"),
        ({**ISOTONIC, "llrs": [0.0, 1.0, float("inf")]}, "one finite LLR"),
        ({**ISOTONIC, "lowest": [0.7, 0.5]}, "ascending"),
        ({**ISOTONIC, "lowest": None}, "TypeError"),
    ],
    ids=str,
)
def test_a_dictionary_that_no_calibrator_wrote_is_refused(kept, says):
    assert c.calibrator_from_dict(ISOTONIC).llr([0.4, 0.5, 0.9]).tolist() == [-1, 0, 2]
    with pytest.raises(InputError, match=says):
        c.calibrator_from_dict(kept)


def test_an_isotonic_calibrator_needs_a_step():
    with pytest.raises(InputError, match="0 and 0 numbers"):
        c.IsotonicCalibrator((), ())


@pytest.mark.parametrize("prior", [0.0, 1.0, float("nan")])
def test_a_prior_that_decides_alone_is_refused(faces, prior):
    with pytest.raises(InputError, match="strictly between 0 and 1"):
        c.fit_logistic(faces, prior=prior)


@pytest.mark.parametrize("fit", [c.fit_logistic, c.fit_isotonic])
def test_nobody_is_judged_by_what_was_fitted_on_them(faces, fit):
    found = c.cross_calibrated(faces, seed=3, fit=fit)
    side = found.halves
    assert sorted(np.bincount(side)) == [6, 7]
    np.testing.assert_array_equal(found.llrs.mated_person, faces.mated_person)
    sides = side[faces.nonmated_persons]
    inside = sides[:, 0] == sides[:, 1]
    np.testing.assert_array_equal(found.llrs.nonmated_persons, faces.nonmated_persons[inside])
    assert found.left_out == (~inside).sum() > 0
    for half in (0, 1):
        theirs = side[faces.mated_person] != half, inside & (sides[:, 0] != half)
        fitted = fit(ScoreLists(faces.mated[theirs[0]], faces.nonmated[theirs[1]]))
        assert fitted == found.calibrators[half]
        own = side[faces.mated_person] == half
        expected = fitted.llr(faces.mated[own])
        np.testing.assert_array_equal(found.llrs.mated[own], expected)
        own = sides[inside, 0] == half
        expected = fitted.llr(faces.nonmated[inside][own])
        np.testing.assert_array_equal(found.llrs.nonmated[own], expected)


def test_halves_follow_the_seed_alone(faces):
    halves = [c.cross_calibrated(faces, seed=seed).halves.tolist() for seed in (0, 0, 1)]
    assert halves[0] == halves[1] != halves[2]


def test_people_with_mated_comparisons_are_shared_out_evenly():
    labels = [0, 0, 1, 1, *range(2, 40)]  # only two people have two pictures
    rng = np.random.default_rng(0)
    centres = rng.normal(size=(40, 4))
    scores = compare_all(centres[labels] + 0.9 * rng.normal(size=(42, 4)), labels)
    for seed in range(20):
        halves = c.cross_calibrated(scores, seed=seed, fit=c.fit_isotonic).halves
        assert halves[0] != halves[1]
        assert halves.sum() == 20


@pytest.mark.parametrize("labels", [[0, 0, 1, 1, 2], [0, 0, 0, 1, 2, 3, 4]], ids=str)
def test_too_few_people_are_refused(labels):
    rows = np.random.default_rng(0).normal(size=(len(labels), 4))
    with pytest.raises(InputError, match="at least 4 people, 2 of them with 2 pictures"):
        c.cross_calibrated(compare_all(rows, labels))


def test_calibration_of_real_faces_is_worth_its_name_on_other_people(shared_data):
    with np.load(shared_data / "orl_mobilefacenet.npz", allow_pickle=False) as file:
        scores = compare_all(file["embeddings"], file["labels"])
    found = c.cross_calibrated(scores)
    assert (len(found.llrs.mated), len(found.llrs.nonmated)) == (1800, 38000)
    assert found.left_out == 40000
    pair = found.llrs.mated, found.llrs.nonmated
    assert 0.03 < cllr(*pair) < 0.07
    assert calibration_loss(*pair) < 0.01
    raw = scores.mated.astype(np.float64), scores.nonmated.astype(np.float64)
    assert cllr(*raw) > 0.7  # cosines are no log-likelihood ratios
