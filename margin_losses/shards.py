"""Where the class axis is: all of it here, or a part of it on every process of a group."""

from torch import Tensor

from margin_losses.kernels import Sums
from margin_losses.margin import State


class Here:
    """The whole class axis is in this process: nothing to exchange."""

    start: int = 0

    def size(self, num_classes: int) -> int:
        """How many of the classes are here."""
        return num_classes

    def spread(self, x: Tensor) -> Tensor:
        """The factor (B, D) as it goes into the kernel of each part."""
        return x

    def own(self, own: Tensor) -> Tensor:
        """The own classes' rows (B, D) from those of each part, 0 where they are elsewhere."""
        return own

    def combine(self, sums: Sums) -> Sums:
        """The sums over the whole axis from those over each part."""
        return sums

    def agree(self, state: State) -> State:
        """One state for all parts, where each might have drawn its own."""
        return state


HERE = Here()
