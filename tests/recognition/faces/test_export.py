"""What is exported embeds alike, or is not written."""

import json
import sys
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from fuzz import SOAK
from networks import CARD, TINY, crops, random_embedder, save_tiny, seeded
from PIL import Image
from typer.testing import CliRunner

from recognition.cli import app
from recognition.contract import Contract, Preprocessing
from recognition.embeddings import unit_rows
from recognition.errors import InputError
from recognition.faces.models import export, load_embedder
from recognition.faces.models.export import export_onnx
from recognition.faces.models.facenet import PREPROCESSING
from recognition.faces.models.network import TorchEmbedder
from recognition.progress import unwatched

pytest.importorskip("onnxscript", reason="the extra onnx is not installed")
SMALL = Preprocessing(alignment="whole", height=64, width=64)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("small", SMALL),
        pytest.param(
            "inception_resnet_v1",
            PREPROCESSING,
            marks=pytest.mark.skipif(not SOAK, reason="25 s of a core: make soak exports it"),
        ),
    ],
)
def test_one_file_and_its_card_embed_alike_at_any_batch(tmp_path, name, told):
    embedder = random_embedder(name, told)
    out = tmp_path / "out"
    out.mkdir()
    stages = []
    real = crops(3, told, seed=5)

    def watch(what, total):
        stages.append((what, total))
        return unwatched(what, total)

    parity = export_onnx(embedder, out / "face.onnx", crops=real, watch=watch)
    assert names(out) == ["face.json", "face.onnx"]
    assert stages == [("exporting", 3)]
    assert parity.crops == 33 + 8 + 3
    assert 0 <= max(parity.noise, parity.faces) < 1e-5
    again = load_embedder(out / "face.onnx")
    assert again.contract.identity == embedder.contract.identity, "they can be compared"
    assert again.contract.licence == embedder.contract.licence
    for count in (0, 1, 5):
        pixels = crops(count, told, seed=9)
        one, other = embedder.embed(pixels), again.embed(pixels)
        assert np.allclose(one, other, atol=1e-5 * max(1, np.abs(one).max(initial=0)))


def test_mirrors_channels_and_scales_are_in_the_card(tmp_path):
    told = replace(TINY, mirror="concatenate", channels="BGR")
    embedder = random_embedder(preprocessing=told)
    export_onnx(embedder, tmp_path / "face.onnx")
    again = load_embedder(tmp_path / "face.onnx")
    assert again.contract.preprocessing == told
    rows = unit_rows(embedder.embed(crops(4))), unit_rows(again.embed(crops(4)))
    assert np.allclose(*rows, atol=1e-6)


def test_one_that_embeds_otherwise_is_not_written(tmp_path, monkeypatch):
    embedder = random_embedder()
    inside = export._export

    def another(embedder, part):
        inside(random_embedder(seed=1), part)

    monkeypatch.setattr(export, "_export", another)
    with pytest.raises(InputError, match=r"embeddings differ by up to .* nothing was written"):
        export_onnx(embedder, tmp_path / "face.onnx")
    assert names(tmp_path) == []


def test_no_difference_at_all_is_too_much_to_ask_of_rounding(tmp_path):
    with pytest.raises(InputError, match="and 0 is allowed"):
        export_onnx(random_embedder("small", SMALL), tmp_path / "face.onnx", tolerance=0)
    assert names(tmp_path) == []


def test_a_rename_that_fails_leaves_neither_file(tmp_path, monkeypatch):
    part, final = tmp_path / "part.onnx", tmp_path / "face.onnx"
    part.with_suffix(".json").write_text("{}")
    with pytest.raises(FileNotFoundError):
        export._take_names(part, final)
    assert names(tmp_path) == []


class Stubborn(torch.nn.Module):
    def forward(self, x):
        rows = x.flatten(1)[:, :4]
        return rows if float(rows.sum()) > 0 else -rows  # no graph knows which


def test_a_network_that_cannot_be_exported_leaves_nothing(tmp_path):
    embedder = TorchEmbedder.of(Stubborn(), Contract("stubborn", "0" * 64, 1, TINY))
    with pytest.raises(InputError, match=r"stubborn cannot be exported by torch.onnx"):
        export_onnx(embedder, tmp_path / "face.onnx")
    assert names(tmp_path) == []


def test_torchscript_is_not_exported_again(tmp_path):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        network = torch.jit.script(seeded())
    embedder = TorchEmbedder.of(network, Contract("script", "0" * 64, 1, TINY))
    with pytest.raises(InputError, match="script is TorchScript"):
        export_onnx(embedder, tmp_path / "face.onnx")
    assert names(tmp_path) == []


def test_what_is_there_is_never_overwritten(tmp_path):
    for name in ("face.onnx", "face.json"):
        (tmp_path / name).write_text("mine")
        with pytest.raises(InputError, match=rf"{name} exists already"):
            export_onnx(random_embedder(), tmp_path / "face.onnx")
        assert (tmp_path / name).read_text() == "mine"
        (tmp_path / name).unlink()
    with pytest.raises(InputError, match="is no folder"):
        export_onnx(random_embedder(), tmp_path / "none" / "face.onnx")
    with pytest.raises(InputError, match=r"ends with \.onnx"):
        export_onnx(random_embedder(), tmp_path / "face.pb")


@pytest.mark.parametrize("library", ["onnx", "onnxruntime", "onnxscript"])
def test_without_the_extra_one_line_says_what_to_install(tmp_path, monkeypatch, library):
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(InputError, match=rf"need {library},.*pip install '.*\[onnx\]'"):
        export_onnx(random_embedder(), tmp_path / "face.onnx")
    assert names(tmp_path) == []


def test_the_verb_exports_and_says_how_alike_they_are(tmp_path):
    file = save_tiny(tmp_path / "face.safetensors")
    Image.fromarray(crops(1)[0]).save(tmp_path / "crop.png")
    out = tmp_path / "out" / "face.onnx"
    out.parent.mkdir()
    asked = ["export", "onnx", f"networks:Tiny@{file}", "-o", str(out), "--crops", str(tmp_path)]
    found = CliRunner().invoke(app, asked, env={"COLUMNS": "200"})
    assert found.exit_code == 0, found.output
    assert "of 42 embeddings of length 1" in found.output
    assert names(out.parent) == ["face.json", "face.onnx"]
    assert json.loads(out.with_suffix(".json").read_text())["licence"] == CARD["licence"]
    again = CliRunner().invoke(app, asked)
    assert again.exit_code == 2
    assert "exists already" in again.output
    fresh = [str(out.with_name("again.onnx")) if each == str(out) else each for each in asked]
    told = json.loads(CliRunner().invoke(app, [*fresh, "--json"]).stdout)
    assert told["crops"] == 42
    assert 0 <= max(told["noise"], told["faces"]) < told["tolerance"]
    assert told["files"] == [fresh[4], fresh[4].replace(".onnx", ".json")]
    none = CliRunner().invoke(app, [*asked[:-1], str(out.parent)])
    assert none.exit_code == 2
    assert "expected pictures of faces" in none.output
    twice = CliRunner().invoke(app, ["export", "onnx", str(out), "-o", str(tmp_path / "b.onnx")])
    assert "is used as it is" in twice.output
