"""How the pictures that are named to a gallery's verbs become embeddings."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from recognition.contract import Contract

if TYPE_CHECKING:
    from recognition.gallery.photographs import Models


@dataclass(frozen=True)
class Source:
    """The options that say so."""

    model: str | None
    device: str
    min_score: float
    trust: bool

    def load(self, contract: Contract) -> "Models":
        """Detector and network for photographs.

        Raises:
            InputError: no such model, or not the gallery's.
        """
        from recognition.gallery.photographs import Models

        return Models.load(contract, model=self.model, device=self.device, min_score=self.min_score)
