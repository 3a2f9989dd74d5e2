"""Sums over the class axis: the only place that sees every class.

A kernel is a function `(x, weight, rows, logits) -> Sums`. `dense` is the specification; every
other one must equal it in value and gradient.
"""

from margin_losses.kernels.dense import Kernel, Sums, dense

__all__ = ["Kernel", "Sums", "dense"]
