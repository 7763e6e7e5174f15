"""What comes over a link is held to the limits that ComfyUI checks for widgets only."""

import math

import numpy
import pytest
from comfy_api.latest import io
from pack.nodes import NODES
from pack.nodes.limits import keep_limits

NUMBERS = [
    (node, socket)
    for node in NODES
    for socket in node.define_schema().inputs
    if isinstance(socket, (io.Int.Input, io.Float.Input))
]


def named(value: object) -> str:
    return f"{value.__name__ if isinstance(value, type) else value.id}"


@pytest.mark.parametrize("node, socket", NUMBERS, ids=named)
def test_every_number_is_held_to_its_limits(node, socket):
    others = {each.id: None for each in node.define_schema().inputs if not each.optional}
    for value in (socket.min - 1, socket.max + 1, math.nan, math.inf, -math.inf, "1", None):
        with pytest.raises(ValueError, match=f"^{socket.id} is .*; it must be a (whole )?number from"):
            node.execute(**{**given(node, others), socket.id: value})


def given(node: type, others: dict) -> dict:
    """Every number at its default, everything else absent."""
    defaults = {each.id: each.default for kind, each in NUMBERS if kind is node and not each.optional}
    return others | defaults


@pytest.mark.parametrize("node, socket", [pair for pair in NUMBERS if pair[1].id == "fps"], ids=named)
def test_a_frame_rate_of_film_can_be_typed(node, socket):
    """The frontend rounds what is typed to the decimals of the step."""
    decimals = max(0, -math.floor(math.log10(socket.step)))
    assert round(23.976, decimals) == 23.976 and round(29.97, decimals) == 29.97


class Counted(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        numbers = [io.Int.Input("frames", min=0, max=100), io.Float.Input("fps", min=1.0, max=120.0)]
        return io.Schema(node_id="Counted", inputs=numbers)

    @classmethod
    def execute(cls, frames: int, fps: float) -> tuple[int, float]:
        return frames, fps


@pytest.mark.parametrize("frames", [24, 24.0, numpy.int64(24), numpy.float32(24)])
@pytest.mark.parametrize("fps", [25, 25.0, numpy.int64(25), numpy.float32(25)])
def test_numbers_of_other_packs_become_pythons(frames, fps):
    given = keep_limits(type("Checked", (Counted,), {})).execute(frames=frames, fps=fps)
    assert given == (24, 25.0) and [type(number) for number in given] == [int, float]


def test_a_part_of_a_frame_is_refused():
    with pytest.raises(ValueError, match="frames is 24.5; it must be a whole number from 0 to 100"):
        keep_limits(type("Checked", (Counted,), {})).execute(frames=24.5, fps=25.0)
