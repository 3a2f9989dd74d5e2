"""Crops in, rows out: what every model has in common."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from networks import TINY, crops, random_embedder, seeded

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.faces.models.network import TorchEmbedder, require_device
from recognition.faces.models.passes import CHUNK, to_input


def naive(network, pixels, told):
    """One crop after the other, in loops and float64."""
    rows = []
    for crop in pixels:
        order = [2, 1, 0] if told.channels == "BGR" else [0, 1, 2]
        views = [crop] if told.mirror == "none" else [crop, crop[:, ::-1]]
        out = []
        for view in views:
            planes = [
                (view[:, :, c].astype(float) - told.mean[i]) / told.std[i]
                for i, c in enumerate(order)
            ]
            batch = torch.tensor(np.stack(planes))[None].double()
            out.append(network.double()(batch)[0].detach().numpy())
        rows.append(np.concatenate(out) if told.mirror == "concatenate" else np.sum(out, axis=0))
    return np.array(rows)


@pytest.mark.parametrize("channels", ["RGB", "BGR"])
@pytest.mark.parametrize("mirror", ["none", "sum", "concatenate"])
def test_rows_are_those_of_a_naive_transcription(channels, mirror):
    told = replace(TINY, channels=channels, mirror=mirror)
    embedder = random_embedder(preprocessing=told)
    pixels = crops(5)
    found = embedder.embed(pixels)
    assert found.dtype == np.float32
    assert found.shape == (5, embedder.contract.dimension) == (5, 8 if mirror[0] == "c" else 4)
    assert np.allclose(found, naive(seeded(), pixels, told), atol=1e-5)


@given(st.integers(0, 2 * CHUNK + 3))
def test_chunks_change_nothing_but_rounding(count):
    embedder = random_embedder()
    pixels = crops(2 * CHUNK + 3)
    assert np.allclose(embedder.embed(pixels)[:count], embedder.embed(pixels[:count]), atol=1e-6)


def test_no_crops_have_no_rows():
    assert random_embedder().embed(crops(0)).shape == (0, 4)


def test_one_crop_embeds_though_the_network_was_left_in_training_mode():
    embedder = random_embedder()
    first = embedder.embed(crops(1))
    embedder.network.train()  # batch normalisation refuses a batch of one; dropout draws
    assert np.array_equal(embedder.embed(crops(1)), first)
    assert np.array_equal(embedder.embed(crops(1)), first)


def test_no_gradient_is_kept_and_no_crop_is_changed():
    pixels = crops(3)
    before = pixels.copy()
    pixels.flags.writeable = False
    embedder = random_embedder()
    embedder.embed(pixels)
    assert np.array_equal(pixels, before)
    assert all(p.grad is None for p in embedder.network.parameters())


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((2, 6, 8, 3), np.uint8),
        np.zeros((2, 3, 8, 6), np.uint8),
        np.zeros((8, 6, 3), np.uint8),
        np.zeros((2, 8, 6, 3), np.float32),
        np.zeros((2, 8, 6, 1), np.uint8),
        np.zeros(0, np.uint8),
    ],
)
def test_crops_of_another_shape_or_kind_are_refused(wrong):
    with pytest.raises(InputError, match=r"expected crops of shape \(N, 8, 6, 3\) in uint8 RGB"):
        random_embedder().embed(wrong)


def test_facenet_refuses_a_small_crop_before_its_kernels_do():
    told = Preprocessing(alignment="box", height=160, width=160, margin=14)
    embedder = random_embedder("inception_resnet_v1", told)
    with pytest.raises(InputError, match="160, 160"):
        embedder.embed(np.zeros((1, 64, 64, 3), np.uint8))
    with pytest.raises(InputError, match="forward pass fails"):
        random_embedder("inception_resnet_v1", replace(told, height=64, width=64))
    assert embedder.embed(np.zeros((0, 160, 160, 3), np.uint8)).shape == (0, 512)
    assert embedder.embed(crops(1, told)).shape == (1, 512)  # before normalisation: any length
    assert abs(np.linalg.norm(embedder.embed(crops(1, told))) - 1) > 1e-3


class Odd(torch.nn.Module):
    def __init__(self, odd):
        super().__init__()
        self.odd = odd
        self.calls = 0

    def forward(self, x):
        self.calls += 1
        rows = x.flatten(1)[:, :4]
        return rows if self.calls < 2 and self.odd == "later" else ODD[self.odd](rows)


ODD = {
    "nan": lambda rows: rows * torch.nan,
    "inf": lambda rows: rows / 0.0,
    "zero": lambda rows: rows * 0,
    "half": lambda rows: rows * torch.arange(2)[:, None],
    "same": lambda rows: torch.ones_like(rows),
    "tuple": lambda rows: (rows, rows),
    "flat": lambda rows: rows.flatten(),
    "one": lambda rows: rows[:1],
}


@pytest.mark.parametrize("odd", ODD)
def test_a_network_that_does_not_embed_is_refused_at_once(odd):
    with pytest.raises(InputError, match=r"^odd: expected .*; "):
        TorchEmbedder.of(Odd(odd), Contract("odd", "0" * 64, 1, TINY))


def test_a_crop_whose_embedding_is_not_finite_is_named():
    class Breaks(torch.nn.Module):
        def forward(self, x):
            rows = x.flatten(1)[:, :4]
            return torch.where((x.amax((1, 2, 3)) < 0)[:, None], torch.nan, rows)

    told = replace(TINY, mean=(1.0, 1.0, 1.0))
    embedder = TorchEmbedder.of(Breaks(), Contract("breaks", "0" * 64, 1, told))
    pixels = crops(40)
    pixels[37] = 0
    with pytest.raises(InputError, match="that of crop 37 holds NaN"):
        embedder.embed(pixels)


def test_input_is_channels_last_memory_in_float32():
    found = to_input(crops(2), TINY)
    assert found.dtype == np.float32
    assert found.shape == (2, 3, 8, 6)
    assert torch.from_numpy(found).is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize("name", ["cuda", "cuda:7", "mps"])
def test_a_missing_device_is_refused_and_never_replaced(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    monkeypatch.setattr("torch.backends.mps.is_available", lambda: False)
    with pytest.raises(InputError, match=f"device {name} is not there"):
        require_device(name)


@pytest.mark.parametrize("name", ["", "gpu", "cuda:", "cuda:-1", "cpu:9", "cuda:x"])
def test_an_unknown_device_is_refused(name, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    with pytest.raises(InputError, match="device"):
        require_device(name)
