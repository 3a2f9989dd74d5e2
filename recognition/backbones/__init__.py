"""Networks from a picture to an embedding, by name."""

from recognition.backbones.registry import (
    BACKBONES,
    Backbone,
    Standardisation,
    create_backbone,
    find_backbone,
)

__all__ = ["BACKBONES", "Backbone", "Standardisation", "create_backbone", "find_backbone"]
