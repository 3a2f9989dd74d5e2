"""What changes the parameters: groups, rates, and states that are saved."""

import copy
import json

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from margin_losses import MarginHead
from margin_losses.optimisers import RowSGD
from recognition.backbones import create_backbone
from recognition.errors import InputError
from recognition.training.config import OptimiserConfig
from recognition.training.optimisers import make_optimisers, set_share

SGD = OptimiserConfig(lr=0.1, head_lr=0.02, momentum=0.8, weight_decay=0.01, head_weight_decay=0.03)
ADAMW = OptimiserConfig("adamw", lr=1e-3, head_lr=3e-3, weight_decay=0.1, head_weight_decay=0.2)
KINDS = [(SGD, None), (SGD, 0.5), (ADAMW, None)]


def pair(sample_rate=None, seed=0):
    torch.manual_seed(seed)
    network = nn.Sequential(nn.Linear(6, 4, bias=False), nn.BatchNorm1d(4), nn.PReLU(4))
    return network, MarginHead(4, 10, "cosface:s=8", sample_rate=sample_rate)


def descend(network, head, optimisers, steps, seed=1):
    """Steps over the same batches and, of sampled classes, the same draws."""
    torch.manual_seed(seed)
    for _ in range(steps):
        x, y = torch.randn(8, 6), torch.randint(0, 10, (8,))
        for each in optimisers:
            each.zero_grad()
        head(network(x), y).backward()
        for each in optimisers:
            each.step()


def values(*modules):
    return [value.clone() for module in modules for value in module.state_dict().values()]


def same(one, other):
    return all(torch.equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(("config", "rate"), KINDS)
def test_every_parameter_is_in_one_group_and_matrices_alone_decay(config, rate):
    network, head = create_backbone("small"), pair(rate)[1]
    made = make_optimisers(network, head, config)
    decays = (config.weight_decay, config.head_weight_decay)
    for module, optimiser, decay in zip((network, head), made, decays, strict=True):
        held = [p for group in optimiser.param_groups for p in group["params"]]
        assert sorted(map(id, held)) == sorted(map(id, module.parameters()))
        for group in optimiser.param_groups:
            assert {p.ndim > 1 for p in group["params"]} <= {group["weight_decay"] == decay}
            assert group["weight_decay"] in (0, decay)


@pytest.mark.parametrize(("config", "rate"), KINDS)
def test_the_head_has_a_rate_of_its_own_and_a_share_is_of_both(config, rate):
    made = make_optimisers(*pair(rate), config)
    for share in (1.0, 0.25, 0.5):
        set_share(made, share)
        for optimiser, highest in zip(made, (config.lr, config.head_lr), strict=True):
            assert {group["lr"] for group in optimiser.param_groups} == {highest * share}


def test_without_a_rate_of_its_own_the_head_has_the_backbones():
    made = make_optimisers(*pair(), OptimiserConfig(lr=0.3))
    assert {group["lr"] for each in made for group in each.param_groups} == {0.3}


def test_sgd_is_as_the_papers_have_it():
    """Transcribed: v <- mu v + g + lambda w; w <- w - eta v."""
    network, head = pair()
    made = make_optimisers(network, head, SGD)
    weights = [p.detach().clone() for p in (*network.parameters(), *head.parameters())]
    speeds = [torch.zeros_like(w) for w in weights]
    settings = [(SGD.lr, SGD.weight_decay)] * 4 + [(SGD.head_lr, SGD.head_weight_decay)]
    for step in range(3):
        descend(network, head, made, 1, seed=step)
        grads = [p.grad for p in (*network.parameters(), *head.parameters())]
        for w, v, g, (lr, decay) in zip(weights, speeds, grads, settings, strict=True):
            v.mul_(SGD.momentum).add_(g + (decay * w if w.ndim > 1 else 0))
            w.sub_(lr * v)
    for w, p in zip(weights, (*network.parameters(), *head.parameters()), strict=True):
        assert torch.allclose(w, p, atol=1e-6)


def test_adamw_is_torchs():
    network, head = pair()
    twin = copy.deepcopy(head)
    made = make_optimisers(network, head, ADAMW)
    plain = torch.optim.AdamW(twin.parameters(), lr=3e-3, weight_decay=0.2)
    x, y = torch.randn(8, 4), torch.arange(8)
    for module, optimiser in ((head, made.head), (twin, plain)):
        for _ in range(3):
            optimiser.zero_grad()
            module(x, y).backward()
            optimiser.step()
    assert torch.equal(head.weight, twin.weight)


def test_sampled_classes_are_stepped_by_rows_and_the_others_stay():
    network, head = pair(sample_rate=0.2)
    made = make_optimisers(network, head, SGD)
    assert isinstance(made.head, RowSGD)
    assert not isinstance(made.backbone, RowSGD)
    before = head.weight.detach().clone()
    head(network(torch.randn(2, 6)), torch.tensor([3, 4])).backward()
    made.head.step()
    moved = (head.weight != before).any(1)
    assert moved[3]
    assert moved[4]
    assert not moved.all()


def test_sampled_classes_and_adamw_do_not_go_together():
    with pytest.raises(InputError, match="take sgd, or a head without sample_rate"):
        make_optimisers(*pair(sample_rate=0.2), ADAMW)


@pytest.mark.parametrize(("config", "rate"), KINDS)
def test_a_saved_state_goes_on_to_the_last_bit(config, rate):
    whole, stopped = pair(rate), pair(rate)
    made = make_optimisers(*whole, config)
    set_share(made, 0.5)
    descend(*whole, made, 3)
    descend(*whole, made, 3, seed=2)

    first = make_optimisers(*stopped, config)
    set_share(first, 0.5)
    descend(*stopped, first, 3)
    saved = [copy.deepcopy(each.state_dict()) for each in first]
    again = pair(rate, seed=9)
    for module, old in zip(again, stopped, strict=True):
        module.load_state_dict(old.state_dict())
    second = make_optimisers(*again, config)
    for each, state in zip(second, saved, strict=True):
        groups = json.loads(json.dumps(state["param_groups"]))  # as checkpoints keep them
        each.load_state_dict({"state": state["state"], "param_groups": groups})
    descend(*again, second, 3, seed=2)
    assert same(values(*whole), values(*again))
    set_share(second, 1.0)
    assert {group["lr"] for group in second.head.param_groups} == {config.head_lr}


@pytest.mark.parametrize(("config", "rate"), KINDS)
def test_what_is_frozen_is_left_out_even_all_of_it(config, rate):
    network, head = pair(rate)
    network.requires_grad_(False)
    made = make_optimisers(network, head, config)
    assert not any(group["params"] for group in made.backbone.param_groups)
    before = values(network[0])
    descend(network, head, made, 2)
    assert same(before, values(network[0]))


def test_a_network_and_a_head_learn():
    network, head = pair()
    x, y = torch.randn(30, 6), torch.arange(30) % 10
    made = make_optimisers(network, head, OptimiserConfig(lr=0.1))
    first = F.cross_entropy(head.logits(network(x)), y)
    for _ in range(50):
        for each in made:
            each.zero_grad()
        head(network(x), y).backward()
        for each in made:
            each.step()
    assert F.cross_entropy(head.logits(network(x)), y) < first / 2
