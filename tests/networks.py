"""Networks with random weights, for tests alone: nothing in the package makes an embedder of one."""

import json
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from recognition.backbones import create_backbone
from recognition.contract import Contract, Preprocessing
from recognition.faces.face import Pixels
from recognition.faces.models.network import TorchEmbedder


class Tiny(nn.Module):
    """(B, 3, 8, 6) -> (B, 4): quick to read, and nothing in it is symmetric."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 5, 3, stride=2)
        self.drop = nn.Dropout(0.5)
        self.norm = nn.BatchNorm1d(30)
        self.last = nn.Linear(30, 4)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(self.norm(self.drop(self.first(x).flatten(1))))


TINY = Preprocessing(height=8, width=6, mean=(1.0, 2.0, 3.0), std=(50.0, 60.0, 70.0))


def seeded(name: str = "tiny", seed: int = 0) -> nn.Module:
    """A network whose weights are random, and whose running statistics are as if it had learned."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = Tiny() if name == "tiny" else create_backbone(name)
        for key, value in network.state_dict().items():
            if key.endswith("running_mean"):
                value.normal_(std=0.1)
    return network.eval()


def random_embedder(
    name: str = "tiny", preprocessing: Preprocessing = TINY, seed: int = 0
) -> TorchEmbedder:
    contract = Contract(f"random {name}", f"{seed:064x}", 1, preprocessing)
    return TorchEmbedder.of(seeded(name, seed), contract)


def crops(count: int, preprocessing: Preprocessing = TINY, seed: int = 1) -> Pixels:
    shape = (count, preprocessing.height, preprocessing.width, 3)
    return np.random.default_rng(seed).integers(0, 256, shape, np.uint8)


def save_tiny(path: Path, card: dict[str, object] | None = None) -> Path:
    """Its weights in safetensors with a card beside them."""
    save_file(dict(seeded().state_dict()), path)
    path.with_suffix(".json").write_text(json.dumps(CARD if card is None else card))
    return path


CARD: dict[str, object] = {
    "height": 8, "width": 6, "mean": [1, 2, 3], "std": [50, 60, 70], "licence": "CC0",
}  # fmt: skip
