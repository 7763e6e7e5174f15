import pytest
import torch
from pack.vexpress.model.silence import gather, has_voice, spread


@pytest.mark.parametrize(
    "tokens, voice",
    [
        (torch.zeros(1).expand(4, 5, 3), False),
        (torch.zeros(4, 5, 3), False),
        (torch.full((1,), -0.5).expand(4, 5, 3), True),
        (torch.eye(5)[4].expand(4, 3, 5), True),
        (torch.eye(5)[:, :, None].expand(5, 5, 3), True),
    ],
)
def test_a_voice_is_any_token_that_is_not_zero(tokens, voice):
    assert has_voice(tokens) == voice


@pytest.mark.parametrize(
    "voices, gathered, spread_out",
    [
        ([False, True], [2, 3, 0], [0, 0, 2, 3]),
        ([True, False], [0, 1, 2], [0, 1, 2, 2]),
        ([False], [0], [0, 0]),
        ([True, False, True, False], [0, 1, 4, 5, 2], [0, 1, 2, 2, 4, 5, 2, 2]),
    ],
)
def test_one_silent_frame_stands_for_all(voices, gathered, spread_out):
    """Two frames per cond, numbered through; one token of one value each."""
    frames = torch.arange(2 * len(voices))[:, None, None]
    kept = gather(frames, voices)
    assert kept.flatten().tolist() == gathered
    assert spread(kept, voices, num_frames=2).flatten().tolist() == spread_out
