"""Margin-softmax heads over shared, normalised embeddings."""
