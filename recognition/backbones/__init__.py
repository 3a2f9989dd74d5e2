"""Networks from a picture to an embedding, by name."""

from recognition.backbones.registry import BACKBONES, Backbone, create_backbone

__all__ = ["BACKBONES", "Backbone", "create_backbone"]
