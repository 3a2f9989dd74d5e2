"""Networks that embed faces, each from a file that somebody has: nothing is downloaded."""

from recognition.faces.models.loading import load_embedder

__all__ = ["load_embedder"]
