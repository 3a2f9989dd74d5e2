"""The threshold for a wanted rate: the lowest that keeps it, or the reason why there is none."""

import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from recognition.contract import Contract, Preprocessing
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.gallery import searches as module
from recognition.gallery.answers import OutgrownWarning, Threshold
from recognition.gallery.calibration import calibrate
from recognition.gallery.interface import Gallery

WIDTH = 4
CONTRACT = Contract("test", "ab" * 32, WIDTH, Preprocessing())
PEOPLE = {
    "ada": [[3, 1, 0, 0], [3, 0, 1, 0]],
    "bob": [[0, 3, 1, 0]],
    "cy": [[1, 1, 3, 0], [0, 1, 3, 0], [1, 0, 3, 0]],
    "di": [[0, 3, 1, 0]],  # as bob: they always tie
}


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gallery]:
    with Gallery.create(tmp_path_factory.mktemp("calibration") / "g", CONTRACT) as gallery:
        for name, rows in PEOPLE.items():
            gallery.enroll(name, rows)
        yield gallery


# strangers look another way in the last number, so that none is somebody enrolled
stranger = st.tuples(*[st.integers(0, 2)] * 3, st.integers(1, 2))
strangers = st.lists(st.tuples(st.sampled_from("pqrstuvw"), stranger), min_size=2, max_size=30)


def scores(probes: list[tuple[str, tuple[int, ...]]]) -> np.ndarray:
    """(probes, people), each by the best sample, slowly."""
    unit = unit_rows([row for _, row in probes])
    people = [unit_rows(rows) for rows in PEOPLE.values()]
    table = [[max(float(row @ own) for own in rows) for rows in people] for row in unit]
    return np.round(np.array(table), 7)


def lowest(values: np.ndarray, target: Fraction) -> np.ndarray:
    """Which of the values pass at the lowest threshold that lets at most the target pass."""
    for value in sorted(set(values.tolist())):
        if Fraction(int((values >= value).sum()), len(values)) <= target:
            return values >= value
    return np.zeros(len(values), bool)


@given(probes=strangers, share=st.integers(1, 9))
def test_it_is_the_lowest_threshold_with_the_fpir_also_with_ties(
    gallery: Gallery, probes: list[tuple[str, tuple[int, ...]]], share: int
) -> None:
    target = Fraction(share, 10)
    names, rows = zip(*probes, strict=True)
    if len(set(names)) < 2 or target * len(rows) < 1:
        with pytest.raises(InputError, match="more to measure it"):
            calibrate(gallery, rows, names, fpir=float(target))
        return
    found = calibrate(gallery, rows, names, fpir=float(target))
    best = scores(probes).max(axis=1)
    passing = lowest(best, target)
    assert [
        answer.name is not None for answer in gallery.identify(rows, threshold=found.value)
    ] == (passing.tolist())
    assert found.reached == passing.mean()
    assert found.low <= found.reached <= found.high
    assert (found.people, found.strangers, found.trials) == (4, len(set(names)), len(rows))


@given(probes=strangers, share=st.integers(1, 19), first=st.integers(1, 4))
def test_it_is_the_lowest_threshold_with_the_fmr_however_few_are_listed_at_first(
    gallery: Gallery, probes: list[tuple[str, tuple[int, ...]]], share: int, first: int
) -> None:
    target = Fraction(share, 20)
    names, rows = zip(*probes, strict=True)
    if len(set(names)) < 2 or target * len(rows) * len(PEOPLE) < 1:
        return
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "FIRST", first)
        found = calibrate(gallery, rows, names, fmr=float(target))
    pairs = scores(probes)
    passing = lowest(pairs.ravel(), target).reshape(pairs.shape)
    listed = gallery.identify(rows, top=len(PEOPLE), threshold=found.value)
    for answer, row in zip(listed, passing, strict=True):
        names_in = {one.name for one in answer.candidates if one.score >= found.value}
        assert names_in == {name for name, inside in zip(PEOPLE, row, strict=True) if inside}
    assert found.reached == passing.mean()
    assert found.trials == pairs.size


def test_misses_are_counted_against_the_person_also_in_ties(gallery: Gallery) -> None:
    names = ["p", "q", "r", "s", "ada", "bob", "cy", "ada", "cy"]
    rows = [
        [1, 1, 1, 2], [0, 1, 1, 2], [2, 0, 1, 2], [1, 0, 0, 2],
        [6, 1, 1, 0],   # found
        [0, 6, 3, 0],   # as near to di: a miss
        [1, 9, 0, 0],   # somebody else comes first: a miss
        [1, 1, 1, 9],   # below the threshold: a miss
        [1, 1, 3, 0],   # is enrolled: left out
    ]  # fmt: skip
    found = calibrate(gallery, rows, names, fpir=0.3)
    assert (found.fnir, found.mated) == (3 / 4, 4)
    assert found.fnir_low < 3 / 4 < found.fnir_high
    assert "1 probes that are enrolled themselves were left out" in found.note
    lost = calibrate(gallery, rows, names, fpir=0.3, failures=["ada"])
    assert (lost.fnir, lost.mated) == (4 / 5, 5)
    assert calibrate(gallery, rows[:4], names[:4], fpir=0.3).fnir is None


def test_a_strangers_picture_that_could_not_be_embedded_is_a_search_without_a_name(
    gallery: Gallery,
) -> None:
    rows = [[0, 1, 1, 1], [0, 1, 0, 1], [1, 1, 1, 1]]
    with pytest.raises(InputError, match="3 searches of strangers"):
        calibrate(gallery, rows, ["p", "q", "r"], fpir=0.25)
    found = calibrate(gallery, rows, ["p", "q", "r"], fpir=0.25, failures=["p"])
    assert (found.reached, found.trials, found.strangers) == (0.25, 4, 3)
    with pytest.raises(InputError, match="expected probes of strangers"):
        calibrate(gallery, [[6, 1, 1, 0]], ["ada"], fpir=0.25, failures=["x", "y", "z", "w"])
    everything = calibrate(gallery, rows, ["p", "q", "r"], fpir=0.5, failures=["x"] * 3)
    assert (everything.value, everything.reached) == (-1.0, 0.5), "cosines are not lower"


@pytest.mark.parametrize(
    ("labels", "rates", "message"),
    [
        (["p", "q"], {}, "expected one of fpir and fmr between 0 and 1"),
        (["p", "q"], {"fpir": 0.1, "fmr": 0.1}, "expected one of fpir and fmr"),
        (["p", "q"], {"fpir": 0.0}, "expected one of fpir and fmr between 0 and 1, got fpir 0.0"),
        (["p", "q"], {"fmr": 1.0}, "between 0 and 1"),
        (["p", "q"], {"fpir": float("nan")}, "between 0 and 1, got fpir nan"),
        (["ada", "bob"], {"fpir": 0.5}, "everybody on them is enrolled"),
        (["p"], {"fpir": 0.5}, "the person on each of 2 probes, got 1 labels"),
        ([0.5, 1.5], {"fpir": 0.5}, "labels must be one name"),
        (["p", "p"], {"fpir": 0.5}, "one stranger is one trial"),
        (
            ["p", "q"],
            {"fpir": 0.01},
            "2 searches of strangers; .*: add 298 more to measure it, 2,998 more to trust it",
        ),
    ],
)
def test_what_cannot_be_measured_is_refused(
    gallery: Gallery, labels: list[str], rates: dict[str, float], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        calibrate(gallery, [[0, 1, 1, 1], [0, 1, 2, 1]], labels, **rates)
    assert gallery.threshold is None


def test_who_follows_the_advice_can_measure(gallery: Gallery) -> None:
    random = np.random.default_rng(5)
    rows = np.abs(random.normal(size=(400, WIDTH))) + 0.1
    with pytest.raises(InputError) as refused:
        calibrate(gallery, rows[:20], [f"p{n // 2}" for n in range(20)], fpir=0.02)
    more = int(re.search(r"add (\d+) more to measure", str(refused.value))[1])
    enough = 20 + 2 * more
    found = calibrate(gallery, rows[:enough], [f"p{n // 2}" for n in range(enough)], fpir=0.02)
    assert found.reached > 0
    assert "30 are needed to trust it" in found.note
    still = int(re.search(r"([\d,]+) more strangers", found.note)[1].replace(",", ""))
    trusted = enough + 2 * still
    many = np.abs(random.normal(size=(trusted, WIDTH))) + 0.1
    found = calibrate(gallery, many, [f"p{n // 2}" for n in range(trusted)], fpir=0.02)
    assert found.note == ""


def test_a_stranger_on_an_enrolled_picture_and_another_contract_are_refused(
    gallery: Gallery,
) -> None:
    rows = [[0, 1, 1, 1], [0, 6, 2, 0]]
    for rate in ({"fpir": 0.5}, {"fmr": 0.5}):
        with pytest.raises(InputError, match="a picture of 'eve' is enrolled as 'bob'"):
            calibrate(gallery, rows, ["p", "eve"], **rate)
    other = Contract("other", "cd" * 32, WIDTH, Preprocessing())
    with pytest.raises(InputError, match="cannot be compared"):
        calibrate(gallery, rows, ["p", "q"], fpir=0.5, contract=other)
    with pytest.raises(InputError, match="expected 4 dimensions"):
        calibrate(gallery, [[1, 2], [2, 1]], ["p", "q"], fpir=0.5)
    with pytest.raises(InputError, match="finite"):
        calibrate(gallery, [[np.nan] * 4, [1] * 4], ["p", "q"], fpir=0.5)


def test_an_empty_gallery_has_no_threshold(tmp_path: Path) -> None:
    with (
        Gallery.create(tmp_path / "g", CONTRACT) as empty,
        pytest.raises(InputError, match="nobody is enrolled"),
    ):
        calibrate(empty, [[1, 0, 0, 0]], ["p"], fpir=0.5)


@pytest.mark.parametrize("rule", ["fpir", "fmr"])
def test_a_strangers_picture_seen_again_tells_nothing_new(gallery: Gallery, rule: str) -> None:
    random = np.random.default_rng(2)
    rows = np.abs(random.normal(size=(12, WIDTH))) + 0.1
    names = np.array([f"p{number}" for number in range(12)])
    once = calibrate(gallery, rows, names, **{rule: 0.25})
    often = calibrate(gallery, rows.repeat(4, axis=0), names.repeat(4), **{rule: 0.25})
    assert (often.value, often.reached) == (once.value, once.reached)
    if rule == "fpir":
        assert (often.low, often.high) == pytest.approx((once.low, once.high), rel=1e-9)
    apart = calibrate(gallery, rows.repeat(4, axis=0), np.arange(48), **{rule: 0.25})
    width, more_pictures, more_people = (one.high - one.low for one in (once, often, apart))
    assert more_pictures > 0.75 * width > 1.25 * more_people


def test_the_data_and_the_date_are_told(gallery: Gallery) -> None:
    rows, names = [[0, 1, 1, 1], [0, 1, 2, 1]], ["p", "q"]
    found = calibrate(gallery, rows, names, fpir=0.5)
    assert found.data == calibrate(gallery, rows, names, fmr=0.5).data
    assert found.data != calibrate(gallery, rows[::-1], names, fpir=0.5).data
    assert found.data != calibrate(gallery, rows, ["p", "x"], fpir=0.5).data
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", found.date)
    assert Threshold.from_json(found.to_json()) == found


def test_progress_is_told(gallery: Gallery) -> None:
    from contextlib import contextmanager

    told: list[tuple[str, int]] = []

    @contextmanager
    def watch(what: str, total: int) -> Iterator[object]:
        yield lambda done, note="": told.append((what, done))

    calibrate(
        gallery, [[0, 1, 1, 1], [0, 1, 2, 1], [1] * 4], ["p", "q", "cy"], fpir=0.5, watch=watch
    )
    assert told == [("searching", 2), ("searching", 3)]


def test_a_gallery_that_has_outgrown_its_threshold_warns_and_says_by_how_much(
    tmp_path: Path,
) -> None:
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        gallery.enroll("ada", [1, 0, 0, 0])
        rows = [[1, 1, 1, 1], [0, 1, 0, 1], [0, 1, 1, 0], [0, 0, 1, 1]]
        gallery.set_threshold(calibrate(gallery, rows, list("pqrs"), fpir=0.25))
        gallery.identify(rows)
        assert gallery.stats().outgrown is None
        gallery.enroll("bob", [0, 1, 0, 0])
        with pytest.warns(OutgrownWarning, match="set for 1 people and 2 .* about 0.44 instead"):
            gallery.identify(rows)
        assert "recognition calibrate" in gallery.stats().outgrown
        gallery.identify(rows, threshold=0.5)
        gallery.set_threshold(calibrate(gallery, rows, list("pqrs"), fmr=0.25))
        gallery.enroll("cy", [0, 0, 1, 0])
        gallery.identify(rows)  # the rate of comparisons is the same for any number of people


def test_fpir_grows_as_is_said_where_comparisons_are_independent() -> None:
    """Each person enrolled is met with the same small chance, independently."""
    random = np.random.default_rng(0)
    best = random.random((20_000, 60))
    at = np.quantile(best[:, :20].max(axis=1), 0.95)
    threshold = Threshold(float(at), "fpir", 0.05, people=20, strangers=20_000)
    told = float(re.search(r"about ([\d.]+) instead", threshold.outgrown(60))[1])
    assert told == pytest.approx((best.max(axis=1) > at).mean(), abs=0.01)


@pytest.mark.parametrize("pictures", [1, 3])
def test_the_interval_holds_the_true_fpir_about_as_often_as_it_says(
    tmp_path: Path, pictures: int
) -> None:
    """Strangers differ from each other, their pictures less; 80 calibrations on 60 people each."""
    random = np.random.default_rng(1)
    people = random.normal(size=(5, WIDTH))

    def draw(count: int) -> np.ndarray:
        own = random.normal(size=(count, 1, WIDTH))
        return (own + 0.5 * random.normal(size=(count, pictures, WIDTH))).reshape(-1, WIDTH)

    true = np.sort((unit_rows(draw(50_000)) @ unit_rows(people).T).max(axis=1))
    held, repeats = 0, 80
    with Gallery.create(tmp_path / "g", CONTRACT) as gallery:
        for number, row in enumerate(people):
            gallery.enroll(f"p{number}", row)
        labels = np.repeat([f"s{number}" for number in range(60)], pictures)
        for _ in range(repeats):
            found = calibrate(gallery, draw(60), labels, fpir=0.1)
            rate = 1 - np.searchsorted(true, found.value) / len(true)
            held += found.low <= rate <= found.high
    assert 0.90 <= held / repeats <= 1
