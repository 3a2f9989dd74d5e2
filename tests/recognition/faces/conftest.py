import os

import pytest
import torch
from networks import seeded

from recognition.faces.models.facenet import PUBLISHED, cache_folder

VGG = PUBLISHED["vggface2"].file


@pytest.fixture(autouse=True)
def _own_places(tmp_path, monkeypatch):
    """No test sees or changes what this machine remembers of weights."""
    monkeypatch.setenv("RECOGNITION_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.delenv("RECOGNITION_FACENET_WEIGHTS", raising=False)


@pytest.fixture(scope="session")
def files(tmp_path_factory):
    """Random weights in the layout of upstream's two files."""
    folder = tmp_path_factory.mktemp("published")
    state = seeded("inception_resnet_v1").state_dict()
    for told in PUBLISHED.values():
        logits = {"logits.weight": torch.zeros(told.people, 2), "logits.bias": torch.zeros(3)}
        torch.save({**state, **logits}, folder / told.file)
    return folder


@pytest.fixture
def cache(files):
    """facenet-pytorch's cache with one of them."""
    cache_folder().mkdir(parents=True)
    os.link(files / VGG, cache_folder() / VGG)
    return cache_folder() / VGG
