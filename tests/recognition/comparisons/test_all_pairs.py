import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import all_pairs, pilot, product, sorted_rows, walk
from recognition.comparisons.all_pairs import _tally, tally_all
from recognition.comparisons.pairs import compare_all
from recognition.comparisons.product import Product, _keeps_to_guard, fastest, guard
from recognition.comparisons.sieve import Sieve
from recognition.comparisons.sorted_rows import sort_rows
from recognition.comparisons.tail import Tail
from recognition.comparisons.walk import Plan
from recognition.embeddings import unit_rows
from recognition.errors import InputError


def blocks(size, noise=0.0):
    """Blocks of this size; `noise` is how much of the guard the products are off."""

    def choose(rows):
        random = np.random.default_rng(size)

        def multiply(a, b, out):
            np.matmul(a, b.T, out=out)
            out += (noise * guard(a.shape[1]) * random.uniform(-1, 1, out.shape)).astype(np.float32)

        return Product({"test": multiply}, size)

    return choose


def faces(seed, pictures=400, people=60, dim=6, copies=0):
    """Embeddings around their people's; `copies` of them repeat another one, as ties."""
    random = np.random.default_rng(seed)
    labels = random.permutation(np.append(random.integers(people, size=pictures - 2), [0, 0]))
    rows = random.normal(size=(people, dim))[labels] + 0.7 * random.normal(size=(pictures, dim))
    rows[random.integers(pictures, size=copies)] = rows[random.integers(pictures, size=copies)]
    return rows.astype(np.float32), labels


def tally(rows, labels, tail_fmr=1e-3, curve=20, *, size=100, noise=0.0, **plan):
    plan = {"least_tail": 1, "sample": 2**16, "tile": 3000, **plan}
    return _tally(
        rows, labels, tail_fmr, curve, None, None, Plan(product=blocks(size, noise), **plan)
    )


def agrees(found, rows, labels):
    """All that a tally says is what the whole table says."""
    whole = compare_all(rows, labels)
    scores = np.sort(whole.nonmated)[::-1]
    np.testing.assert_array_equal(found.mated, whole.mated)
    np.testing.assert_array_equal(found.mated_person, whole.mated_person)
    assert found.nonmated_count == len(scores)
    np.testing.assert_array_equal(found.tail, scores[scores >= np.float64(found.floor)])
    assert [int((scores >= t).sum()) for t in found.thresholds] == found.counts.tolist()
    assert found.nonmated_mean == pytest.approx(scores.mean(dtype=np.float64), abs=1e-7)
    assert found.nonmated_sd == pytest.approx(scores.std(dtype=np.float64), abs=1e-6)
    assert found.people == whole.people
    i, j = found.tail_pairs.T
    assert (i < j).all()
    np.testing.assert_array_equal(np.lexsort((j, i, -found.tail)), np.arange(len(i)))
    unit = unit_rows(rows)
    np.testing.assert_array_equal(
        np.einsum("ij,ij->i", unit[i], unit[j]).astype(np.float32), found.tail
    )
    names = np.unique(labels.astype(str))
    np.testing.assert_array_equal(names[found.tail_persons], labels.astype(str)[found.tail_pairs])
    assert (found.tail_persons[:, 0] != found.tail_persons[:, 1]).all()
    assert len({*zip(i.tolist(), j.tolist(), strict=True)}) == len(i)
    return scores


def same(one, two):
    for field in dataclasses.fields(one):
        np.testing.assert_array_equal(getattr(one, field.name), getattr(two, field.name))


@settings(max_examples=25)
@given(
    seed=st.integers(0, 10**6),
    pictures=st.integers(60, 300),
    copies=st.integers(0, 200),
    tail_fmr=st.sampled_from([1e-6, 1e-3, 0.02, 0.3, 1.0]),
    size=st.integers(7, 320),
    curve=st.integers(0, 30),
)
def test_a_tally_is_the_whole_table_cut_off(seed, pictures, copies, tail_fmr, size, curve):
    rows, labels = faces(seed, pictures, copies=min(copies, pictures))
    found = tally(rows, labels, tail_fmr, curve, size=size)
    scores = agrees(found, rows, labels)
    wanted = min(len(scores), int(tail_fmr * len(scores)) + 1)
    if len(found.tail) < wanted:  # only for a clump just below the floor
        below = (scores < found.floor) & (scores > found.floor - 10 * guard(6))
        assert below.sum() > 0.005 * len(scores)
    elif len(found.tail) > wanted and not found.complete:  # only for ties with the last of them
        assert scores[wanted - 1] == found.tail[-1]


@settings(max_examples=6)
@given(st.integers(0, 10**6), st.integers(30, 320), st.sampled_from([500, 5000, 10**6]))
def test_neither_blocks_nor_rounding_nor_threads_show(seed, size, tile):
    rows, labels = faces(seed, copies=100)
    whole = tally(rows, labels, size=400)
    same(tally(rows, labels, size=size, tile=tile, noise=0.6), whole)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("OMP_NUM_THREADS", "3")
        same(tally(rows, labels, size=size, tile=tile, noise=0.6), whole)
        patch.setattr(walk, "GATHER", 5)
        patch.setattr(sorted_rows, "CHUNK", 7)
        same(
            dataclasses.replace(tally(rows, labels, size=size), nonmated_mean=0, nonmated_sd=0),
            dataclasses.replace(whole, nonmated_mean=0, nonmated_sd=0),
        )


def test_the_order_of_pictures_changes_only_the_pairs():
    rows, labels = faces(1)
    order = np.random.default_rng(0).permutation(len(rows))
    one, two = tally(rows, labels), tally(rows[order], labels[order])
    np.testing.assert_array_equal(one.tail, two.tail)
    pairs = [{*map(frozenset, p.tolist())} for p in (one.tail_pairs, order[two.tail_pairs])]
    assert pairs[0] == pairs[1]


def test_scores_within_rounding_of_a_threshold_are_decided_exactly():
    """Every score is put beside a threshold: what float32 says about it is worthless."""
    rows, labels = faces(2, pictures=200, dim=500)
    rows[:] = rows.mean(axis=0) * 40 + rows  # all within a narrow cone
    found = tally(rows, labels, 1e-3, 30, noise=0.99)
    agrees(found, rows, labels)
    assert len(found.thresholds) >= 3
    with pytest.raises(ArithmeticError, match="full precision"):
        tally(rows, labels, 1e-3, 30, noise=50)


@pytest.mark.parametrize("shift", [0, 1, 30, 1000])
def test_moments_hold_in_cones_however_narrow(shift):
    rows, labels = faces(10, pictures=600, dim=40)
    rows = rows.astype(np.float64) + shift
    unit = unit_rows(rows)
    apart = np.triu(labels[:, None] != labels)
    scores = (unit @ unit.T)[apart]
    found = tally(rows, labels)
    assert not found.complete
    assert found.nonmated_mean == pytest.approx(scores.mean(), abs=1e-7)
    assert found.nonmated_sd == pytest.approx(scores.std(), rel=1e-5, abs=1e-7)


def test_thresholds_are_near_the_rates_they_are_placed_for():
    rows, labels = faces(3, pictures=3000, people=500, dim=32)
    found = _tally(rows, labels, 1e-4, 50, None, None, Plan(least_tail=1))
    agrees(found, rows, labels)
    for rate in (1e-3, 1e-2, 1e-1):
        threshold = found.threshold_allowing(int(rate * found.nonmated_count))
        assert 0.9 * rate < found.false_matches(threshold) / found.nonmated_count <= rate
    assert len(found.thresholds) >= 40
    assert set(found.thresholds * 2**21 % 2) == {1}  # what no data would single out
    assert found.counts[0] < 2e-4 * found.nonmated_count
    assert found.allows_exactly(int(1e-4 * found.nonmated_count))


def test_nothing_is_placed_where_scores_crowd():
    """A third of all scores is at 0.3: they would all have to be computed exactly."""
    random = np.random.default_rng(0)
    seen = np.sort(np.where(random.random(60_000) < 0.3, 0.3, random.normal(0, 0.2, 60_000)))
    seen, limit = seen.astype(np.float32), guard(512)
    for share in (1e-4, 0.05, 0.1, 0.2, 0.3):
        floor, moved = pilot.tail_floor(seen, share, limit)
        assert (seen >= floor).mean() >= share or moved
        assert abs(floor - 0.3) > 2 * limit
        where = pilot.thresholds(seen, share, 50, floor, limit)
        assert (np.abs(where - 0.3) > 2 * limit).all()
        assert (np.diff(where) < -3 * limit).all()


def test_small_sets_are_kept_whole():
    rows, labels = faces(4, pictures=300)
    found, whole = tally_all(rows, labels), compare_all(rows, labels)
    agrees(found, rows, labels)
    assert found.complete
    for one, two in zip(found.steps, whole.steps, strict=True):
        np.testing.assert_array_equal(one, two)


def test_a_floor_that_was_too_high_is_lowered(monkeypatch):
    rows, labels = faces(5, copies=50)
    whole = tally(rows, labels)
    right, asked = pilot.tail_floor, []

    def too_high(scores, share, limit):
        asked.append(share)
        return (0.99999, False) if len(asked) < 3 else right(scores, share, limit)

    notes = []
    monkeypatch.setattr(pilot, "tail_floor", too_high)
    plan = Plan(product=blocks(100), least_tail=1, sample=2**16)
    found = _tally(rows, labels, 1e-3, 20, None, lambda done, note="": notes.append(note), plan)
    assert len(asked) == 3
    assert asked[2] == 16 * asked[0]
    assert [bool(note) for note in notes] == [False] * 4 + [True] * 8
    np.testing.assert_array_equal(found.tail, whole.tail)
    agrees(found, rows, labels)


def test_a_value_that_countless_pairs_share_is_left_below():
    """30 % of the scores are 1: more than may be held, and no reason to lose what is exact."""
    rows, labels = faces(6, pictures=900, people=900)
    labels[:2] = 0
    rows[300:] = rows[300]
    found = tally(rows, labels, 0.01)
    scores = agrees(found, rows, labels)
    assert (scores >= 1).mean() > 0.3
    assert len(found.tail) == 0
    assert found.floor > 1
    assert found.threshold_allowing(5000) > 1  # accepts nobody, as the whole table would
    assert compare_all(rows, labels).threshold_allowing(5000) > 1


def test_all_scores_equal():
    rows, labels = np.ones((700, 3)), np.arange(700) // 2
    found = tally(rows, labels, 0.01)
    assert len(found.tail) == len(found.thresholds) == 0
    assert found.steps.false.tolist() == [0, found.nonmated_count]
    assert found.steps.true.tolist() == [0, 350]
    assert (found.nonmated_mean, found.nonmated_sd) == (
        pytest.approx(1),
        pytest.approx(0, abs=1e-6),
    )
    agrees(found, rows, labels)


@given(st.lists(st.integers(0, 12), min_size=20, max_size=200), st.integers(1, 20), st.data())
def test_a_tail_depends_on_the_scores_alone(values, want, data):
    most = want + data.draw(st.integers(0, 20))
    order = data.draw(st.permutations(range(len(values))))
    values = np.array(values, np.float32)
    ends = []
    for places in (np.arange(len(values)), np.array(order)):
        tail = Tail(want, most, -np.inf)
        for part in np.array_split(places, 5):
            tail.add(values[part], part.astype(np.int32), part.astype(np.int32))
            assert len(tail) <= most
        tail.cut()
        scores, first, _ = tail.held()
        np.testing.assert_array_equal(values[first], scores)
        assert len(scores) == (values >= tail.floor).sum()
        ends.append((tail.floor, sorted(first.tolist())))
    assert ends[0] == ends[1]
    held, reached = len(ends[0][1]), np.sort(values)[::-1]
    if len(values) >= want and (values >= reached[want - 1]).sum() <= most:
        assert held >= want


@given(st.integers(0, 10**6), st.integers(0, 8), st.floats(-0.9, 0.9))
def test_a_sieve_finds_whatever_is_in_doubt(seed, count, floor):
    random = np.random.default_rng(seed)
    limit = 0.001
    scores = random.normal(0, random.choice([0.01, 0.3]), 4000).clip(-1, 1).astype(np.float32)
    scores = np.where(random.random(4000) < 0.2, np.round(scores, 1), scores).astype(np.float32)
    where = np.float32(floor) - limit * np.cumsum(random.uniform(4, 60, count))
    where = where.astype(np.float32).astype(np.float64)
    scores[: 20 * count] = np.tile(where, 20)  # what ties with a threshold is above it
    products = scores + (limit * random.uniform(-0.99, 0.99, 4000)).astype(np.float32)
    hidden = random.random(4000) < 0.1
    products[hidden] = np.nan
    sieve = Sieve(where, floor, limit)
    find = sieve.sift(products.reshape(40, 100), np.ones((40, 100), bool))
    counts, high = sieve.decide(find, scores[find.places])
    kept = scores[~hidden]
    assert counts.tolist() == [int((kept >= t).sum()) for t in where]
    tail = find.places[high][scores[find.places[high]] >= np.float64(floor)]
    assert sorted(tail.tolist()) == np.flatnonzero((scores >= np.float64(floor)) & ~hidden).tolist()


@pytest.mark.parametrize("dtype", ["f2", "f4", "f8", ">f4", "i2"])
def test_types_maps_and_layouts_give_the_same_table(dtype, tmp_path):
    rows, labels = faces(7)
    rows = (rows * 50).astype(dtype)
    path = tmp_path / "rows.npy"
    np.save(path, rows)
    wide = np.zeros((len(rows), 12), dtype)
    wide[:, ::2] = rows
    names = np.array([f"p{label}" for label in labels])
    one = tally(rows.astype(np.float64), names)
    for other in (rows, np.load(path, mmap_mode="r"), wide[:, ::2], np.asfortranarray(rows)):
        same(tally(other, names), one)
    np.testing.assert_array_equal(rows, np.load(path))


@given(st.integers(0, 10**6), st.integers(1, 40), st.sampled_from([np.float16, np.float32, float]))
def test_exact_rows_are_those_of_every_other_metric(seed, dim, dtype):
    random = np.random.default_rng(seed)
    rows = (random.normal(size=(50, dim)) * 10.0 ** random.integers(-3, 3, (50, 1))).astype(dtype)
    rows[rows == 0] = 1
    labels = random.integers(5, size=50)
    found = sort_rows(rows, labels)
    np.testing.assert_array_equal(found.exact(slice(None)), unit_rows(rows)[found.order])
    some = random.integers(50, size=7)
    np.testing.assert_array_equal(found.exact(some), unit_rows(rows)[found.order[some]])
    assert found.rounded.dtype == np.float32


def test_products_are_made_by_routines_that_round_as_they_should(monkeypatch):
    rows = sort_rows(np.random.default_rng(0).normal(size=(1100, 64)), np.arange(1100) // 2).rounded
    assert fastest(rows).name == "numpy"
    assert fastest(rows[:50]).block == 50
    known = dict(product._routines())
    assert next(iter(known)) == "numpy"
    assert all(_keeps_to_guard(routine, rows) for routine in known.values())

    def coarse(a, b, out):
        out[:] = a.astype(np.float16) @ b.T.astype(np.float16)

    assert not _keeps_to_guard(coarse, rows)
    monkeypatch.setattr(product, "MANY", 1000)
    monkeypatch.setattr(
        product, "_routines", lambda: iter([("coarse", coarse), ("numpy", known["numpy"])])
    )
    assert fastest(rows).name == "numpy"


def test_the_quickest_routine_wins_and_every_product_is_made():
    clock, used = [0.0], []

    def routine(name, seconds):
        def multiply(a, b, out):
            used.append(name)
            clock[0] += seconds.pop(0) if len(seconds) > 1 else seconds[0]
            np.matmul(a, b.T, out=out)

        return multiply

    rows = np.eye(8, dtype=np.float32)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product.time, "perf_counter", lambda: clock[0])
        race = Product({"a": routine("a", [2.0]), "b": routine("b", [9.0, 1.0])}, 8)
        for height in (8, 3, 8, 8, 8, 8, 8, 8, 8):
            out = np.empty((height, 8), np.float32)
            race.multiply(rows[:height], rows, out)
            np.testing.assert_array_equal(out, rows[:height])
    assert used == ["a", "a", "b", "a", "b", "a", "b", "b", "b"]
    assert race.name == "b"


def test_progress_ends_with_all_pairs():
    rows, labels = faces(8)
    told = []
    plan = Plan(product=blocks(150), least_tail=1, sample=2**14)
    _tally(rows, labels, 1e-3, 5, None, lambda done, note="": told.append((done, note)), plan)
    n = len(rows)
    assert [done for done, _ in told] == [
        150 * n - 150 * 151 // 2,
        300 * n - 300 * 301 // 2,
        n * (n - 1) // 2,
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"embeddings": np.ones(4)}, "matrix"),
        ({"embeddings": np.full((4, 2), "a")}, "matrix"),
        (
            {"embeddings": [[1, 1], [1, 2], [0, 0], [0, 0]]},
            r"row 2 is all zeros \(2 such rows of 4",
        ),
        ({"embeddings": [[1, 1], [1, 2], [1, 0], [np.nan, 1]]}, "row 3 holds NaN"),
        ({"labels": [1, 2, 3]}, "4 pictures"),
        ({"labels": [1, 2, 3, 4]}, "add pictures"),
        ({"labels": [1, 1, 1, 1]}, "add pictures"),
        ({"tail_fmr": 0.0}, "tail_fmr above 0"),
        ({"tail_fmr": float("nan")}, "tail_fmr above 0"),
        ({"tail_fmr": 1.5}, "tail_fmr above 0"),
        ({"curve": -1}, "number of thresholds"),
        ({"curve": True}, "number of thresholds"),
    ],
)
def test_bad_input_is_refused(change, message):
    good = {"embeddings": [[1, 1], [1, 2], [1, 0], [0, 1]], "labels": [1, 1, 2, 2]}
    tally_all(**good)
    with pytest.raises(InputError, match=message):
        tally_all(**{**good, **change})


def test_too_many_scores_to_keep_are_refused(monkeypatch):
    rows, labels = faces(9)
    monkeypatch.setattr(all_pairs, "MOST_TAIL", 5000)
    with pytest.raises(InputError, match="ask for at most"):
        tally(rows, labels, 0.5)
    monkeypatch.setattr(all_pairs, "MOST_MATED", 10)
    with pytest.raises(InputError, match="leave out some pictures"):
        tally(rows, labels)
