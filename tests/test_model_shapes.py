import json
from math import prod
from pathlib import Path

import pytest
from pack.tools import model_shapes
from pack.tools.model_shapes import TINY, Sizes

FOLDER = Path(__file__).parent / "golden"
GOLDEN = json.loads((FOLDER / "weights.json").read_text())["shapes"]
RELEASED = json.loads((FOLDER / "networks" / "released_shapes.json").read_text())


@pytest.mark.parametrize(
    "name, keys, elements",
    [
        ("denoising_unet", 798, 909_120_004),
        ("motion_module", 588, 454_417_600),
        ("reference_net", 684, 859_520_324),
        ("v_kps_guider", 16, 1_086_480),
        ("audio_projection", 52, 29_524_224),
        ("wav2vec2", 211, 94_371_712),
        ("vae", 248, 83_653_863),
    ],
)
def test_the_released_files_are_this_large(name, keys, elements):
    shapes = getattr(model_shapes, name)(Sizes())
    assert (len(shapes), sum(map(prod, shapes.values()))) == (keys, elements)


@pytest.mark.parametrize(
    "name",
    ["denoising_unet", "motion_module", "reference_net", "v_kps_guider", "audio_projection", "wav2vec2"],
)
def test_the_stand_ins_have_the_golden_networks_keys_and_shapes(name):
    assert getattr(model_shapes, name)(TINY) == GOLDEN[name]


def test_the_vae_has_the_released_keys_and_shapes():
    assert model_shapes.vae(Sizes()) == RELEASED["vae"]
