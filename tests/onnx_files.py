"""A recogniser in ONNX that is made in a moment: a matrix, for tests alone."""

import json
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest


def save_network(path: Path, weights: npt.NDArray[np.float32], side: int) -> None:
    """Crops (N, 3, side, side) times weights (3 side side, D), with a card beside it."""
    onnx = pytest.importorskip("onnx", reason="the extra onnx is not installed")
    helper, kind = onnx.helper, onnx.TensorProto.FLOAT
    nodes = [
        helper.make_node("Flatten", ["crops"], ["flat"], axis=1),
        helper.make_node("MatMul", ["flat", "weights"], ["embeddings"]),
    ]
    graph = helper.make_graph(
        nodes,
        "recogniser",
        [helper.make_tensor_value_info("crops", kind, ["N", 3, side, side])],
        [helper.make_tensor_value_info("embeddings", kind, ["N", weights.shape[1]])],
        [onnx.numpy_helper.from_array(weights, "weights")],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    path.write_bytes(made.SerializeToString())
    card = {"height": side, "width": side, "mean": 127.5, "std": 127.5}
    path.with_suffix(".json").write_text(json.dumps(card))
