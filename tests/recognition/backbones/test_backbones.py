import subprocess
import sys
from pathlib import Path

import pytest
import torch

from recognition.backbones import BACKBONES, create_backbone, find_backbone
from recognition.contract import Preprocessing
from recognition.errors import InputError

FACENET = "inception_resnet_v1"
README = (Path(__file__).parents[3] / "README.md").read_text()
QUICK = ["small", "mobilefacenet", "iresnet18", FACENET]  # the other iresnets are only deeper
PARAMETERS = {
    "small": 612_928,
    "mobilefacenet": 2_059_520,
    "iresnet18": 24_025_600,
    "iresnet34": 34_139_328,
    "iresnet50": 43_590_848,
    "iresnet100": 65_156_160,
    "iresnet200": 118_833_920,
    FACENET: 23_482_624,
}


@pytest.fixture(scope="module", params=QUICK)
def named(request):
    """A name in the registry, and the network one gets for it."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return request.param, create_backbone(request.param)


@pytest.fixture(scope="module")
def embeddings(named):
    """Two pictures of noise through the network."""
    name, network = named
    side = BACKBONES[name].input_size
    noise = torch.Generator().manual_seed(0)
    with torch.inference_mode():
        return network.eval()(torch.rand(2, 3, side, side, generator=noise) * 2 - 1)


def test_a_picture_becomes_as_many_numbers_as_the_registry_says(named, embeddings):
    assert embeddings.shape == (2, BACKBONES[named[0]].embedding_dim)
    assert embeddings.dtype == torch.float32


def test_embeddings_are_finite_differ_and_are_not_normalised(embeddings):
    assert embeddings.isfinite().all()
    # before training the running statistics are those of no data: mobilefacenet's are far too large
    assert (embeddings[0] - embeddings[1]).norm() > 1e-3 * embeddings[0].norm() > 0
    assert ((embeddings.norm(dim=1) - 1).abs() > 1e-3).all()


def test_the_registry_holds_what_the_documentation_says():
    assert BACKBONES["small"][1:3] == (64, 128)
    assert BACKBONES[FACENET][1:3] == (160, 512)
    for name in BACKBONES.keys() - {"small", FACENET}:
        assert BACKBONES[name][1:3] == (112, 512)


def test_pixels_are_standardised_as_each_networks_authors_do():
    own = {name for name, kind in BACKBONES.items() if kind.standardisation == (127.5, 128)}
    theirs = {name for name, kind in BACKBONES.items() if kind.standardisation == (127.5, 127.5)}
    assert own == {"small", FACENET}
    assert own | theirs == BACKBONES.keys()
    told = BACKBONES["iresnet50"].preprocessing
    assert told == Preprocessing("whole", 112, 112, std=(127.5, 127.5, 127.5))
    assert BACKBONES["small"].preprocessing == Preprocessing("whole", 64, 64)


@pytest.mark.parametrize("name", BACKBONES)
def test_networks_have_the_documented_sizes(name):
    with torch.device("cpu" if name == FACENET else "meta"):
        network = create_backbone(name)
    numbers = sum(p.numel() for p in network.parameters())
    assert numbers == PARAMETERS[name]
    (row,) = (line for line in README.splitlines() if line.startswith(f"| `{name}`"))
    assert f" {numbers / 1e6:.1f} M " in row


def test_weights_come_from_the_global_generator():
    with torch.random.fork_rng():
        draws = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            draws.append(torch.cat([p.flatten() for p in create_backbone("small").parameters()]))
    assert torch.equal(draws[0], draws[1])
    assert not torch.equal(draws[0], draws[2])


def test_creating_a_network_leaves_it_ready_to_train():
    assert create_backbone("small").training


def test_an_unknown_name_is_refused_with_the_nearest_and_those_that_are_known():
    near = "'resnet50'; did you mean 'iresnet50'. known: small, mobilefacenet, .* or timm:NAME"
    for ask in (create_backbone, find_backbone):
        with pytest.raises(InputError, match=near):
            ask("resnet50")
        with pytest.raises(InputError, match=r"unknown backbone 'x{60}'; known: small"):
            ask("x" * 61)


ALONE = """
import sys
from recognition.backbones import create_backbone
def loaded():
    heavy = {"torchvision", "facenet_pytorch", "timm"}
    return sorted({name.split(".")[0] for name in sys.modules} & heavy)
print(loaded())  # nothing of it is needed before one asks for it
network = create_backbone("inception_resnet_v1")
print(loaded())
again = create_backbone("inception_resnet_v1")  # nothing is missing the second time
print(loaded())
network.load_state_dict(again.state_dict())
"""


def test_facenet_comes_without_torchvision_and_leaves_no_stand_in():
    found = subprocess.run(
        [sys.executable, "-W", "error", "-c", ALONE], capture_output=True, text=True, check=False
    )
    assert found.stderr == ""
    assert found.stdout == "[]\n[]\n[]\n"


def test_a_missing_facenet_is_named_with_the_way_to_get_it(monkeypatch):
    for name in [name for name in sys.modules if name.split(".")[0] == "facenet_pytorch"]:
        monkeypatch.delitem(sys.modules, name)  # whoever imported it before
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(InputError, match="pip install facenet-pytorch"):
        create_backbone(FACENET)
    assert not [name for name in sys.modules if name.startswith("facenet_pytorch")]
