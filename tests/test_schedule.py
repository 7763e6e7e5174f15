"""Timesteps and noise, against the reference implementation's and ComfyUI's."""

import pytest
import torch
from pack.vexpress.schedule import NoiseStream, reference_noise, trailing_timesteps


@pytest.mark.parametrize(
    "steps, expected",
    [
        (1, [999]),
        (2, [999, 499]),
        (3, [999, 666, 332]),
        (4, [999, 749, 499, 249]),
        (7, [999, 856, 713, 570, 428, 285, 142]),
    ],
)
def test_timesteps_trail_from_pure_noise(steps, expected):
    assert trailing_timesteps(steps).tolist() == expected


@pytest.mark.parametrize("steps", [25, 30, 1000])
def test_there_are_as_many_timesteps_as_asked_for(steps):
    timesteps = trailing_timesteps(steps)
    assert len(timesteps) == steps
    assert timesteps[0] == 999
    assert (timesteps.diff() < 0).all()


def test_reference_noise_varies_by_channel_before_frame():
    drawn = torch.randn(1, 4, 3, 2, 5, generator=torch.Generator().manual_seed(42))
    assert torch.equal(reference_noise(42, 3, 4, 2, 5)[1, 2], drawn[0, 2, 1])


@pytest.mark.parametrize("shape", [(4, 8, 8), (4, 3, 5), (4, 9, 7)])
@pytest.mark.parametrize("pieces", [(7,), (1, 2, 4), (3, 3, 1), (1,) * 7])
def test_noise_in_pieces_is_the_noise_of_the_whole_clip(shape, pieces):
    whole = torch.randn(7, *shape, generator=torch.Generator().manual_seed(5))
    stream = NoiseStream(5, 7, shape)
    assert torch.equal(torch.cat([stream.draw(frames) for frames in pieces]), whole)
