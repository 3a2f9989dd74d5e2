import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from margin_losses import MarginHead
from recognition import Options, evaluate
from recognition.backbones import create_backbone
from recognition.backbones.registry import INSIGHTFACE
from recognition.contract import Preprocessing
from recognition.datasets.drawn import draw_faces
from recognition.datasets.weight_files import read_weights
from recognition.evaluation import class_angles
from recognition.faces.models import load_embedder
from recognition.training.head_comparison import Run
from recognition.training.loop import embed, train
from recognition.training.recipe import Recipe
from recognition.training.weights import save_weights

RECIPE = Recipe(steps=2, batch_size=8)
SETTING = "lsoftmax:m=2+annealed:base=100"  # its head keeps a count beside the class weights


@pytest.fixture(scope="module")
def faces():
    return draw_faces(3, 4, size=64)


@pytest.fixture(scope="module")
def trained(faces):
    return train(faces, SETTING, RECIPE, seed=4)


def run_of(asked, seed=4):
    return Run(asked, SETTING, seed, None, {}, np.zeros(2, np.float32), 1.0)


@pytest.fixture(scope="module")
def folder(trained, tmp_path_factory):
    folder = tmp_path_factory.mktemp("run") / "weights"
    save_weights(run_of("lsoftmax"), trained, folder, RECIPE)
    return folder


def metadata(path):
    with safe_open(path, "pt") as file:
        return file.metadata()


def test_a_head_is_two_files_named_after_it_and_its_seed(folder):
    names = sorted(path.name for path in folder.iterdir())
    assert names == ["lsoftmax-4.backbone.safetensors", "lsoftmax-4.classes.safetensors"]


def test_a_network_read_back_gives_identical_embeddings(folder, faces, trained):
    network = create_backbone("small")
    network.load_state_dict(load_file(folder / "lsoftmax-4.backbone.safetensors"))
    assert (embed(network, faces.images) == embed(trained.backbone, faces.images)).all()


def test_a_head_read_back_gives_identical_logits_and_loss(folder, faces, trained):
    file = folder / "lsoftmax-4.classes.safetensors"
    head = MarginHead(128, len(json.loads(metadata(file)["people"])), metadata(file)["head"])
    head.load_state_dict(load_file(file))
    rows = torch.from_numpy(embed(trained.backbone, faces.images))
    labels = torch.arange(3).repeat_interleave(4)
    one, two = head, trained.head
    assert torch.equal(one.logits(rows), two.logits(rows))
    assert torch.equal(one.eval()(rows, labels), two(rows, labels))
    assert one.get_buffer("iteration") == RECIPE.steps


def test_the_files_say_what_is_needed_to_use_them(folder, trained):
    shared = {"head": SETTING, "seed": "4", "backbone": "small"}
    assert metadata(folder / "lsoftmax-4.backbone.safetensors") == {
        **shared,
        "input": "RGB, resized to 64 x 64, (value - 127.5) / 128",
        "preprocessing": json.dumps(
            {
                "alignment": "whole",
                "height": 64,
                "width": 64,
                "margin": 0,
                "channels": "RGB",
                "mean": [127.5] * 3,
                "std": [128.0] * 3,
                "mirror": "none",
            }
        ),
    }
    found = metadata(folder / "lsoftmax-4.classes.safetensors")
    assert json.loads(found.pop("people")) == trained.people.tolist() == ["p000", "p001", "p002"]
    assert found == shared


def test_a_network_of_insightface_is_used_as_it_was_trained(tmp_path):
    recipe = Recipe(backbone="mobilefacenet", steps=1, batch_size=4)
    faces = draw_faces(2, 2, size=112)
    trained = train(faces, "normface", recipe)
    save_weights(run_of("normface", 0), trained, tmp_path / "weights", recipe)
    file = tmp_path / "weights/normface-0.backbone.safetensors"
    assert metadata(file)["input"] == "RGB, resized to 112 x 112, (value - 127.5) / 127.5"
    embedder = load_embedder(file)
    told = Preprocessing("whole", 112, 112, std=(127.5, 127.5, 127.5))
    assert embedder.contract.preprocessing == told
    rows = embed(trained.backbone, faces.images, standardisation=INSIGHTFACE)
    np.testing.assert_allclose(embedder.embed(faces.images), rows, rtol=1e-4, atol=1e-7)
    save_file(load_file(file), file, {"backbone": "mobilefacenet"})
    assert load_embedder(file).contract.preprocessing == told, "it goes without saying"


def test_class_weights_are_read_back_with_their_people(folder, trained):
    found = read_weights(folder / "lsoftmax-4.classes.safetensors")
    assert (found.weights == trained.head.weight.detach().numpy()).all()
    assert found.labels.tolist() == trained.people.tolist()


def test_evaluation_with_class_weights_says_what_the_comparison_says(folder, faces, trained):
    rows = embed(trained.backbone, faces.images)
    weights = read_weights(folder / "lsoftmax-4.classes.safetensors")
    options = Options(replicates=50, seed=4, parts=("separability",))
    found = evaluate(rows, faces.labels, weights=weights, options=options)
    matrix = trained.head.weight.detach().numpy()
    compared = class_angles(rows, faces.labels, matrix, trained.people, replicates=50, seed=4)
    for key in ("w-ec", "w-inter"):
        one, other = found[key].estimate, compared[key]
        assert (one.value, one.low, one.high) == (
            pytest.approx(other.value), pytest.approx(other.low), pytest.approx(other.high)
        )  # fmt: skip


def test_heads_and_seeds_do_not_overwrite_each_other(trained, tmp_path):
    for asked in ("arcface", "arcface:m=0.4", "arcface:m=0.4,s=12", "arcface:m=4,s=12"):
        for seed in (0, 1):
            save_weights(run_of(asked, seed), trained, tmp_path, RECIPE)
    assert len(list(tmp_path.iterdir())) == 4 * 2 * 2


@pytest.mark.parametrize(
    "asked", ["../../evil", "/etc/evil", "..", "a/../../b", "a\\..\\b", "~/b", "a\0b", "a\nb", "*"]
)
def test_no_name_of_a_head_leads_out_of_the_folder(trained, tmp_path, asked):
    folder = tmp_path / "one" / "two" / "weights"
    folder.parent.mkdir(parents=True)
    save_weights(run_of(asked), trained, folder, RECIPE)
    everything = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path.parent for path in everything] == [folder, folder]


def test_no_name_of_a_person_becomes_a_path_and_all_come_back(trained, tmp_path):
    people = np.array(["../../evil", "/etc/passwd", 'a"b\n\0c \udcff é'])
    hostile = dataclasses.replace(trained, people=people)
    save_weights(run_of("softmax"), hostile, tmp_path / "weights", RECIPE)
    files = sorted(path.name for path in tmp_path.rglob("*") if path.is_file())
    assert files == ["softmax-4.backbone.safetensors", "softmax-4.classes.safetensors"]
    found = metadata(tmp_path / "weights" / "softmax-4.classes.safetensors")
    assert json.loads(found["people"]) == people.tolist()
