"""timm's models as backbones: with a stand-in, and with timm itself where it is installed."""

import importlib.util
import subprocess
import sys
from types import ModuleType, SimpleNamespace

import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from recognition.backbones import create_backbone, find_backbone, timm_models
from recognition.errors import InputError
from recognition.faces.models import load_embedder


class Pooled(nn.Module):
    """(B, 3, side, side) -> (B, 7)."""

    def __init__(self, img_size=112):
        super().__init__()
        self.side = img_size
        self.convolution = nn.Conv2d(3, 7, 3)
        self.norm = nn.BatchNorm2d(7)

    def forward(self, x):
        if x.shape[-1] != self.side:
            raise ValueError(f"this model takes {self.side}")
        return self.norm(self.convolution(x)).mean((2, 3))


class Unpooled(Pooled):
    def forward(self, x):
        return self.convolution(x)


def library():
    """A module with the little of timm that is used."""
    timm = ModuleType("timm")
    models = {
        "convnet": (lambda: Pooled(), False),
        "transformer": (lambda img_size=224: Pooled(img_size), True),
        "fixed": (lambda: Pooled(224), False),
        "unpooled": (Unpooled, False),
    }

    def create_model(name, *, pretrained, num_classes, **options):
        assert not pretrained
        assert num_classes == 0
        return models[name][0](**options)

    timm.list_models = lambda: list(models)
    timm.create_model = create_model
    timm.get_pretrained_cfg = lambda name: SimpleNamespace(fixed_input_size=models[name][1])
    return timm


@pytest.fixture
def timm(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", library())


@pytest.mark.usefixtures("timm")
@pytest.mark.parametrize("name", ["convnet", "transformer"])
def test_a_models_features_go_through_a_layer_of_our_own(name):
    kind = find_backbone(f"timm:{name}")
    assert kind[1:] == (112, 512, (127.5, 128.0), ("timm",))
    with torch.random.fork_rng():
        network = kind.build()
    assert all(each.training for each in network.modules())
    assert not network.state_dict()["network.norm.running_mean"].any(), "it was tried in eval mode"
    names = [key for key in network.state_dict() if not key.startswith("network.")]
    assert names[:3] == ["linear.weight", "norm.weight", "norm.bias"]
    pictures = torch.randn(3, 3, 112, 112)
    rows = network(pictures)
    assert rows.shape == (3, 512)
    expected = network.norm(network.linear(network.network(pictures)))
    torch.testing.assert_close(rows, expected)
    torch.testing.assert_close(rows.mean(0), torch.zeros(512), atol=1e-5, rtol=0)


@pytest.mark.usefixtures("timm")
def test_what_timm_cannot_build_so_is_refused():
    for ask in (create_backbone, find_backbone):
        with pytest.raises(
            InputError, match="no model 'conv_net' among its 4; did you mean timm:co"
        ):
            ask("timm:conv_net")
    with pytest.raises(InputError, match=r"no model 'hf-hub:a/b'.*; see timm\.list_models"):
        find_backbone("timm:hf-hub:a/b")
    with pytest.raises(InputError, match=r"fixed does not take pictures of 112 x 112 .*takes 224"):
        create_backbone("timm:fixed")
    with pytest.raises(InputError, match=r"got \(1, 7, 110, 110\) from timm's unpooled"):
        create_backbone("timm:unpooled")


def test_without_timm_one_is_told_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(
        InputError, match=r"not installed; pip install 'margin-recognition\[timm\]'"
    ):
        find_backbone("timm:resnet18")


def test_weights_of_a_model_of_timm_ask_for_timm(monkeypatch, tmp_path):
    monkeypatch.setitem(sys.modules, "timm", None)
    save_file({"x": torch.zeros(1)}, tmp_path / "face.safetensors", {"backbone": "timm:resnet18"})
    with pytest.raises(InputError, match="timm is needed for timm:NAME"):
        load_embedder(tmp_path / "face.safetensors")


def test_a_timm_that_does_not_load_is_told_with_the_reason(monkeypatch):
    def broken(name):
        raise OSError("a library of its own is missing")

    monkeypatch.setattr(timm_models, "import_module", broken)
    with pytest.raises(InputError, match=r"does not load here .*library of its own"):
        find_backbone("timm:resnet18")


def test_operators_that_do_not_load_are_not_told_to_compilers(monkeypatch):
    """As torchvision of another build: its import fails unless that part is there already."""
    part = "torchvision._meta_registrations"
    for name in [name for name in sys.modules if name.split(".")[0] in {"timm", "torchvision"}]:
        monkeypatch.delitem(sys.modules, name)
    tries = []

    def importing(name):
        tries.append(part in sys.modules)
        sys.modules["timm.half"] = ModuleType("timm.half")
        if not tries[-1]:
            raise RuntimeError("operator torchvision::nms does not exist")
        return library()

    monkeypatch.setattr(timm_models, "import_module", importing)
    try:
        assert find_backbone("timm:convnet").input_size == 112
        assert tries == [False, True]
        assert part not in sys.modules
    finally:
        sys.modules.pop("timm.half", None)


REAL = """
import sys
import torch
from safetensors.torch import save_file
from recognition import load_embedder
from recognition.backbones import create_backbone
torch.manual_seed(0)
for name in ("mobilenetv3_small_050", "vit_tiny_patch16_224"):
    network = create_backbone("timm:" + name)
    network(torch.randn(2, 3, 112, 112)).square().sum().backward()
    lacking = [key for key, p in network.named_parameters() if p.grad is None]
    print(name, tuple(network.eval()(torch.randn(1, 3, 112, 112)).shape), lacking)
from recognition.faces.torchvision_operators import suppression
print(len(suppression()(torch.zeros(1, 4), torch.zeros(1), 0.5)))
file = sys.argv[1] + "/face.safetensors"
save_file(network.state_dict(), file, {"backbone": "timm:" + name})
print(load_embedder(file).contract.versions.keys() == {"torch", "timm"})
"""


@pytest.mark.skipif(importlib.util.find_spec("timm") is None, reason="the extra timm is not here")
def test_timm_itself_loads_beside_this_torchvision_and_leaves_detection_whole(tmp_path):
    command = [sys.executable, "-W", "error", "-c", REAL, str(tmp_path)]
    found = subprocess.run(command, capture_output=True, text=True, check=False)
    assert found.stdout == (
        "mobilenetv3_small_050 (1, 512) []\nvit_tiny_patch16_224 (1, 512) []\n1\nTrue\n"
    ), found.stderr
