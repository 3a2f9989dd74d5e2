import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from recognition.comparisons import all_pairs, pilot, product, sorted_rows, threads, walk
from recognition.comparisons.all_pairs import _tally, tally_all
from recognition.comparisons.pairs import compare_all
from recognition.comparisons.product import (
    Candidates,
    Product,
    candidates,
    choose,
    coarse_guard,
    guard,
    singles_of,
)
from recognition.comparisons.sieve import CoarseSieve, Sieve
from recognition.comparisons.sorted_rows import sort_rows
from recognition.comparisons.tail import Tail
from recognition.comparisons.walk import Plan
from recognition.embeddings import as_scores, unit_rows
from recognition.errors import InputError


def blocks(size, noise=0.0):
    """Blocks of this size; `noise` is how much of the guard the products are off."""

    def choose(rows):
        random = np.random.default_rng(size)

        limit = guard(rows.shape[1])

        def multiply(across, down, out):
            np.matmul(rows[across], rows[down].T, out=out)
            out += (noise * limit * random.uniform(-1, 1, out.shape)).astype(np.float32)

        return Candidates(size, (Product("test", limit, False, multiply),))

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
        rows, labels, tail_fmr, curve, None, None, Plan(candidates=blocks(size, noise), **plan)
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
    np.testing.assert_array_equal(as_scores(np.einsum("ij,ij->i", unit[i], unit[j])), found.tail)
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
        patch.setattr(sorted_rows, "GATHER", 5)
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
    plan = Plan(candidates=blocks(100), least_tail=1, sample=2**16)
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
    find = sieve.sift(products.reshape(40, 100), np.ones((3, 4000), bool))
    counts, high = sieve.decide(find, scores[find.places])
    kept = scores[~hidden]
    assert counts.tolist() == [int((kept >= t).sum()) for t in where]
    tail = find.places[high][scores[find.places[high]] >= np.float64(floor)]
    assert sorted(tail.tolist()) == np.flatnonzero((scores >= np.float64(floor)) & ~hidden).tolist()


@pytest.mark.parametrize("limit", [1e-3, 3e-5, 0.01])
def test_products_at_the_very_edge_of_their_guard_are_no_error(limit):
    """A score just below a threshold whose product is as far above it as it can be, and reversed."""
    random = np.random.default_rng(0)
    for threshold in (random.uniform(-2, 2, 500) * limit).tolist():
        up, down = np.float32(np.inf), np.float32(-np.inf)
        ends = np.float32([threshold - limit, threshold + limit])
        products = np.concatenate([ends, np.nextafter(ends, up), np.nextafter(ends, down)])
        reach = products[:, None].astype(np.float64) + np.array([-limit, limit])
        scores = np.concatenate([reach, np.full((6, 1), threshold)], axis=1).astype(np.float32)
        scores = np.stack([scores, np.nextafter(scores, up), np.nextafter(scores, down)])
        products = np.broadcast_to(products[:, None], scores.shape)
        possible = np.abs(products.astype(np.float64) - scores) <= limit
        possible &= np.abs(products - scores) <= np.float32(limit)
        products, scores = products[possible], scores[possible]
        for floor, where in ((9.0, [threshold]), (threshold, [])):
            sieve = Sieve(np.array(where), floor, limit)
            find = sieve.sift(products[:, None], np.ones((3, len(products)), bool))
            counts, high = sieve.decide(find, scores[find.places])
            assert counts.tolist() == [(scores >= np.float64(threshold)).sum()] * len(where)
            assert np.isin(np.flatnonzero(scores >= np.float64(floor)), find.places[high]).all()


def test_no_two_roundings_are_more_than_the_coarse_guard_allows():
    """Every component is rounded the same way, by nearly as much as bfloat16 can."""
    for dim in (66, 1000, 4096 + 33):
        rows = unit_rows(np.ones((1, dim))).astype(np.float32)
        for shift in np.linspace(1, 1.01, 50):
            half = singles_of(halves_of(rows * np.float32(shift))).astype(np.float64)
            lost = float(np.linalg.norm(rows - half))
            off = abs(float((half * half).sum()) - 1)
            assert off <= coarse_guard(dim, lost)
            assert off > 1.9 * lost - 1e-6  # nothing much less would do


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


def halves_of(values):
    """Rounded to bfloat16, ties to even, as bits."""
    bits = np.asarray(values, np.float32).view(np.uint32).astype(np.uint64)
    rounded = (bits + 0x7FFF + ((bits >> np.uint64(16)) & np.uint64(1))) >> np.uint64(16)
    return rounded.astype(np.uint16).view(np.int16)


def coarse_blocks(size, noise=0.0):
    """Products in bfloat16, off by this much of the guard before they are rounded."""

    def choose_from(rows):
        random = np.random.default_rng(size)
        lost = np.linalg.norm(rows - singles_of(halves_of(rows)), axis=1).max()
        limit = coarse_guard(rows.shape[1], float(lost))

        def multiply(across, down, out):
            exact = rows[across].astype(np.float64) @ rows[down].T.astype(np.float64)
            out[:] = halves_of(exact + noise * limit * random.uniform(-1, 1, exact.shape))

        fine = blocks(size)(rows).fine
        return Candidates(size, fine, (Product("coarse", limit, True, multiply),))

    return choose_from


@settings(max_examples=15)
@given(
    seed=st.integers(0, 10**6),
    size=st.integers(20, 320),
    tail_fmr=st.sampled_from([1e-3, 0.02, 0.2]),
    noise=st.sampled_from([0.0, 0.9]),
)
def test_coarse_products_find_the_same_tail(seed, size, tail_fmr, noise):
    rows, labels = faces(seed, copies=100)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(product, "GAIN", np.inf)  # chosen whatever time it takes
        patch.setattr(walk, "MOST_ASKED", 1.0)
        patch.setattr(product, "_race", lambda products, block: {p.name: 1.0 for p in products})
        plan = Plan(candidates=coarse_blocks(size, noise), tile=3000, least_tail=1, sample=2**16)
        found = _tally(rows, labels, tail_fmr, 0, None, None, plan)
    same(found, tally(rows, labels, tail_fmr, 0))
    agrees(found, rows, labels)


def test_coarse_products_are_given_up_where_they_leave_too_much_in_doubt(monkeypatch):
    rows, labels = faces(11, pictures=600)
    rows[:] = rows.mean(axis=0) * 100 + rows  # a cone so narrow that bfloat16 sees nothing
    used = []

    def chosen(rows):
        found = coarse_blocks(50)(rows)
        fine, coarse = (
            part._replace(
                multiply=lambda *x, part=part: used.append(part.name) or part.multiply(*x)
            )
            for part in (*found.fine, *found.coarse)
        )
        return Candidates(50, (fine,), (coarse,))

    monkeypatch.setattr(product, "_race", lambda products, block: {"test": 2.0, "coarse": 1.0})
    plan = Plan(candidates=chosen, least_tail=1, sample=2**14)
    found = _tally(rows, labels, 1e-3, 0, None, None, plan)
    assert used[0] == "coarse"
    assert 0 < used.count("coarse") <= 1 + walk.AHEAD * threads.threads() < used.count("test")
    assert used[-1] == "test"
    agrees(found, rows, labels)


@given(st.integers(0, 10**6), st.floats(0.01, 0.9))
def test_a_coarse_sieve_finds_whatever_may_reach_the_floor(seed, floor):
    random = np.random.default_rng(seed)
    limit = 0.005
    scores = as_scores(random.normal(0, 0.4, 4000).clip(-1, 1))
    scores[:50] = floor
    scores[50:100] = np.nextafter(np.float32(floor), np.float32(0))
    products = halves_of(scores + limit * random.uniform(-0.99, 0.99, 4000))
    assert CoarseSieve.serves(floor, limit)
    sieve = CoarseSieve(floor, limit)
    products[random.random(4000) < 0.1] = sieve.hidden
    find = sieve.sift(products.reshape(40, 100), np.ones((3, 4000), bool))
    np.testing.assert_array_equal(find.products, singles_of(products[find.places]))
    counts, high = sieve.decide(find, scores[find.places])
    assert high.all()
    assert len(counts) == 0
    reached = np.flatnonzero((scores >= np.float64(floor)) & (products != sieve.hidden))
    assert np.isin(reached, find.places).all()
    assert singles_of(products[find.places]).min() > floor - limit - 2.0**-7 * floor
    with pytest.raises(ArithmeticError, match="full precision"):
        sieve.decide(find, scores[find.places] + np.float32(0.02))
    assert not CoarseSieve.serves(limit / 2, limit)


def unlike_float32(rows):
    """A routine that multiplies in half precision, and says it does not."""

    def multiply(across, down, out):
        out[:] = rows[across].astype(np.float16) @ rows[down].T.astype(np.float16)

    return Product("half", guard(rows.shape[1]), False, multiply)


def few_bits(rows):
    """A routine that rounds to bfloat16 after every 64 terms, which only large sums show."""

    def multiply(across, down, out):
        sums = np.zeros(out.shape, np.float32)
        for at in range(0, rows.shape[1], 64):
            part = slice(at, at + 64)
            sums = singles_of(halves_of(sums + rows[across, part] @ rows[down, part].T))
        out[:] = halves_of(sums)

    return Product("few bits", 0.003, True, multiply)


def test_sums_in_few_bits_are_found_out_by_rows_with_themselves(monkeypatch):
    rows = unit_rows(np.random.default_rng(0).normal(size=(1100, 2048))).astype(np.float32)
    exact = rows[:100].astype(np.float64) @ rows[100:200].T.astype(np.float64)
    out = np.empty((100, 100), np.int16)
    few_bits(rows).multiply(slice(0, 100), slice(100, 200), out)
    assert np.abs(singles_of(out) - exact).max() < 0.003  # rows of others do not tell
    monkeypatch.setattr(product, "MANY", 1000)
    monkeypatch.setattr(product, "_products", lambda rows: [few_bits(rows)])
    assert not candidates(rows).coarse


def test_routines_that_do_not_round_as_they_say_are_left_out(monkeypatch):
    rows = sort_rows(np.random.default_rng(0).normal(size=(1100, 64)), np.arange(1100) // 2).rounded
    assert [p.name for p in candidates(rows).fine] == ["numpy"]
    assert candidates(rows[:50]).block == 50
    known = list(product._products(rows))
    assert [(p.name, p.coarse) for p in known] == [
        ("numpy", False),
        ("torch", False),
        ("torch bfloat16", True),
    ]
    monkeypatch.setattr(product, "MANY", 1000)
    found = candidates(rows)
    assert [p.name for p in (*found.fine, *found.coarse)] == [p.name for p in known]
    boastful = known[2]._replace(guard=known[2].guard / 50)
    monkeypatch.setattr(product, "_products", lambda rows: [unlike_float32(rows), boastful])
    found = candidates(rows)
    assert [p.name for p in (*found.fine, *found.coarse)] == ["numpy"]


@pytest.mark.parametrize("name", ["torch", "torch bfloat16"])
def test_products_are_within_their_guard(name):
    rows = unit_rows(np.random.default_rng(1).normal(size=(300, 96))).astype(np.float32)
    made = next(p for p in product._products(rows) if p.name == name)
    out = np.empty((200, 100), np.int16 if made.coarse else np.float32)
    made.multiply(slice(0, 200), slice(200, 300), out)
    exact = rows[:200].astype(np.float64) @ rows[200:].T.astype(np.float64)
    values = singles_of(out) if made.coarse else out
    off = np.abs(values - exact) - (2.0**-8 * np.abs(values) if made.coarse else 0)
    assert off.max() <= made.guard
    assert made.guard < (0.01 if made.coarse else 1e-5)


def test_the_quickest_routine_is_chosen(monkeypatch):
    clock = [0.0]

    def routine(name, seconds, coarse=False):
        def multiply(across, down, out):
            clock[0] += seconds.pop(0)

        return Product(name, 1e-6, coarse, multiply)

    def found(*coarse):
        fine = routine("a", [2.0, 2.0, 2.0]), routine("b", [9.0, 1.0, 5.0])
        return choose(Candidates(4, fine, coarse))

    monkeypatch.setattr(product.time, "perf_counter", lambda: clock[0])
    assert (found().fine.name, found().coarse) == ("b", None)
    assert found(routine("c", [0.9] * 3, True)).coarse is None  # not worth its second looks
    assert found(routine("c", [9.0, 9.0, 0.5], True)).coarse.name == "c"


def test_threads_are_given_back(monkeypatch):
    torch = pytest.importorskip("torch")
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    before = torch.get_num_threads()
    with threads.workers() as pool:
        seen = list(pool.map(lambda _: torch.get_num_threads(), range(20)))
    assert set(seen) == {1}
    assert torch.get_num_threads() == before
    with threads.ThreadPoolExecutor(1) as pool:
        assert pool.submit(torch.get_num_threads).result() == before


def test_what_a_sum_leaves_of_zero_is_zero():
    """Rows of -1, 0 and 1: many products are 0, and float64 sums make of them what they like."""
    random = np.random.default_rng(0)
    rows = random.integers(-1, 2, size=(300, 12)).astype(np.float32)
    rows[(rows == 0).all(axis=1)] = 1
    labels = np.arange(300) // 3
    whole = compare_all(rows, labels)
    assert len(np.unique(whole.nonmated[np.abs(whole.nonmated) < 1e-6])) == 1
    order = random.permutation(300)
    turned = compare_all(rows[order][:, random.permutation(12)], labels[order])
    np.testing.assert_array_equal(np.sort(turned.nonmated), np.sort(whole.nonmated))
    agrees(tally(rows, labels, 0.3), rows, labels)


def test_progress_ends_with_all_pairs():
    rows, labels = faces(8)
    told = []
    plan = Plan(candidates=blocks(150), least_tail=1, sample=2**14)
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
