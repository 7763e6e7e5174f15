import numpy as np
import pytest
import torch
from pack.vexpress.audio import voice_fault
from pack.vexpress.chart import FILLED, LEFT, OUTSIDE, RIGHT, ROW, TOP, WIDTH, draw_chart, draw_voice
from pack.vexpress.kps import Kps

FACE = torch.tensor([[200.0, 220.0], [312.0, 220.0], [256.0, 290.0]])


def still(frames, fps=25.0):
    return Kps(FACE.repeat(frames, 1, 1), 512, 512, fps)


def columns(chart, colour):
    """Where on the time axis, 0..1, the first row has a colour at its upper edge, above the curve."""
    row = np.asarray(chart)[TOP + 3, LEFT:RIGHT].astype(int)
    found = np.flatnonzero(np.abs(row - colour).sum(1) < 60)
    return found / (RIGHT - LEFT)


def test_frames_outside_the_picture_are_marked_where_they_are():
    kps = still(100)
    kps.points[40:60, 2, 1] = 600
    marked = columns(draw_chart(kps), OUTSIDE)
    assert (marked.min(), marked.max()) == pytest.approx((0.40, 0.60), abs=0.005)


@pytest.mark.parametrize("frames, gap", [(100, 25), (20_000, 15_000)])
def test_a_single_filled_frame_is_seen_in_a_track_of_any_length(frames, gap):
    filled = torch.zeros(frames, dtype=torch.bool)
    filled[gap] = True
    marked = columns(draw_chart(still(frames), filled), FILLED)
    assert marked.mean() == pytest.approx((gap + 0.5) / frames, abs=0.005)


def test_nothing_is_marked_in_a_track_without_fault():
    chart = draw_chart(still(50), torch.zeros(50, dtype=torch.bool))
    assert not len(columns(chart, OUTSIDE)) and not len(columns(chart, FILLED))


def test_the_curve_of_x_follows_the_face_to_the_right():
    kps = still(100)
    kps.points[50:, :, 0] += 100  # up in the chart is right in the picture
    row = np.asarray(draw_chart(kps))[TOP : TOP + ROW, LEFT:RIGHT].astype(int)
    height = (row[..., 2] > 200).argmax(0)  # of the blue line
    assert height[20:200].min() > ROW / 2 > height[-200:-20].max()


def test_notes_are_written_below():
    plain, noted = draw_chart(still(9)), draw_chart(still(9), notes=["Frame 3 is odd.", "So is frame 4."])
    assert plain.width == noted.width == WIDTH
    below = np.asarray(noted)[plain.height :]
    assert below.shape[0] > 20 and below.max() > 200


@pytest.mark.parametrize("frames, fps", [(1, 30.0), (2, 240.0), (100_000, 1.0)])
def test_every_length_has_a_chart(frames, fps):
    assert draw_chart(still(frames, fps)).width == WIDTH


def test_a_face_without_size_has_a_chart():
    assert draw_chart(Kps(torch.zeros(4, 3, 2), 512, 512)).width == WIDTH


def test_a_voice_is_drawn_where_it_is_heard():
    voice = torch.zeros(16000)
    voice[4000:8000] = torch.tensor([0.5, -0.5]).repeat(2000)
    row = np.asarray(draw_voice(voice, 30, 30.0))[TOP + 8, LEFT:RIGHT].astype(int)
    loud = np.flatnonzero(row[:, 2] > 200) / (RIGHT - LEFT)  # blue
    assert (loud.min(), loud.max()) == pytest.approx((0.25, 0.5), abs=0.005)


def test_the_fault_of_a_voice_is_marked_and_said():
    fault = voice_fault(torch.zeros(1, 16000), 30)
    sound, silent = draw_voice(torch.zeros(16000), 30, 30.0), draw_voice(torch.zeros(16000), 30, 30.0, fault)
    marked = columns(silent, OUTSIDE)
    assert (marked.min(), marked.max()) == pytest.approx((0, 1), abs=0.005)
    assert silent.height > sound.height


@pytest.mark.parametrize("samples, frames", [(1, 1), (400, 1), (9_600_000, 18_000)])
def test_a_voice_of_any_length_has_a_chart(samples, frames):
    assert draw_voice(torch.zeros(samples), frames, 30.0).width == WIDTH
