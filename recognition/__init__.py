"""How well embeddings separate people never seen in training, and search among them."""
