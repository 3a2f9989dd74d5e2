"""Each state of a machine that `recognition doctor` knows, simulated."""

import builtins
import dataclasses
import json
import sys
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest
import torch
from face_fakes import FakeEmbedder
from safetensors.torch import save_file
from typer.testing import CliRunner

from recognition import doctor
from recognition.backbones import create_backbone
from recognition.cli import app
from recognition.doctor import CHECKS, Check, detection, examine, packages, weights
from recognition.doctor.findings import Finding, works
from recognition.errors import InputError
from recognition.faces import mtcnn, torchvision_operators
from recognition.faces.facenet_mtcnn import SHA256
from recognition.faces.models import facenet, pins

FILE = facenet.PUBLISHED["vggface2"].file


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    monkeypatch.setenv("RECOGNITION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("RECOGNITION_FACENET_WEIGHTS", raising=False)


def states(check):
    return {(finding.about, finding.state) for finding in check()}


def only(check, *arguments) -> Finding:
    (finding,) = check(*arguments)
    assert finding.mend or finding.state == "works", "what does not work can be mended"
    return finding


# -- Python and the libraries ----------------------------------------------------------------------


@pytest.fixture
def installed(monkeypatch):
    """Other versions than those that are here; None is not installed."""
    versions: dict[str, str | None] = {}
    true = metadata.version

    def version(name):
        if name in versions and versions[name] is None:
            raise metadata.PackageNotFoundError(name)
        return versions.get(name) or true(name)

    monkeypatch.setattr(metadata, "version", version)
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda name: [
            "numpy>=2.0",
            "torch>=2.4",
            "facenet-pytorch==2.5.3",
            "never>=1; python_version < '3'",
            "onnx>=1.16; extra == 'onnx'",
            "pytest>=9; extra == 'dev'",
        ],
    )
    return versions


def test_this_python_does(monkeypatch):
    assert only(packages.python).state == "works"
    monkeypatch.setattr(sys, "version_info", (3, 10, 2, "final", 0))
    found = only(packages.python)
    assert found.state == "broken"
    assert "3.10.2, but >=3.11" in found.said


def test_right_versions_work(installed):
    installed |= {"numpy": "2.1.0", "torch": "2.13.0+cpu", "facenet-pytorch": "2.5.3"}
    found = only(packages.libraries)
    assert (found.state, found.said) == ("works", "3 of 3 needed are here in the right versions")


@pytest.mark.parametrize(
    ("name", "version", "mend"),
    [
        ("facenet-pytorch", "2.6.0", "pip install --no-deps facenet-pytorch==2.5.3"),
        ("facenet-pytorch", None, "pip install --no-deps facenet-pytorch==2.5.3"),
        ("torch", "2.2.2", "pip install 'torch>=2.4'"),
        ("numpy", None, "pip install 'numpy>=2.0'"),
    ],
)
def test_wrong_and_absent_versions_are_told_with_their_command(installed, name, version, mend):
    installed |= {"numpy": "2.1.0", "torch": "2.13.0", "facenet-pytorch": "2.5.3", name: version}
    problem, summary = packages.libraries()
    assert (problem.about, problem.state, problem.mend) == (name, "broken", mend)
    assert (version or "not installed") in problem.said
    assert summary.said.startswith("2 of 3")


def test_a_version_before_its_release_is_taken(installed):
    installed |= {"numpy": "2.4.0rc1", "torch": "2.14.0.dev1", "facenet-pytorch": "2.5.3"}
    assert only(packages.libraries).state == "works"


def test_extras_are_there_or_are_missing(installed, monkeypatch):
    class Metadata(dict):
        def get_all(self, name):
            return ["onnx", "dev", "all"]

    monkeypatch.setattr(metadata, "metadata", lambda name: Metadata())
    installed["onnx"] = None
    found = only(packages.extras)
    assert (found.about, found.state) == ("extra onnx", "missing")
    assert found.mend == "pip install 'margin-recognition[onnx]'"
    installed["onnx"] = "1.15"
    assert "onnx (1.15 is installed)" in only(packages.extras).said
    installed["onnx"] = "1.16"
    assert only(packages.extras).state == "works"


# -- detection -------------------------------------------------------------------------------------


def test_torch_is_told_with_its_build_and_threads():
    found = only(detection.torch)
    assert found.state == "works"
    assert torch.__version__ in found.said
    assert f"{torch.get_num_threads()} threads" in found.said


def test_a_torch_that_cannot_be_imported_is_told(monkeypatch):
    true = builtins.__import__

    def broken(name, *rest, **more):
        if name == "torch":
            raise OSError("libtorch.so: undefined symbol\nand more")
        return true(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", broken)
    found = only(detection.torch)
    assert found.state == "broken"
    assert "undefined symbol" in found.said


@pytest.mark.parametrize(
    ("there", "state"),
    [
        (torchvision_operators.Operators(True), "works"),
        (
            torchvision_operators.Operators(False, "operator torchvision::nms does not exist"),
            "missing",
        ),
        (torchvision_operators.Operators(False, "torchvision is not installed"), "missing"),
    ],
)
def test_torchvision_without_its_operators_is_no_obstacle(monkeypatch, there, state):
    monkeypatch.setattr(torchvision_operators, "operators", lambda: there)
    found = only(detection.torchvision)
    assert found.state == state
    assert there.reason in found.said
    if state == "missing":
        assert "the same boxes" in found.said


def test_the_drawn_face_is_found():
    assert only(detection.detector).state == "works"


@pytest.mark.parametrize("change", ["none", "moved", "unsure", "everywhere", "twice"])
def test_a_detector_that_finds_something_else_is_broken(monkeypatch, change):
    true = mtcnn.Mtcnn()

    class Other:
        name = "other"

        def detect(self, photos):
            (face,), empty = true.detect(photos)
            moved = dataclasses.replace(face, box=face.box + np.float32(5))
            unsure = dataclasses.replace(face, score=0.9)
            return {
                "none": [[], empty],
                "moved": [[moved], empty],
                "unsure": [[unsure], empty],
                "everywhere": [[face], [face]],
                "twice": [[face, face], empty],
            }[change]

    monkeypatch.setattr(mtcnn, "Mtcnn", Other)
    assert only(detection.detector).state == "broken"


def test_damaged_weights_of_the_detector_are_told_with_their_command(monkeypatch):
    monkeypatch.setitem(SHA256, "ONet", "0" * 64)
    (found,) = examine(checks=[Check("detection", "detector")])
    assert found.state == "broken"
    assert found.mend.startswith("pip install")
    assert "ONet" in found.said


# -- weights ---------------------------------------------------------------------------------------


@pytest.fixture
def cached():
    """Weights of the published layout, under the published name, where they are looked for."""
    path = facenet.cache_folder() / FILE
    path.parent.mkdir(parents=True)
    torch.manual_seed(0)
    torch.save(dict(create_backbone("inception_resnet_v1").state_dict()), path)
    return path


def test_no_weights_are_missing_and_can_be_fetched():
    found = only(weights.published)
    assert found.state == "missing"
    assert found.mend == "recognition weights fetch vggface2 --accept-licence"


def test_weights_are_found_checked_and_not_remembered(cached):
    found = only(weights.published)
    assert found.state == "works"
    assert str(cached) in found.said
    assert not pins.home().exists()
    facenet.remember(cached, "0" * 64)
    found = only(weights.published)
    assert found.state == "broken"
    assert "has changed" in found.said
    assert found.mend == f"rm {cached} && recognition weights fetch vggface2 --accept-licence"


@pytest.mark.parametrize("share", [0.0, 0.3, 0.999])
def test_truncated_weights_are_broken(cached, share):
    raw = cached.read_bytes()
    cached.write_bytes(raw[: int(len(raw) * share)])
    found = only(weights.published)
    assert found.state == "broken"
    assert "weights fetch vggface2" in found.mend


def test_an_environment_variable_that_leads_nowhere_is_broken(monkeypatch, tmp_path):
    monkeypatch.setenv("RECOGNITION_FACENET_WEIGHTS", str(tmp_path / "gone.pt"))
    found = only(weights.published)
    assert found.state == "broken"
    assert found.mend == "unset RECOGNITION_FACENET_WEIGHTS"


def test_a_place_that_cannot_be_written_to_is_told(monkeypatch, tmp_path):
    assert only(weights.home_folder).state == "works"
    assert not (tmp_path / "home").exists()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("RECOGNITION_HOME", str(tmp_path / "file/home"))
    found = only(weights.home_folder)
    assert found.state == "missing"
    assert found.mend.startswith("export RECOGNITION_HOME=")


def test_what_is_stale_can_be_removed(tmp_path):
    assert list(weights.conversions()) == []
    half = pins.home() / "models/facenet-1/model.safetensors"
    half.parent.mkdir(parents=True)
    half.write_bytes(b"half")
    part = pins.home() / "pins/.x.part"
    part.parent.mkdir()
    part.write_bytes(b"")
    found = list(weights.conversions())
    assert [finding.state for finding in found] == ["missing", "missing"]
    assert [finding.mend for finding in found] == [f"rm -r {half.parent}", f"rm -r {part}"]


def test_a_conversion_is_sound_until_it_changes(cached):
    facenet.load_facenet(cached)
    assert list(weights.conversions()) == []
    (path,) = pins.home().glob("models/*/model.safetensors")
    raw = bytearray(path.read_bytes())
    raw[-1] ^= 1
    path.write_bytes(raw)
    assert only(weights.conversions).mend == f"rm -r {path.parent}"
    cached.unlink()
    assert only(weights.published).state == "broken", "nothing else is left to use"


def test_a_model_that_embeds_is_told_with_its_contract(tmp_path):
    path = tmp_path / "arcface-0.backbone.safetensors"
    save_file(dict(create_backbone("small").state_dict()), path, {"backbone": "small"})
    found = only(weights.embedding, str(path))
    assert found.state == "works"
    assert path.name in found.said
    assert "licence" in found.said


def test_a_model_whose_embeddings_depend_on_their_batch_is_broken(monkeypatch):
    class Batched(FakeEmbedder):
        def embed(self, crops):
            rows = super().embed(crops)
            return rows - rows.mean(axis=0) * (len(crops) > 1)

    monkeypatch.setattr(weights, "load_embedder", lambda model: Batched())
    assert only(weights.embedding, "any").state == "broken"
    monkeypatch.setattr(weights, "load_embedder", lambda model: FakeEmbedder())
    assert only(weights.embedding, "any").state == "works"


def test_a_published_model_that_is_not_here_can_be_fetched():
    found = only(weights.embedding, "casia-webface")
    assert found.mend == "recognition weights fetch casia-webface --accept-licence"
    (found,) = examine("missing.onnx", checks=[])
    assert found.state == "broken"
    assert found.mend


# -- all of it -------------------------------------------------------------------------------------


def test_a_check_that_breaks_is_a_finding_and_stops_no_other(monkeypatch):
    def crash():
        yield works("first", "fine")
        raise ZeroDivisionError("oops\x1b[31m\nmore")

    def refuse():
        raise InputError("expected one thing, got another; do this")

    monkeypatch.setattr(packages, "python", crash)
    monkeypatch.setattr(packages, "extras", refuse)
    checks = [Check("packages", name) for name in ("python", "extras")]
    found = list(examine(checks=[*checks, Check("nowhere", "x"), Check("detection", "torch")]))
    assert [finding.state for finding in found] == ["broken", "broken", "broken", "works"]
    assert "ZeroDivisionError: oops" in found[0].said
    assert found[1] == Finding("extras", "broken", "expected one thing, got another", "do this")
    assert all(finding.said.isprintable() and finding.mend for finding in found[:3])


def test_every_check_is_there():
    for check in CHECKS:
        module = getattr(doctor, check.module)
        assert getattr(module, check.name).__doc__
    assert len(set(CHECKS)) == len(CHECKS)


def run(*words):
    result = CliRunner().invoke(app, ["doctor", *words], env={"COLUMNS": "80"})
    return result.exit_code, result.stdout


def test_the_verb_ends_with_0_where_all_that_is_needed_works():
    code, said = run()
    assert code == 0, said
    assert said.endswith("All that is needed works.\n")
    for about in ("Python", "libraries", "torch", "torchvision", "detection", "cache", "weights"):
        assert f" {about}:" in said
    assert "\n        recognition weights fetch vggface2 --accept-licence\n" in said


def test_the_verb_ends_with_1_where_something_needed_is_broken():
    code, said = run("--model", "vggface2", "--json")
    told = json.loads(said)
    assert (code, told["works"]) == (1, False)
    assert told["findings"][-1]["about"] == "model"
    code, said = run("--model", "vggface2")
    assert code == 1
    assert said.endswith("Something needed is broken.\n")
    assert "BROKEN  model: no weights of vggface2" in said


def test_it_changes_nothing(tmp_path):
    before = sorted(tmp_path.rglob("*"))
    run()
    assert sorted(Path(tmp_path).rglob("*")) == before
