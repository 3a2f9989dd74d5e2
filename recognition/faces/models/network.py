"""Any torch network as an embedder."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Self, cast

import torch
from torch import nn

from recognition.contract import Contract
from recognition.errors import InputError
from recognition.faces.face import Floats, Pixels
from recognition.faces.models.passes import embed_in_chunks
from recognition.faces.models.trial import tried


@dataclass(frozen=True, eq=False)
class TorchEmbedder:
    """A network, always in evaluation mode, without gradients, on the device that was asked for.

    Attributes:
        network: from (B, 3, H, W) float32 to (B, d).
        contract: which weights, which input.
        device: where it computes.
    """

    network: nn.Module
    contract: Contract
    device: torch.device

    @classmethod
    def of(cls, network: nn.Module, contract: Contract, *, device: str = "cpu") -> Self:
        """The network, tried on two crops of noise; the dimension in `contract` is found so.

        Raises:
            InputError: no such device, or a network that does not embed.
        """
        place = require_device(device)
        # weights by channel, last, as crops are in memory: 1.2 times as fast on a CPU
        network = network.to(place).eval()
        cast(Any, network).to(memory_format=torch.channels_last)  # torch's types do not know it
        embedder = cls(network, contract, place)
        return cls(network, tried(embedder.forward, contract), place)

    def embed(self, crops: Pixels) -> Floats:
        """Embeddings (N, D) of crops (N, height, width, 3), as the network gives them.

        Raises:
            InputError: crops of another shape or kind, or embeddings that are not finite.
        """
        told = self.contract
        return embed_in_chunks(self.forward, crops, told.preprocessing, told.dimension, told.model)

    @torch.inference_mode()
    def forward(self, batch: Floats) -> Floats:
        """One pass, (B, 3, H, W) -> (B, d); whoever trained the network meanwhile changes nothing.

        Raises:
            InputError: the network gives no tensor.
        """
        self.network.eval()
        found = self.network(torch.from_numpy(batch).to(self.device))
        if not isinstance(found, torch.Tensor):
            raise InputError(
                f"{self.contract.model}: expected a network that gives a tensor, got "
                f"{type(found).__name__}; wrap it so that it gives the embedding alone"
            )
        rows: Floats = found.float().cpu().numpy()
        return rows


def require_device(name: str) -> torch.device:
    """The device, if this machine has it; another one is never taken instead.

    Raises:
        InputError: it is unknown or missing.
    """
    there: dict[str, Callable[[], int]] = {
        "cpu": lambda: 1,
        "cuda": torch.cuda.device_count,
        "mps": lambda: int(torch.backends.mps.is_available()),
    }
    kind, _, number = name.partition(":")
    if kind not in there or (number and not number.isdigit()):
        raise InputError(f"unknown device {name[:40]!r}; known: cpu, cuda, cuda:1, mps")
    if int(number or 0) >= there[kind]():
        raise InputError(
            f"device {name} is not there for this build of torch ({torch.__version__}); install a "
            "build that has it, or ask for cpu"
        )
    return torch.device(name)
