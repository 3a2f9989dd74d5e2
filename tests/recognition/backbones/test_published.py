"""IResNet and MobileFaceNet against insightface's own: names, shapes, order, and numbers."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from recognition.backbones import create_backbone
from recognition.backbones.iresnet import IResNet
from recognition.backbones.mobilefacenet import MobileFaceNet

GOLDEN = json.loads((Path(__file__).parents[2] / "golden/backbones.json").read_text())
BUILT = ["iresnet18", "mobilefacenet"]


def published(name):
    """(name, dtype and shape) of every tensor of the published network, in its order."""
    for kind, units in GOLDEN["networks"][name]:
        for unit in units:
            yield from (f"{unit}{each}" for each in GOLDEN["kinds"][kind])


def fresh(name, seed=0):
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return create_backbone(name)


def noise(count, seed=0):
    return torch.rand(count, 3, 112, 112, generator=torch.Generator().manual_seed(seed)) * 2 - 1


@pytest.fixture(scope="module", params=BUILT)
def settled(request):
    """A network in evaluation mode whose running statistics are those of a batch."""
    network = fresh(request.param)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d):
            module.momentum = 1.0
    with torch.no_grad():
        network(noise(4))
    return network.eval()


@pytest.mark.parametrize("name", GOLDEN["networks"])
def test_tensors_have_the_published_names_shapes_and_order(name):
    with torch.device("meta"):
        network = create_backbone(name)
    found = [
        f"{key} {str(value.dtype).removeprefix('torch.')} {list(value.shape)}"
        for key, value in network.state_dict().items()
    ]
    assert found == list(published(name))
    fixed = [key for key, value in network.named_parameters() if not value.requires_grad]
    assert fixed == GOLDEN["not_trained"][name]


def test_the_list_itself_holds_what_the_readers_of_weights_know():
    names = [text.split()[0] for text in published("iresnet100")]
    assert len(names) == len(set(names)) == 925
    assert names[0] == "conv1.weight"
    assert names[-1] == "features.num_batches_tracked"
    assert "layer3.29.prelu.weight" in names
    assert "fc.weight float32 [512, 25088]" in published("iresnet50")
    assert "features.layers.2.weight float32 [512, 512]" in published("mobilefacenet")


def drawn(network):
    """The weights of the same name in tests/golden/make_backbones.py."""
    random = np.random.default_rng(0)
    for name, value in network.double().eval().state_dict().items():
        shape = tuple(value.shape)
        if len(shape) > 1:
            draws = random.normal(size=shape) / np.prod(shape[1:]) ** 0.5
        elif name.endswith(("running_mean", "bias")):
            draws = random.normal(size=shape) / 10
        else:
            draws = random.uniform(0.5, 1.5, shape)
        if value.is_floating_point():
            value.copy_(torch.from_numpy(draws))
    return network


@pytest.mark.parametrize("name", BUILT)
def test_the_published_network_gives_the_same_numbers(name):
    picture = np.random.default_rng(1).uniform(-1, 1, (1, 3, 112, 112))
    with torch.no_grad():
        found = drawn(fresh(name))(torch.from_numpy(picture))[0, :4].tolist()
    assert found == pytest.approx(GOLDEN["embeddings"][name], rel=1e-9)


def test_convolutions_begin_as_insightfaces_do():
    for name, value in fresh("iresnet18").named_parameters():
        if value.ndim == 4 and value.numel() > 30_000:
            assert value.std().item() == pytest.approx(0.1, rel=0.02), name
    for name, value in fresh("mobilefacenet").named_parameters():
        if value.ndim > 1 and value.numel() > 30_000:
            seen = len(value) * value[0, 0].numel()  # outputs a number is part of
            assert value.std().item() == pytest.approx((2 / seen) ** 0.5, rel=0.02), name


@pytest.mark.parametrize("name", BUILT)
def test_gradients_reach_every_parameter_that_trains(name):
    network = fresh(name).train()
    weighed = network(noise(3)) * noise(3).flatten(1)[:, :512]
    weighed.sum().backward()
    for key, value in network.named_parameters():
        if value.requires_grad:
            assert value.grad.isfinite().all(), key
            assert value.grad.abs().max() > 0, key
        else:
            assert value.grad is None
            assert (value == 1).all()


@torch.no_grad()
def test_evaluation_is_repeatable_and_knows_nothing_of_the_rest_of_the_batch(settled):
    pictures = noise(3, seed=1)
    rows = settled(pictures)
    assert rows.shape == (3, 512)
    assert torch.equal(rows, settled(pictures))
    for picture, row in zip(pictures, rows, strict=True):
        torch.testing.assert_close(settled(picture[None])[0], row, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_embedding_stays_float32_under_autocast(settled):
    pictures = noise(2, seed=1)
    exact = settled(pictures)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        found = settled(pictures)
    assert found.dtype == torch.float32
    assert not torch.equal(found, exact), "the rest was computed in bfloat16"
    assert torch.cosine_similarity(found, exact).min() > 0.99
    assert not torch.equal(found, found.bfloat16().float()), "eight bits would hold it"


def test_weights_go_through_safetensors(settled, tmp_path):
    save_file(settled.state_dict(), tmp_path / "face.safetensors")
    name = "iresnet18" if isinstance(settled, IResNet) else "mobilefacenet"
    again = fresh(name, seed=1)
    again.load_state_dict(load_file(tmp_path / "face.safetensors"), strict=True)
    with torch.no_grad():
        assert torch.equal(again.eval()(noise(1)), settled(noise(1)))


@torch.no_grad()
def test_other_dimensions_and_dropout():
    with torch.device("meta"):
        assert MobileFaceNet(embedding_dim=128)(noise(2).to("meta")).shape == (2, 128)
        network = IResNet((1, 1, 1, 1), embedding_dim=256, dropout=0.4)
    assert network(noise(2).to("meta")).shape == (2, 256)
    assert network.dropout.p == 0.4
