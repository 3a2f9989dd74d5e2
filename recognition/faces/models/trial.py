"""A network is tried on crops of noise before anything relies on it."""

from dataclasses import replace

import numpy as np

from recognition.contract import Contract, Preprocessing
from recognition.errors import InputError
from recognition.faces.face import Pixels
from recognition.faces.models.passes import Forward, embed_in_chunks, to_input

LARGEST = 65_536  # numbers in an embedding


def noise(preprocessing: Preprocessing, count: int = 2) -> Pixels:
    """Crops (count, H, W, 3) that are the same on every machine."""
    shape = (count, preprocessing.height, preprocessing.width, 3)
    return np.random.default_rng(0).integers(0, 256, shape, np.uint8)


def tried(forward: Forward, contract: Contract) -> Contract:
    """The contract with the dimension that the network has, once it embeds two crops soundly.

    Raises:
        InputError: the network cannot take its input, or gives no rows, NaN, zeros, or the same
            embedding for crops that have nothing in common.
    """
    name, preprocessing = contract.model, contract.preprocessing
    crops = noise(preprocessing)
    try:
        rows = forward(to_input(crops, preprocessing))
    except InputError:
        raise
    except Exception as error:  # networks raise anything
        raise InputError(
            f"{name}: expected a network for inputs of shape (N, 3, {preprocessing.height}, "
            f"{preprocessing.width}), but a forward pass fails "
            f"({_first_line(error)}); correct height and width in its .json"
        ) from error
    if rows.ndim != 2 or len(rows) != 2 or not 1 <= rows.shape[1] <= LARGEST:
        raise InputError(
            f"{name}: expected one row of numbers a crop, of shape (2, D), got {rows.shape}; name "
            "a network that ends with its embedding"
        )
    dimension = rows.shape[1] * (2 if preprocessing.mirror == "concatenate" else 1)
    found = embed_in_chunks(forward, crops, preprocessing, dimension, name)
    if not found.any(axis=1).all() or np.array_equal(found[0], found[1]):
        raise InputError(
            f"{name}: expected different embeddings for different crops, got the same or zeros; "
            "its weights are damaged, or were never trained"
        )
    return replace(contract, dimension=dimension)


def _first_line(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [type(error).__name__]
    return "".join(c for c in lines[0][:160] if c.isprintable())
