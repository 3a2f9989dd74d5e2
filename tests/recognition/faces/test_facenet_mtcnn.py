"""Published weights: found, checked, remembered, converted; never executed."""

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch
from fuzz import damaged, refused
from networks import crops, seeded

from recognition.errors import InputError
from recognition.faces.models import facenet, load_embedder, pins
from recognition.faces.models.card import card_path
from recognition.faces.models.facenet import PREPROCESSING, PUBLISHED, cache_folder
from recognition.faces.models.weight_bytes import fill, tensors_of_torch

VGG, CASIA = (PUBLISHED[name].file for name in ("vggface2", "casia-webface"))


def test_weights_in_the_cache_are_converted_once_and_give_the_same_ever_after(cache, caplog):
    first = load_embedder()
    told = first.contract
    assert told.model == "facenet vggface2"
    assert told.dimension == 512
    assert told.preprocessing == PREPROCESSING
    assert "unclear" in told.licence
    assert told.sha256 == facenet.hash_of(cache)
    assert told.sha256 in caplog.text
    assert set(told.versions) == {"torch", "facenet-pytorch"}
    caplog.clear()
    converted = facenet.converted_path(told.sha256)
    card = json.loads(card_path(converted).read_text())
    assert card["original_sha256"] == told.sha256
    assert card["licence"] == told.licence
    assert card["source"].endswith(VGG)

    pixels = crops(2, PREPROCESSING)
    rows = first.embed(pixels)
    again = load_embedder("vggface2")
    assert np.array_equal(again.embed(pixels), rows)
    assert again.contract == told
    assert caplog.text == "", "the hash is told once"

    cache.unlink()
    assert np.array_equal(load_embedder().embed(pixels), rows)
    raw = bytearray(converted.read_bytes())
    raw[len(raw) // 2] ^= 1  # safetensors itself does not notice
    converted.write_bytes(raw)
    with pytest.raises(InputError, match="has changed: its card tells the sha256"):
        load_embedder()


def test_a_damaged_conversion_is_made_again_where_the_original_is(cache):
    rows = load_embedder().embed(crops(1, PREPROCESSING))
    converted = facenet.converted_path(facenet.hash_of(cache))
    converted.write_bytes(converted.read_bytes()[:-1])
    assert np.array_equal(load_embedder().embed(crops(1, PREPROCESSING)), rows)
    assert np.array_equal(load_embedder(converted).embed(crops(1, PREPROCESSING)), rows)


def test_a_machine_that_may_not_be_written_to_embeds_and_says_what_it_cannot_do(
    cache, tmp_path, caplog
):
    (tmp_path / "home").write_text("a file where the folder would be")
    assert load_embedder().contract.sha256 in caplog.text
    assert "is not remembered; name another place with $RECOGNITION_HOME" in caplog.text


def test_the_environment_variable_comes_before_the_cache(files, cache, monkeypatch):
    monkeypatch.setenv(facenet.VARIABLE, str(files / CASIA))
    assert facenet.find_weights() == files / CASIA
    assert facenet.find_weights("vggface2") == cache
    monkeypatch.setenv(facenet.VARIABLE, str(files / "none.pt"))
    with pytest.raises(InputError, match=r"which \$RECOGNITION_FACENET_WEIGHTS names"):
        load_embedder()


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"TORCH_HOME": "/t", "XDG_CACHE_HOME": "/x"}, "/t/checkpoints"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/torch/checkpoints"),
        ({"HOME": "/h"}, "/h/.cache/torch/checkpoints"),
    ],
)
def test_the_cache_is_that_of_facenet_pytorch(monkeypatch, given, expected):
    for name in ("TORCH_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == Path(expected)


def test_without_weights_the_three_ways_are_named():
    for name in (None, "vggface2"):
        with pytest.raises(InputError, match=r"random ones recognise nobody; \(1\).*\(2\).*\(3\)"):
            load_embedder(name)


def test_a_file_that_changes_later_is_refused_with_both_hashes(cache):
    pins.pin(VGG, "a" * 64, cache)
    with pytest.raises(InputError, match=rf"was {'a' * 64} .* is {facenet.hash_of(cache)} now"):
        load_embedder()
    with pytest.raises(InputError, match=r"remove .*json"):
        facenet.check_weights(cache)
    pins.pin_path(VGG).unlink()
    assert facenet.check_weights(cache) == facenet.hash_of(cache)
    assert pins.pinned(VGG) is None, "a check remembers nothing"


def test_of_two_first_uses_one_decides():
    pins.pin("x", "a" * 64, Path("x"))
    pins.pin("x", "a" * 64, Path("x"))
    with pytest.raises(InputError, match="has changed"):
        pins.pin("x", "b" * 64, Path("x"))
    assert pins.pinned("x") == "a" * 64
    other = pins.pin_path("y")
    pins._name_it(pins.pin_path("x"), other)
    pins._name_it(other, pins.pin_path("x"))
    assert pins.pinned("y") == "a" * 64


def test_a_damaged_memory_is_refused_not_forgotten():
    pins.pin("x", "a" * 64, Path("x"))
    good = pins.pin_path("x").read_bytes()
    count = 0
    for _, raw in damaged(good):
        pins.pin_path("x").write_bytes(raw)
        count += refused(lambda: pins.pinned("x"), lambda found: len(found) == 64)
    assert count > 10


def test_swapped_names_are_refused(files, tmp_path):
    shutil.copy(files / CASIA, tmp_path / VGG)
    with pytest.raises(InputError, match=r"weights of vggface2.*got those of casia-webface"):
        load_embedder(tmp_path / VGG)
    assert pins.pinned(VGG) is None, "what is refused is not remembered"


class Bomb:
    def __init__(self, sentinel):
        self.sentinel = sentinel

    def __reduce__(self):
        return (Path.touch, (self.sentinel,))


@pytest.mark.parametrize("save", ["torch", "legacy", "pickle"])
def test_nothing_in_a_pickle_is_executed(tmp_path, save):
    sentinel, file = tmp_path / "sentinel", tmp_path / "face.pt"
    hostile = {"conv2d_1a.conv.weight": Bomb(sentinel)}
    if save == "pickle":
        file.write_bytes(pickle.dumps(hostile))
    else:
        torch.save(hostile, file, _use_new_zipfile_serialization=save == "torch")
    with pytest.raises(InputError, match="cannot be read"):
        load_embedder(file)
    assert not sentinel.exists()
    torch.load(file, weights_only=False) if save != "pickle" else pickle.loads(file.read_bytes())
    assert sentinel.exists(), "the bomb is a real one"


def wrong(kind):
    state = seeded("inception_resnet_v1").state_dict()
    key = "conv2d_1a.conv.weight"
    match kind:
        case "missing":
            del state[key]
        case "more":
            state["more"] = torch.zeros(1)
        case "shape":
            state[key] = torch.zeros(1)
        case "nan":
            state[key] = state[key] * torch.nan
        case "zero":
            return {name: value * 0 for name, value in state.items()}
        case "other":
            return dict(seeded().state_dict())
        case "list":
            return [1, 2]
        case "nested":
            return {"state_dict": dict(seeded().state_dict())}
    return state


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        ("missing", "'conv2d_1a.conv.weight' among them: it is missing"),
        ("more", "'more' among them: it is not one of them"),
        ("shape", r"it has shape \(1,\), not \(32, 3, 3, 3\)"),
        ("nan", "holds NaN"),
        ("zero", "NaN|same or zeros"),
        ("other", "expected the 714 tensors of InceptionResnetV1"),
        ("list", "got another object"),
        ("nested", "got another object"),
    ],
)
def test_weights_of_another_layout_are_refused_in_a_sentence(tmp_path, kind, words):
    torch.save(wrong(kind), tmp_path / "face.pt")
    with pytest.raises(InputError, match=words):
        load_embedder(tmp_path / "face.pt")
    assert not list((tmp_path / "home").rglob("*")), "nothing is remembered or converted"


def test_empty_missing_and_cut_files_are_refused(files, tmp_path):
    file = tmp_path / VGG
    for raw, words in ((None, "no such file"), (b"", "is empty")):
        if raw is not None:
            file.write_bytes(raw)
        with pytest.raises(InputError, match=words):
            load_embedder(file)
    whole = (files / VGG).read_bytes()
    for percent in (1, 50, 99):
        file.write_bytes(whole[: len(whole) * percent // 100])
        with pytest.raises(InputError, match="cannot be read"):
            load_embedder(file)


@pytest.mark.parametrize("modern", [True, False], ids=["zip", "legacy"])
def test_damage_is_refused_or_gives_the_network_its_tensors(tmp_path, modern):
    file = tmp_path / "face.pt"
    torch.save(seeded().state_dict(), file, _use_new_zipfile_serialization=modern)

    def read():
        network = seeded()
        fill(network, tensors_of_torch(file.read_bytes(), file), file, "Tiny")
        return network

    count = 0
    for _, raw in damaged(file.read_bytes()):
        if raw:
            file.write_bytes(raw)
            count += refused(read, lambda network: len(network.state_dict()) == 9)
    assert count > 20
