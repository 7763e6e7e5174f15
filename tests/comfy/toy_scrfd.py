"""A face detector without weights, in the form of insightface's det_10g.onnx, and the faces it knows.

A face is five discs in saturated colours. The network tells the colours apart, averages each colour's place in a
window around every cell of its grid, and hands these places out as SCRFD does. Red taken for blue, there is no face.
"""

from pathlib import Path

import numpy as np
import onnx
from numpy import ndarray
from onnx import TensorProto, helper, numpy_helper

ANCHORS = 2  # in every cell, as in det_10g
WINDOW = 20  # cells of 8 pixels
COLOURS = np.array(
    [[1, 0, 0], [0, 1, 0], [0, 0, 1], [1, 1, 0], [1, 0, 1]]
)  # eyes, nose, corners of the mouth
FACE = np.array(
    [[-20, -15], [20, -15], [0, 5], [-15, 25], [15, 25]], dtype=np.float64
)  # around its middle, pixels
RADIUS = 6


def face_points(x: float, y: float, scale: float = 1.0, degrees: float = 0.0) -> ndarray:
    """(5, 2) of a face moved to x, y"""
    turn = np.radians(degrees)
    rotation = np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
    return FACE @ rotation * scale + [x, y]


def draw_faces(width: int, height: int, *faces: ndarray) -> ndarray:
    """
    (H, W, 3) RGB uint8, on grey

    faces: (5, 2) from face_points
    """
    picture = np.full((height, width, 3), 128.0)
    rows, columns = np.mgrid[:height, :width]
    for points in faces:
        radius = RADIUS * np.linalg.norm(points[1] - points[0]) / 40
        for (x, y), colour in zip(points, COLOURS, strict=True):
            covered = np.clip(radius + 0.5 - np.hypot(columns - x, rows - y), 0, 1)[..., None]
            picture += covered * (colour * 255 - picture)
    return picture.round().astype(np.uint8)


class Graph:
    """Names what it adds, so that nodes read as calls."""

    def __init__(self):
        self.nodes, self.constants = [], []

    def constant(self, value, dtype=np.float32) -> str:
        self.constants.append(numpy_helper.from_array(np.array(value, dtype), f"c{len(self.constants)}"))
        return self.constants[-1].name

    def __call__(self, kind: str, *inputs: str, name: str = "", **attributes) -> str:
        name = name or f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [name], **attributes))
        return name

    def linear(self, x: str, weights: ndarray) -> str:
        """Over the channels; weights: (out, in)"""
        return self("Conv", x, self.constant(weights[:, :, None, None]))

    def rows(self, x: str, columns: int, name: str) -> str:
        """(1, 2*columns, h, w) -> (h*w*2, columns)"""
        x = self("Transpose", x, perm=[0, 2, 3, 1])
        return self("Reshape", x, self.constant([-1, columns], np.int64), name=name)


def write_detector(path: Path) -> None:
    g = Graph()
    masks = colour_masks(g)  # (1, 5, H, W)
    mass, x, y = windows(g, g("Concat", masks, *(g("Mul", masks, at) for at in places(g, masks, 1)), axis=1))
    seen = g("Max", mass, g.constant(1e-9))
    cell_x, cell_y = places(g, mass, 32)
    # Five x, then five y, from the cell's own place.
    offsets = g("Concat", g("Sub", g("Div", x, seen), cell_x), g("Sub", g("Div", y, seen), cell_y), axis=1)
    found = {
        "score": score(g, mass),
        "box": g.linear(offsets, box_weights() / 32),
        "kps": g.linear(offsets, kps_weights() / 32),
    }
    outputs = []
    for (kind, grid), columns in zip(found.items(), (1, 4, 10), strict=True):
        for stride in (8, 16):  # find nothing
            small = g("AveragePool", masks, kernel_shape=[stride, stride], strides=[stride, stride])
            nothing = g.linear(small, np.zeros((ANCHORS * columns, 5)))
            outputs.append((g.rows(nothing, columns, f"{kind}_{stride}"), columns))
        outputs.append((g.rows(grid, columns, f"{kind}_32"), columns))
    graph = helper.make_graph(
        g.nodes,
        "toy_scrfd",
        [helper.make_tensor_value_info("input.1", TensorProto.FLOAT, [1, 3, "height", "width"])],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, n]) for name, n in outputs],
        g.constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=8)
    onnx.checker.check_model(model)
    path.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, path)


def places(g: Graph, like: str, step: int) -> list[str]:
    """x and y of every cell, which are `step` apart; each as large as `like`"""
    steps = g("Add", g("Mul", like, g.constant(0)), g.constant(step))
    return [g("CumSum", steps, g.constant(axis, np.int64), exclusive=1) for axis in (3, 2)]


def windows(g: Graph, x: str) -> list[str]:
    """(1, 15, H, W) -> three of (1, 5, H/32, W/32): means over the window around every cell"""
    pad = (WINDOW - 4) // 2
    x = g("AveragePool", x, kernel_shape=[8, 8], strides=[8, 8])
    x = g(
        "AveragePool",
        x,
        kernel_shape=[WINDOW, WINDOW],
        strides=[4, 4],
        pads=[pad] * 4,
        count_include_pad=1,
    )
    return [
        g("Slice", x, *(g.constant([i], np.int64) for i in (start, start + 5, 1))) for start in (0, 5, 10)
    ]


def colour_masks(g: Graph) -> str:
    """1 where all three channels of the input, in -1..1, are as full or as empty as the colour says."""
    full = g("Cast", g("Greater", "input.1", g.constant(0.3)), to=TensorProto.FLOAT)
    empty = g("Cast", g("Less", "input.1", g.constant(-0.3)), to=TensorProto.FLOAT)
    votes = g.linear(g("Concat", full, empty, axis=1), np.concatenate([COLOURS, 1 - COLOURS], axis=1))
    return g("Cast", g("Greater", votes, g.constant(2.5)), to=TensorProto.FLOAT)


def score(g: Graph, mass: str) -> str:
    """Near 1 where the window holds much of all five colours; a part of a face counts less than all of it."""
    pixels = g("Mul", mass, g.constant((WINDOW * 8) ** 2))
    least = g("ReduceMin", pixels, g.constant([1], np.int64))
    amount = g("ReduceSum", pixels, g.constant([1], np.int64))
    seen = g("Cast", g("Greater", least, g.constant(1)), to=TensorProto.FLOAT)
    amount = g("Mul", seen, g("Div", amount, g("Add", amount, g.constant(100))))
    return g("Concat", *[amount] * ANCHORS, axis=1)


def kps_weights() -> ndarray:
    """From five x and five y to x, y, x, y, …, for each anchor."""
    return np.tile(np.eye(10)[[0, 5, 1, 6, 2, 7, 3, 8, 4, 9]], (ANCHORS, 1))


def box_weights() -> ndarray:
    """Distances to left, top, right, bottom of a square as wide as two eye distances around the middle."""
    middle_x, middle_y = np.eye(2).repeat(5, axis=1) / 5
    eyes = np.eye(10)[1] - np.eye(10)[0]
    return np.tile([eyes - middle_x, eyes - middle_y, eyes + middle_x, eyes + middle_y], (ANCHORS, 1))
