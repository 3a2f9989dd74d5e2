"""Sums over the class axis: the only place that sees every class.

A kernel is a function `(x, weight, rows, logits) -> Sums`. `dense` is the specification; every
other one must equal it in value and gradient.
"""

from margin_losses.kernels.auto import Auto
from margin_losses.kernels.chunked import Chunked
from margin_losses.kernels.dense import Kernel, Sums, dense
from margin_losses.kernels.sampled import Sampled

__all__ = ["Auto", "Chunked", "Kernel", "Sampled", "Sums", "dense"]
