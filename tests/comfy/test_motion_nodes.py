"""What the nodes that move the head return and show."""

import logging

import folder_paths
import pytest
import torch
from comfy_api.internal import make_locked_method_func
from pack.nodes.motion import IdleMotion, RetargetKps
from pack.vexpress.kps import Kps
from pack.vexpress.kps_files import save_kps
from PIL import Image

FACE = torch.tensor([[200.0, 220.0], [312.0, 220.0], [256.0, 290.0]])
PORTRAIT = Kps(FACE[None], 512, 512, detector="a")
DEFAULTS = {s.id: s.default for s in RetargetKps.GET_SCHEMA().inputs if hasattr(s, "default")}


def moving_right(frames, pixels, detector="a"):
    shift = torch.arange(float(frames))[:, None, None] * torch.tensor([pixels, 0.0])
    return Kps(FACE + shift, 512, 512, detector=detector)


def execute(node, **inputs):
    """As ComfyUI's executor does, on a class that cannot be changed."""
    return make_locked_method_func(node, "execute", node.PREPARE_CLASS_CLONE(None))(**inputs)


def retargeted(**inputs):
    return execute(RetargetKps, reference=PORTRAIT, **{**DEFAULTS, **inputs})


def chart_of(result):
    (preview,) = result.ui["images"]
    return Image.open(f"{folder_paths.get_temp_directory()}/{preview['filename']}")


def test_by_default_the_head_follows_the_driver():
    result = retargeted(driving=moving_right(20, 2.0))
    torch.testing.assert_close(result.args[0].points, moving_right(20, 2.0).points)
    assert result.ui["text"] == ()
    assert chart_of(result).width == 640


def test_a_workflow_saved_before_an_input_came_still_runs():
    first = ("strategy", "frames", "fps", "timing", "upstream_exact")
    old = {name: DEFAULTS[name] for name in first}
    result = execute(RetargetKps, reference=PORTRAIT, **old, driving=moving_right(20, 2.0))
    assert torch.equal(result.args[0].points, retargeted(driving=moving_right(20, 2.0)).args[0].points)


def test_every_amount_reaches_its_part():
    still = retargeted(driving=moving_right(20, 2.0), translation=0.0).args[0].points
    torch.testing.assert_close(still, FACE.expand(20, 3, 2))


def test_frames_that_leave_the_picture_are_named_in_log_node_and_chart(caplog):
    with caplog.at_level(logging.WARNING):
        result = retargeted(driving=moving_right(30, 10.0))
    (sentence,) = result.ui["text"]
    assert sentence.startswith("10 of 30 frames have a point outside the picture (20 to 29)")
    assert sentence in caplog.text
    assert chart_of(result).height > chart_of(retargeted(driving=moving_right(30, 1.0))).height


def test_two_detectors_are_named_in_log_and_node(caplog):
    with caplog.at_level(logging.WARNING):
        result = retargeted(driving=moving_right(5, 1.0, detector="b"))
    (sentence,) = result.ui["text"]
    assert "come from a, the driving V-Kps from b" in sentence and sentence in caplog.text


def test_detectors_are_not_compared_where_the_drivers_points_are_not_used():
    result = retargeted(driving=moving_right(5, 1.0, detector="b"), strategy="fix_face")
    assert result.ui["text"] == ()


@pytest.mark.parametrize("frames, expected", [(0, 60), (33, 33)])
def test_idle_motion_lasts_as_long_as_the_voice_or_as_asked(frames, expected):
    audio = {"waveform": torch.zeros(1, 2, 2 * 44100), "sample_rate": 44100}
    result = execute(IdleMotion, reference=PORTRAIT, audio=audio, frames=frames, fps=30.0, amount=1.0, seed=7)
    assert len(result.args[0]) == expected
    assert chart_of(result).width == 640


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def test_on_a_real_server_each_node_shows_its_chart_and_says_what_is_wrong(server):
    size = {
        "width": 512,
        "height": 512,
        "fps": 29.0,
    }  # as no other test: what ComfyUI has cached shows nothing
    settings = {"strategy": "follow", "frames": 40, "fps": 30.0, "timing": "clock", "upstream_exact": False}
    save_kps(Kps(FACE[None], 64, 64), server.input / "small.json")  # its face lies outside its picture
    outputs = server.run(
        {
            "portrait": node("VExpressLoadKps", file="v-express_portrait_kps.json", **size),
            "small": node("VExpressLoadKps", file="small.json", **size),
            "driver": node("VExpressLoadKps", file="v-express_driving_kps.json", **size),
            "voice": node("LoadAudio", audio="v-express_voice.flac"),
            "moved": node(
                "VExpressRetargetKps", reference=["portrait", 0], driving=["driver", 0], **settings
            ),
            "idle": node(
                "VExpressIdleMotion",
                reference=["small", 0],
                audio=["voice", 0],
                frames=0,
                fps=30.0,
                amount=1.0,
                seed=1,
            ),
            "shown": node("VExpressDrawKps", kps=["moved", 0]),
            "shown_idle": node("VExpressDrawKps", kps=["idle", 0]),
        }
    )
    for name in ("portrait", "driver", "moved", "idle", "small"):
        assert outputs[name]["images"][0]["type"] == "temp"
    assert "outside the picture" in outputs["small"]["text"][0]
    assert "outside the picture" in outputs["idle"]["text"][0]
    assert not outputs["moved"]["text"]
