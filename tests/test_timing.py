import pytest
import torch
from pack.vexpress.kps import Kps
from pack.vexpress.timing import ContinueBy, Timing, played, smoothed, whole_track

FACE = torch.tensor([[200.0, 220.0], [312.0, 220.0], [256.0, 290.0]])


def track(shifts, fps=30.0):
    """The face shifted to the right by so many pixels in each frame."""
    return Kps(FACE + torch.tensor(shifts)[:, None, None] * torch.tensor([1.0, 0.0]), 512, 512, fps)


def shift_of(kps):
    return (kps.points - FACE)[:, 0, 0].tolist()


def waving(frames, fps=30.0, drift=0.0):
    time = torch.arange(frames) / fps
    return track((40 * torch.sin(2 * torch.pi * 0.37 * time) + drift * time).tolist(), fps)


def largest_step(points):
    return float(points.diff(dim=0).norm(dim=-1).max())


@pytest.mark.parametrize("continue_by", ContinueBy)
@pytest.mark.parametrize(
    "length, fps, frames, expected",
    [
        (5, 30, 5, [0, 1, 2, 3, 4]),
        (5, 30, 3, [0, 1, 2]),
        (5, 60, 3, [0, 2, 4]),
        (3, 15, 6, [0, 0.5, 1, 1.5, 2, 2]),  # the last frame lasts as long as the others
        (1, 30, 4, [0, 0, 0, 0]),
    ],
)
def test_a_track_that_is_long_enough_is_only_cut(continue_by, length, fps, frames, expected):
    kps = played(track([float(i) for i in range(length)], fps), frames, 30.0, Timing.CLOCK, continue_by)
    assert shift_of(kps) == pytest.approx(expected, abs=1e-4)


def test_holding_stays_at_the_last_frame():
    kps = played(track([0.0, 1.0, 2.0]), 6, 30.0, Timing.CLOCK, ContinueBy.HOLD)
    assert shift_of(kps) == [0, 1, 2, 2, 2, 2]


def test_ping_pong_plays_backwards_and_forwards_again():
    """101 frames a pixel apart; turning round takes six frames on either side and stops three short."""
    kps = played(track([float(i) for i in range(101)]), 401, 30.0, Timing.CLOCK, ContinueBy.PING_PONG)
    shifts = shift_of(kps)
    assert shifts[:95] == pytest.approx(range(95), abs=1e-3)
    assert shifts[100:194] == pytest.approx([97.0, *shifts[99:6:-1]], abs=1e-3)
    assert (shifts[200], shifts[300], shifts[400]) == pytest.approx((3.0, 97.0, 3.0), abs=1e-3)
    assert shifts[206:294] == pytest.approx(range(6, 94), abs=1e-3)


def test_ping_pong_neither_jumps_nor_stalls():
    kps = waving(90)
    points = played(kps, 400, 30.0, Timing.CLOCK, ContinueBy.PING_PONG).points
    assert largest_step(points) <= largest_step(kps.points) + 1e-3
    assert (
        largest_step(points.diff(dim=0)) <= 1.5 * largest_step(kps.points) / 6
    )  # the fall of speed in six frames
    linear = played(track([float(i) for i in range(60)]), 200, 30.0, Timing.CLOCK, ContinueBy.PING_PONG)
    assert (linear.points.diff(dim=0).abs().amax((1, 2)) > 0.05).all()


@pytest.mark.parametrize("frames, fps", [(75, 25.0), (90, 30.0), (317, 30.0), (375, 25.0)])
@pytest.mark.parametrize("drift", [0.0, 5.0, -9.0])
def test_a_loop_comes_round_without_a_jump(frames, fps, drift):
    kps = waving(frames, fps, drift)
    points = played(kps, 3 * frames, fps, Timing.CLOCK, ContinueBy.LOOP).points
    assert largest_step(points) <= 1.01 * largest_step(kps.points)
    assert largest_step(points.diff(dim=0)) <= 0.3 * largest_step(kps.points)  # nor does the speed


def test_a_loop_starts_as_the_track_and_repeats_itself():
    kps = waving(90)
    shifts = shift_of(played(kps, 400, 30.0, Timing.CLOCK, ContinueBy.LOOP))
    assert shifts[:45] == pytest.approx(shift_of(kps)[:45])
    period = next(p for p in range(45, 90) if shifts[100 : 400 - p] == pytest.approx(shifts[100 + p :]))
    assert period >= 45


@pytest.mark.parametrize("continue_by", ContinueBy)
@pytest.mark.parametrize("length", [2, 3, 4, 5])
def test_the_shortest_tracks_fill_any_clip(continue_by, length):
    kps = track([float(i) for i in range(length)])
    points = played(kps, 50, 24.0, Timing.CLOCK, continue_by).points
    assert points.shape == (50, 3, 2)
    assert 0 <= (points - FACE).min() and (points - FACE).max() <= length - 1


@pytest.mark.parametrize("continue_by", ContinueBy)
def test_stretching_has_nothing_to_continue(continue_by):
    kps = played(track([0.0, 2.0, 4.0, 6.0]), 8, 30.0, Timing.STRETCH, continue_by)
    assert torch.equal(kps.points, track([0.0, 2.0, 4.0, 6.0]).interpolated(8).points)


@pytest.mark.parametrize(
    "length, fps, timing, expected",
    [(40, 20.0, Timing.CLOCK, 60), (40, 20.0, Timing.STRETCH, 40), (1, 240.0, Timing.CLOCK, 1)],
)
def test_a_whole_track_lasts_as_long_as_its_video(length, fps, timing, expected):
    assert whole_track(track([0.0] * length, fps), 30.0, timing) == expected


def test_smoothing_calms_jitter_and_keeps_movement():
    calm = waving(100)
    noise = torch.randn(100, 3, 2, generator=torch.Generator().manual_seed(7))
    shaky = Kps(calm.points + noise, 512, 512)
    left = (smoothed(shaky, 7).points - calm.points).std()
    assert left < 0.7 * noise.std()  # white noise over seven frames: sqrt(1/3)
    assert largest_step(smoothed(shaky, 7).points.diff(dim=0)) < 0.5 * largest_step(shaky.points.diff(dim=0))


@pytest.mark.parametrize("window", [0, 1, 2, 3])
def test_a_parabola_needs_more_than_three_frames_to_smooth(window):
    kps = waving(20)
    assert smoothed(kps, window) is kps


def test_even_windows_take_a_frame_more_and_short_tracks_what_they_have():
    kps = track([0.0, 3.0, 1.0, 4.0, 1.0, 5.0])
    assert torch.equal(smoothed(kps, 4).points, smoothed(kps, 5).points)
    assert torch.equal(smoothed(kps, 99).points, smoothed(kps, 5).points)
    assert smoothed(track([0.0, 9.0, 1.0]), 7).points.tolist() == track([0.0, 9.0, 1.0]).points.tolist()
