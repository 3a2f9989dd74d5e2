"""Models by file and by name: our runs, networks of others, and the cards beside them."""

import json
import os
import warnings

import numpy as np
import pytest
import torch
from fuzz import damaged, refused
from hypothesis import given
from hypothesis import strategies as st
from networks import CARD, TINY, crops, save_tiny, seeded
from safetensors.torch import load_file, save_file

import recognition
from recognition.contract import Preprocessing
from recognition.errors import InputError
from recognition.faces.models import load_embedder
from recognition.faces.models.card import Card, card_path, read_card
from recognition.faces.models.weight_bytes import file_hash, written_beside
from recognition.training.augment import to_input

PIXELS = crops(3)


@pytest.fixture
def run(tmp_path):
    """What `recognition compare` leaves of one head."""
    folder = tmp_path / "run" / "weights"
    folder.mkdir(parents=True)
    told = {"alignment": "whole", "height": 64, "width": 64}
    metadata = {"backbone": "small", "head": "arcface", "preprocessing": json.dumps(told)}
    file = folder / "arcface-0.backbone.safetensors"
    save_file(dict(seeded("small").state_dict()), file, metadata)
    return file


def test_a_backbone_of_a_run_embeds_as_training_does(run):
    embedder = recognition.load_embedder(run)
    told = embedder.contract
    assert told.preprocessing == Preprocessing(alignment="whole", height=64, width=64)
    assert (told.model, told.dimension, told.sha256) == (run.name, 128, file_hash(run, "weights"))
    pixels = crops(3, told.preprocessing)
    with torch.inference_mode():
        rows = seeded("small")(to_input(torch.from_numpy(pixels.copy()))).numpy()
    assert np.allclose(embedder.embed(pixels), rows, atol=1e-6)


def test_a_run_folder_stands_for_its_one_network(run):
    assert load_embedder(run.parent.parent).contract == load_embedder(run).contract
    assert load_embedder(str(run.parent)).contract == load_embedder(run).contract
    os.link(run, run.parent / "arcface-1.backbone.safetensors")
    with pytest.raises(InputError, match=r"one network .* got 'arcface-0.*arcface-1"):
        load_embedder(run.parent)
    with pytest.raises(InputError, match="got none"):
        load_embedder(run.parent.parent.parent)


def test_runs_of_earlier_releases_say_no_preprocessing_and_load(run):
    save_file(load_file(run), run.with_name("old.safetensors"), {"backbone": "small"})
    found = load_embedder(run.with_name("old.safetensors")).contract
    assert found.preprocessing == load_embedder(run).contract.preprocessing


@pytest.mark.parametrize(
    ("metadata", "words"),
    [
        ({}, "names no backbone"),
        ({"backbone": "resnet"}, "expected weights of small, .* or timm:NAME, got 'resnet'"),
        ({"backbone": "inception_resnet_v1"}, "expected the 714 tensors of inception_resnet_v1"),
        ({"backbone": "small", "preprocessing": "{"}, "how its crops are prepared"),
        ({"backbone": "small", "preprocessing": "[]"}, "how its crops are prepared"),
        ({"backbone": "small", "preprocessing": '{"x": 1}'}, "how its crops are prepared"),
        ({"backbone": "small", "preprocessing": '{"height": 0}'}, "height: expected whole pixels"),
        ({"backbone": "small", "preprocessing": '{"height": 100}'}, "a forward pass fails"),
    ],
)
def test_a_run_that_says_something_else_is_refused(run, metadata, words):
    save_file(load_file(run), run, metadata)
    with pytest.raises(InputError, match=words):
        load_embedder(run)


def test_damaged_safetensors_are_refused_or_are_whole(tmp_path):
    file = tmp_path / "arcface-0.backbone.safetensors"
    state = seeded("small").state_dict()
    save_file(dict(state), file, {"backbone": "small"})
    good = file.read_bytes()
    count = 0
    header = 8 + int.from_bytes(good[:8], "little")
    for _, raw in damaged(good[:header]):
        file.write_bytes(raw + good[header:])
        count += refused(lambda: load_embedder(file), lambda e: e.contract.dimension == 128)
    assert count > 20


def test_a_flipped_bit_is_noticed_where_the_card_knows_the_hash(tmp_path):
    file = save_tiny(tmp_path / "face.safetensors")
    card = {**CARD, "sha256": file_hash(file, "weights")}
    save_tiny(file, card)
    name = f"networks:Tiny@{file}"
    load_embedder(name)
    good = file.read_bytes()
    for place in range(0, len(good), 97):
        raw = bytearray(good)
        raw[place] ^= 8
        file.write_bytes(raw)
        with pytest.raises(InputError, match="has changed"):
            load_embedder(name)


def test_a_network_by_dotted_name_embeds_with_its_weights(tmp_path):
    file = save_tiny(tmp_path / "face.safetensors")
    embedder = load_embedder(f"networks:Tiny@{file}")
    assert embedder.contract.preprocessing == TINY
    assert embedder.contract.licence == "CC0"
    with torch.inference_mode():
        planes = (PIXELS[0].astype(np.float32) - TINY.mean) / TINY.std
        row = seeded()(torch.tensor(planes.transpose(2, 0, 1)[None], dtype=torch.float32))
    assert np.allclose(embedder.embed(PIXELS)[0], row, atol=1e-6)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("networks:Tiny", "without a file of weights.*random weights recognise nobody"),
        ("networks:Missing@{}", "cannot be imported"),
        ("no_such_package:Tiny@{}", "install its package"),
        ("networks:TINY@{}", "it cannot be called"),
        ("networks:crops@{}", "called without arguments, but it fails"),
        ("networks:Card@{}", "cannot be imported"),
        ("builtins:dict@{}", "expected builtins:dict to build a torch.nn.Module, got dict"),
        ("torch.nn:Identity@{}", "expected the 0 tensors of torch.nn:Identity"),
        ("networks:Tiny@{}x", "no such file"),
    ],
)
def test_a_name_that_builds_no_network_is_refused(tmp_path, name, words):
    file = save_tiny(tmp_path / "face.safetensors")
    with pytest.raises(InputError, match=words):
        load_embedder(name.format(file))


def test_a_file_never_names_code(tmp_path):
    file = save_tiny(tmp_path / "face.safetensors", {**CARD, "backbone": "networks:Tiny"})
    with pytest.raises(InputError, match="expected weights of small"):
        load_embedder(file)
    save_tiny(file, {**CARD, "module": "networks:Tiny"})
    with pytest.raises(InputError, match="unknown key 'module'"):
        load_embedder(file)


@pytest.fixture
def script(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(seeded()), tmp_path / "face.pt")
    (tmp_path / "face.json").write_text(json.dumps(CARD))
    return tmp_path / "face.pt"


def test_a_torchscript_file_is_code_and_must_be_asked_for(script, tmp_path):
    with pytest.raises(InputError, match=r"is code; if you trust its author, name it script:"):
        load_embedder(script)
    found = load_embedder(f"script:{script}").embed(PIXELS)
    file = save_tiny(tmp_path / "other.safetensors")
    assert np.allclose(found, load_embedder(f"networks:Tiny@{file}").embed(PIXELS), atol=1e-6)


def test_what_is_no_torchscript_is_refused(script, tmp_path):
    torch.save(seeded().state_dict(), tmp_path / "face.pt")
    with pytest.raises(InputError, match="expected a TorchScript file"):
        load_embedder(f"script:{script}")
    card_path(script).unlink()
    with pytest.raises(InputError, match=r"expected .*face\.json beside .*face\.pt"):
        load_embedder(f"script:{script}")


@pytest.mark.parametrize("name", ["face", "face.jpg", "facenet", "face.bin", "..", "", "a:b:c"])
def test_what_is_no_model_is_refused_with_what_would_be(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"expected (a model as|one network in)"):
        load_embedder(name)


def test_a_missing_device_is_refused_by_every_kind(run, script, monkeypatch):
    monkeypatch.setattr("torch.cuda.device_count", lambda: 0)
    file = save_tiny(run.with_name("face.safetensors"))
    for name in (run, f"script:{script}", f"networks:Tiny@{file}"):
        with pytest.raises(InputError, match="device cuda is not there"):
            load_embedder(name, device="cuda")


# cards


def write(folder, text):
    (folder / "face.json").write_text(text)
    return folder / "face.onnx"


def test_a_card_is_read_as_it_was_written(tmp_path):
    card = Card(TINY, "a", "b", "c" * 64, "d" * 64, "e", "f", "small", "out")
    assert read_card(write(tmp_path, card.to_json())) == card
    least = Card(Preprocessing(height=9, width=9, std=(1, 1, 1)))
    text = '{"height": 9, "width": 9, "mean": 127.5, "std": 1}'
    assert read_card(write(tmp_path, text)) == least


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"chanels": "BGR"}, "unknown key 'chanels'; did you mean 'channels'"),
        ({"std_": 1}, "did you mean 'std'"),
        ({"channels": "bgr"}, "channels: expected one of RGB, BGR"),
        ({"channels": ["RGB"]}, "channels: expected one of"),
        ({"mirror": True}, "mirror: expected one of"),
        ({"height": 112.0}, "height: expected whole pixels"),
        ({"height": None}, "height: expected whole pixels"),
        ({"mean": [1, 2]}, "mean: expected a number, or three"),
        ({"mean": 10**400}, "face.json: "),
        ({"mean": "127.5"}, "mean: expected a number"),
        ({"std": 0}, "std: expected numbers above 0"),
        ({"std": float("nan")}, "std: expected a number"),
        ({"margin": 8}, "margin: expected less"),
        ({"sha256": "abc"}, "expected sha256 as 64 hexadecimal digits, got 'abc'"),
        ({"original_sha256": "A" * 64}, "expected original_sha256 as 64 hexadecimal digits"),
        ({"licence": 3}, "expected licence as a line of text"),
        ({"licence": "a\nb"}, "expected licence as a line of text"),
    ],
)
def test_a_card_is_strict_and_says_what_is_wrong(tmp_path, change, words):
    with pytest.raises(InputError, match=words):
        read_card(write(tmp_path, json.dumps({**CARD, **change})))


@pytest.mark.parametrize("text", ["", "[]", "{", "null", '{"height": 8, "width": 6}', "[" * 99999])
def test_what_is_no_card_is_refused(tmp_path, text):
    with pytest.raises(InputError, match=r"face\.json"):
        read_card(write(tmp_path, text))


@given(st.dictionaries(st.sampled_from([*CARD, "mirror", "x"]), st.floats() | st.text()))
def test_any_values_are_refused_or_make_a_sound_card(tmp_path_factory, values):
    file = write(tmp_path_factory.getbasetemp(), json.dumps({**CARD, **values}))
    refused(lambda: read_card(file), lambda card: min(card.preprocessing.std) > 0)


def test_a_damaged_card_is_refused_or_sound(tmp_path):
    good = Card(TINY, licence="CC0").to_json().encode()
    count = 0
    for _, raw in damaged(good):
        (tmp_path / "face.json").write_bytes(raw)
        count += refused(
            lambda: read_card(tmp_path / "face.onnx"), lambda card: isinstance(card.name, str)
        )
    assert count > 30


def test_a_file_is_written_whole_or_not_at_all(tmp_path):
    final = tmp_path / "x"
    final.write_text("before")

    def fail():
        with written_beside(final) as partial:
            partial.write_text("half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["x"]
    assert final.read_text() == "before"
    with written_beside(final) as partial:
        partial.write_text("after")
    assert final.read_text() == "after"
