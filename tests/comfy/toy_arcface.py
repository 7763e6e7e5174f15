"""A face recogniser without weights, in the form of insightface's w600k_r50.onnx: it knows people by their colours."""

from pathlib import Path

import onnx
from onnx import TensorProto, helper
from toy_scrfd import Graph

TILES = 4  # across and down


def write_recognizer(path: Path) -> None:
    """The embedding is what 4 x 4 tiles of the face show on average, channel by channel."""
    g = Graph()
    side = 112 // TILES
    tiles = g("AveragePool", "input.1", kernel_shape=[side, side], strides=[side, side])
    g("Flatten", tiles, name="embedding")
    graph = helper.make_graph(
        g.nodes,
        "toy_arcface",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [None, 3, 112, 112])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, [None, 3 * TILES**2])],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)
