"""List the tensors of insightface's networks in tests/golden/backbones.json.

    python tests/golden/make_backbones.py insightface/recognition/arcface_torch/backbones

It executes iresnet.py and mobilefacenet.py of that folder and keeps names, dtypes, shapes and order
of their state dicts, and what they give for one picture, never their code.
"""

import importlib.util
import itertools
import json
import re
import sys
import warnings
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import nn

HERE = Path(__file__).parent
UNIT = re.compile(r"layer\d\.\d+\.|layers\.\d+\.layers\.\d+\.|")
SOURCE = (
    "deepinsight/insightface, recognition/arcface_torch/backbones/iresnet.py at d9cb10e6 and "
    "mobilefacenet.py at 1fe6356f"
)


def module(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    found = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(found)
    return found


def listed(network: nn.Module, kinds: list[list[str]]) -> list[tuple[int, list[str]]]:
    """The state dict in order: which kind of unit, and the names of those of it in a row."""
    tensors = []
    for name, value in network.state_dict().items():
        unit = UNIT.match(name)[0]
        dtype = str(value.dtype).removeprefix("torch.")
        tensors.append((unit, f"{name.removeprefix(unit)} {dtype} {list(value.shape)}"))
    units = []
    for unit, each in itertools.groupby(tensors, key=lambda tensor: tensor[0]):
        held = [text for _, text in each]
        if held not in kinds:
            kinds.append(held)
        units.append((unit, kinds.index(held)))
    rows = itertools.groupby(units, key=lambda unit: unit[1])
    return [(kind, [unit for unit, _ in each]) for kind, each in rows]


def drawn(network: nn.Module) -> nn.Module:
    """The network in float64 with weights that depend on numpy's generator alone."""
    random = np.random.default_rng(0)
    for name, value in network.double().eval().state_dict().items():
        shape = tuple(value.shape)
        if len(shape) > 1:
            draws = random.normal(size=shape) / np.prod(shape[1:]) ** 0.5
        elif name.endswith(("running_mean", "bias")):
            draws = random.normal(size=shape) / 10
        else:
            draws = random.uniform(0.5, 1.5, shape)
        if value.is_floating_point():
            value.copy_(torch.from_numpy(draws))
    return network


@torch.no_grad()
def embedding(network: nn.Module) -> list[float]:
    """The first numbers of what it gives for one picture of noise."""
    picture = np.random.default_rng(1).uniform(-1, 1, (1, 3, 112, 112))
    return drawn(network)(torch.from_numpy(picture))[0, :4].tolist()


def main() -> None:
    warnings.simplefilter("ignore")  # on torch.cuda.amp
    folder = Path(sys.argv[1])
    published, small = (module(folder / f"{each}.py") for each in ("iresnet", "mobilefacenet"))
    builders = {name: getattr(published, name) for name in published.__all__}
    builders["mobilefacenet"] = lambda: small.get_mbf(fp16=False, num_features=512)
    kinds: list[list[str]] = []
    with torch.device("meta"):
        networks = {name: build() for name, build in builders.items()}
    told = {
        "source": SOURCE,
        "command": "python tests/golden/make_backbones.py "
        "insightface/recognition/arcface_torch/backbones",
        "inputs": "drawn(network) and the picture in embedding() of the command's file; a tensor "
        "is called by its unit and its own name, and kinds tell what a unit holds",
        "kinds": kinds,
        "networks": {name: listed(network, kinds) for name, network in networks.items()},
        "not_trained": {
            name: [key for key, p in network.named_parameters() if not p.requires_grad]
            for name, network in networks.items()
        },
        "embeddings": {
            name: embedding(builders[name]()) for name in ("iresnet18", "mobilefacenet")
        },
    }
    (HERE / "backbones.json").write_text(json.dumps(told) + "\n")


if __name__ == "__main__":
    main()
