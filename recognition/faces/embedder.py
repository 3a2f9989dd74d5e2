"""Who makes an embedding of a face."""

from typing import Protocol

from recognition.contract import Contract
from recognition.faces.face import Floats, Pixels


class Embedder(Protocol):
    """A network behind its preprocessing."""

    @property
    def contract(self) -> Contract:
        """Which weights, which input; every set of embeddings carries it."""
        ...

    def embed(self, crops: Pixels) -> Floats:
        """Embeddings (N, D) float32 of crops (N, height, width, 3) uint8 RGB, N from 0.

        The crops are cut as `contract.preprocessing` says (`alignment.crop_face`); channel order,
        mean, std and mirroring are done here. Rows are as the network gives them, of any length.
        """
        ...
