"""A class axis on three processes is the class axis in one."""

import copy
from functools import cache
from typing import Any

import pytest
import ranks
import torch
from ranks import BATCHES, DIM, RANKS, WRONG_PARTS, Case, Found, cases, global_batch, train
from torch import Tensor

from margin_losses import MARGINS, Embedding
from margin_losses.functional import loss_of, terms
from margin_losses.shards import HERE, Shard

pytestmark = pytest.mark.slow
ROUNDING = {torch.float64: 1e-12, torch.float32: 2e-6, torch.bfloat16: 8e-3}
every_margin = pytest.mark.parametrize("name", MARGINS)
every_split = pytest.mark.parametrize("split", range(len(BATCHES)), ids=str)


@pytest.fixture(scope="module")
def of_ranks(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    return ranks.run(tmp_path_factory.mktemp("ranks"))


@cache
def in_one_process(case: Case) -> Found:
    return train(case.whole()._replace(kernel="dense"), HERE, slice(None))


def pairs(of_ranks: list[dict[str, Any]], name: str) -> list[tuple[Case, list[Found], Found]]:
    """What the ranks found for each case of a margin, and what one process did."""
    return [
        (case, [found["trained"][i] for found in of_ranks], in_one_process(case))
        for i, case in enumerate(cases())
        if case.margin == name
    ]


def assert_equal(found: Tensor, expected: Tensor, case: Case) -> None:
    assert found.dtype == expected.dtype
    assert found.isfinite().all() == expected.isfinite().all()
    size = expected.abs().max().item() if expected.numel() else 0
    tolerance = ROUNDING[case.dtype]
    torch.testing.assert_close(
        found, expected, rtol=tolerance, atol=tolerance * max(size, 1), msg=lambda m: f"{case}: {m}"
    )


@every_margin
def test_every_part_has_the_loss_of_the_whole(of_ranks: list[dict[str, Any]], name: str) -> None:
    for case, parts, whole in pairs(of_ranks, name):
        for part in parts:
            assert part["loss"].isfinite().all()
            assert_equal(part["loss"], whole["loss"], case)
            assert part["hits"].equal(whole["hits"]), case


@every_margin
def test_every_part_has_the_whole_gradient_of_the_embeddings(
    of_ranks: list[dict[str, Any]], name: str
) -> None:
    for case, parts, whole in pairs(of_ranks, name):
        for part in parts:
            assert_equal(part["x"], whole["x"], case)


@every_margin
def test_every_part_has_the_gradient_of_its_rows(of_ranks: list[dict[str, Any]], name: str) -> None:
    for case, parts, whole in pairs(of_ranks, name):
        for part, (start, stop) in zip(parts, case.parts, strict=True):
            assert_equal(part["weight"], whole["weight"][start:stop], case)


@every_margin
def test_every_part_has_the_statistics_and_draws_of_the_first(
    of_ranks: list[dict[str, Any]], name: str
) -> None:
    for case, parts, whole in pairs(of_ranks, name):
        for part in parts:
            assert part.keys() == whole.keys()
            for entry in (key for key in whole if key.startswith("state.")):
                assert part[entry].equal(parts[0][entry]), (case, entry)
                torch.testing.assert_close(
                    part[entry].double(), whole[entry].double(), rtol=1e-5, atol=1e-6
                )


@every_margin
def test_a_part_of_the_processes_can_share_the_axis(
    of_ranks: list[dict[str, Any]], name: str
) -> None:
    case = Case(name)
    whole = train(case.whole(), HERE, slice(None), seed=1)
    for rank, rows in ((1, slice(0, 5)), (2, slice(5, 12))):
        part = of_ranks[rank]["subgroup"]["found"][name]
        assert_equal(part["loss"], whole["loss"], case)
        assert_equal(part["x"], whole["x"], case)
        assert_equal(part["weight"], whole["weight"][rows], case)


@every_margin
def test_a_head_of_a_part_is_the_head(of_ranks: list[dict[str, Any]], name: str) -> None:
    whole = ranks.train_head(name, HERE, slice(None))
    for rank, found in enumerate(of_ranks):
        part = found["heads"][name]
        rows = whole["weight"][4 * rank : 4 * rank + 4]
        for key, expected in {**whole, "weight": rows}.items():
            torch.testing.assert_close(part[key], expected, rtol=1e-12, atol=1e-12)


def test_draws_differ_without_agreement() -> None:
    first, second = (
        train(Case("elasticarcface"), HERE, slice(None), seed=seed)["loss"] for seed in (0, 1)
    )
    assert not first.equal(second)


def test_even_parts_differ_by_one_at_most_and_the_first_are_larger(
    of_ranks: list[dict[str, Any]],
) -> None:
    for found in of_ranks:
        assert found["even"] == {
            1: ((0, 1), (1, 1), (1, 1)),
            2: ((0, 1), (1, 2), (2, 2)),
            3: ((0, 1), (1, 2), (2, 3)),
            1000: ((0, 334), (334, 667), (667, 1000)),
        }


def test_a_part_knows_its_size(of_ranks: list[dict[str, Any]]) -> None:
    for rank, found in enumerate(of_ranks):
        assert found["sizes"] == [
            stop - start for start, stop in (p[rank] for p in ranks.ALL_PARTS)
        ]


@pytest.mark.parametrize("wrong", WRONG_PARTS)
def test_parts_that_do_not_make_a_whole_are_refused_everywhere_alike(
    of_ranks: list[dict[str, Any]], wrong: str
) -> None:
    listed = ", ".join(f"rank {i}: [{a}, {b})" for i, (a, b) in enumerate(WRONG_PARTS[wrong]))
    for found in of_ranks:
        assert found["refused"][wrong].startswith("ValueError: Shard: expected parts")
        assert f"got {listed};" in found["refused"][wrong]


def test_parts_of_different_wholes_are_refused_everywhere_alike(
    of_ranks: list[dict[str, Any]],
) -> None:
    for found in of_ranks:
        assert "rank 0: [0, 5), rank 1: [4, 8), rank 2: [8, 12)" in found["other numbers"]
        assert "expected parts of 13 classes, got 12" in found["other size"]


def test_a_process_outside_the_group_is_refused(of_ranks: list[dict[str, Any]]) -> None:
    assert "ValueError: Shard: expected a group" in of_ranks[0]["subgroup"]["refused"]
    assert "without rank 0" in of_ranks[0]["subgroup"]["refused"]


def test_without_a_process_group_there_are_no_parts() -> None:
    for make in (lambda: Shard(0, 3), lambda: Shard.even(3)):
        with pytest.raises(ValueError, match="init_process_group"):
            make()


def test_a_copy_shares_the_group_and_a_pickle_refuses_it(of_ranks: list[dict[str, Any]]) -> None:
    assert copy.deepcopy(HERE).size(7) == 7
    for found in of_ranks:
        assert found["copies"] == [True, True, True]
    for found in of_ranks[1:]:
        assert found["subgroup"]["copied"]
        assert "TypeError: Shard: a process group cannot be pickled" in found["subgroup"]["pickled"]


def test_second_derivatives_are_refused(of_ranks: list[dict[str, Any]]) -> None:
    for rank, found in enumerate(of_ranks):
        # nothing depends on the weight of the empty part
        for by in ("x", "batch") if rank == 1 else ("x", "batch", "weight"):
            assert found["twice"][by].startswith("NotImplementedError"), by
            assert "first derivatives only" in found["twice"][by]


def test_parts_agree_on_what_is_new_in_the_state_and_leave_the_rest(
    of_ranks: list[dict[str, Any]],
) -> None:
    for rank, found in enumerate(of_ranks):
        assert found["agreed"]["state"] == {
            "kept": [float(rank)] * 2,
            "count": 1,
            "drawn": [[0.0] * 4] * 2,
        }
        assert found["agreed"]["untouched"] == [rank + 1, [rank / 4]]


@every_split
@pytest.mark.parametrize("how", ["gathered", "averaged"])
def test_gathered_batches_train_the_network_as_one_batch_does(
    of_ranks: list[dict[str, Any]], how: str, split: int
) -> None:
    case = Case("arcface")
    sizes = BATCHES[split]
    x, labels = global_batch(sum(sizes))
    weight = ranks.drawn(case)[1].requires_grad_()
    network = torch.eye(DIM, dtype=torch.float64, requires_grad=True)
    rows = x @ network
    rows.retain_grad()
    margin = MARGINS[case.margin]()
    loss_of(
        terms(Embedding.of(rows), weight, labels, margin, margin.geometry), margin
    ).mean().backward()
    factor = RANKS if how == "averaged" else 1
    local, of_weight = rows.grad.split(sizes), weight.grad.split(4)
    for rank, found in enumerate(of_ranks):
        made = found[how][split]
        assert made["rows"].equal(rows)
        assert made["labels"].equal(labels)
        assert_equal(made["local"], factor * local[rank], case)
        assert_equal(made["network"], network.grad, case)
        assert_equal(made["weight"], of_weight[rank], case)
