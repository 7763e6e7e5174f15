import shutil

import pytest
import torch
from pack.tools import faces
from pack.vexpress.training.dice import Dice
from pack.vexpress.training.drawn import HELD_OUT
from pack.vexpress.training.faces import draw
from pack.vexpress.training.identity import identity, together
from pack.vexpress.training.motion import Motion, motion, still
from pack.vexpress.training.mouth import Mouth, mouth_of
from pack.vexpress.training.speech import babble, espeak, spoiled, with_silence
from pack.vexpress.training.synthetic import clip
from PIL import Image

FPS = 30.0
SEEDS = range(12)


def silent(frames):
    return Mouth(torch.zeros(frames).double(), torch.full((frames,), 0.45).double())


def lively(seed, frames=5, **changes):
    """A few frames of a moving head, a third of a second apart, that looks straight ahead with open eyes."""
    moves = motion(seed, silent(10 * frames), FPS)
    moves = Motion(*(track[::10] for track in moves))
    rest = torch.zeros(frames).double()
    return moves._replace(**{"blink": rest, "gaze_x": rest, "gaze_y": rest, **changes})


def centre_of_change(before, after):
    """x, y in pixels of what differs between two pictures: (F, 2)"""
    change = (after - before).abs().sum(1)
    size = torch.arange(change.shape[-1], dtype=torch.float32)
    total = change.sum((1, 2))
    return torch.stack([(change.sum(1) * size).sum(1) / total, (change.sum(2) * size).sum(1) / total], dim=1)


@pytest.mark.parametrize("seed, subject", [(1 << 29, 0), (-1, 0), (0, 8)])
def test_seeds_that_torch_would_take_for_others_are_refused(seed, subject):
    with pytest.raises(ValueError, match="seeds go from 0 to below"):
        Dice(seed, subject)


def test_who_is_held_out_is_somebody_else():
    people = {tuple(identity(first + i).skin.flatten().tolist()) for first in (0, HELD_OUT) for i in range(8)}
    assert len(people) == 16


def recoloured(person, part):
    return person._replace(**{part: torch.tensor([[0.0, 1.0, 0.0]])})


def correlation(a, b):
    return float(torch.corrcoef(torch.stack([a.double(), b.double()]))[0, 1])


def test_the_same_seed_makes_the_same_clip_whatever_else_was_random():
    first = clip(5, babble(5, 0.4), FPS, 48)
    torch.manual_seed(1)
    again, other = clip(5, babble(5, 0.4), FPS, 48), clip(6, babble(6, 0.4), FPS, 48)
    for part in ("images", "opening", "width", "lip_box", "waveform"):
        assert torch.equal(getattr(first, part), getattr(again, part))
        assert not torch.equal(getattr(first, part), getattr(other, part))
    assert torch.equal(first.kps.points, again.kps.points)


@pytest.mark.parametrize("size", [96, 128, 192])
def test_a_frame_is_the_same_to_the_bit_alone_and_among_others(size):
    moves = lively(3, frames=7)
    others = together([identity(seed) for seed in range(7)])
    drawn = draw(others, moves, size)
    assert drawn.images.shape == (7, 3, size, size)
    for frame in (0, 4, 6):
        alone = draw(identity(frame), Motion(*(track[frame : frame + 1] for track in moves)), size)
        assert all(torch.equal(one[0], many[frame]) for one, many in zip(alone, drawn, strict=True))


@pytest.mark.parametrize("seed", SEEDS)
def test_the_v_kps_are_where_the_eyes_and_the_nose_are_drawn(seed):
    person, moves, size = identity(seed), lively(seed), 128
    person = person._replace(glasses=torch.zeros(1))
    images, kps, _ = draw(person, moves, size)
    nose = centre_of_change(images, draw(recoloured(person, "nose_tip"), moves, size).images)
    assert (nose - kps[:, 2]).norm(dim=1).max() < 0.5
    change = draw(recoloured(person, "iris"), moves, size).images
    for eye in (0, 1):
        near = torch.zeros(len(kps), 1, size, size)
        for frame, (x, y) in enumerate(kps[:, eye].round().int().tolist()):
            near[frame, :, y - 9 : y + 10, x - 9 : x + 10] = 1
        found = centre_of_change(images, torch.where(near > 0, change, images))
        assert (found - kps[:, eye]).norm(dim=1).max() < 1


def test_the_v_kps_name_the_eye_on_the_left_of_the_picture_first():
    kps = draw(identity(1), lively(1), 64).kps
    assert kps.dtype == torch.float32 and kps.shape == (5, 3, 2)
    assert (kps[:, 0, 0] < kps[:, 1, 0]).all() and (kps[:, :2, 1].amax(1) < kps[:, 2, 1]).all()


def test_a_larger_picture_shows_the_same():
    small, large = (draw(identity(2), lively(2), size) for size in (96, 192))
    assert torch.allclose((small.kps + 0.5) * 2, large.kps + 0.5, atol=1e-3)
    assert (torch.nn.functional.avg_pool2d(large.images, 2) - small.images).abs().mean() < 0.01


@pytest.mark.parametrize("seed", SEEDS)
def test_the_dark_between_the_lips_grows_as_the_mouth_opens(seed):
    opening = torch.linspace(0, 1, 21).double()
    drawn = draw(identity(seed), still(Mouth(opening, 0.5 + 0 * opening)), 128)
    left, top = drawn.lip_box[:, :2].amin(0).floor().int().tolist()
    right, bottom = drawn.lip_box[:, 2:].amax(0).ceil().int().tolist()
    lips = drawn.images[:, :, top : bottom + 1, left : right + 1]
    cavity = torch.tensor([0.3, 0.07, 0.1])[:, None, None]
    dark = ((lips - cavity).abs().amax(1) < 0.12).sum((1, 2))
    assert correlation(dark, opening) > 0.95


@pytest.mark.parametrize("seed", SEEDS)
def test_the_lip_box_is_right_around_the_lips(seed):
    opening = torch.linspace(0, 1, 5).double()
    person, moves = identity(seed), lively(seed, opening=opening, width=1 - opening)
    images, _, lip_box = draw(person, moves, 128)
    changed = (draw(recoloured(person, "lip"), moves, 128).images - images).abs().amax(1) > 0.1
    for lips, box in zip(changed, lip_box, strict=True):
        rows, columns = lips.nonzero().T
        seen = torch.stack([columns.min(), rows.min(), columns.max(), rows.max()])
        assert (seen - box).abs().max() < 2.5
        assert ((seen - box) * torch.tensor([1, 1, -1, -1])).min() > -1


def test_wide_lips_are_wider():
    mouth = Mouth(torch.zeros(2).double(), torch.tensor([0.0, 1.0]).double())
    left, _, right, _ = draw(identity(3), still(mouth), 128).lip_box.T
    assert (right - left)[1] > 1.4 * (right - left)[0]


def test_a_blink_hides_the_iris():
    person = identity(4)
    open_eyes, closed = lively(4), lively(4, blink=torch.ones(5).double())
    seen, hidden = (
        (draw(recoloured(person, "iris"), m, 96).images - draw(person, m, 96).images).abs().sum()
        for m in (open_eyes, closed)
    )
    assert hidden < 0.03 * seen


def test_people_differ():
    people = draw(together([identity(seed) for seed in range(40)]), still(silent(40)), 64).images.flatten(1)
    distance = torch.cdist(people, people, p=1) / people.shape[1] + torch.eye(40)
    assert distance.min() > 0.03


@pytest.mark.parametrize("seed", range(40))
def test_the_face_stays_in_the_picture_and_nods_no_further_than_it_can(seed):
    mouth = mouth_of(babble(seed, 6.0), FPS)
    moves = motion(seed, mouth, FPS, coupled=(0, 1)[seed % 2])
    drawn = draw(identity(seed), Motion(*(track[::45] for track in moves)), 64)
    for points in (drawn.kps.flatten(0, 1), drawn.lip_box.reshape(-1, 2)):
        assert points.min() > 3 and points.max() < 60


def test_edges_are_smooth():
    """Between the skin and a wall of another colour some pixels are in between; none are at a hard shape's edge."""
    person = identity(0)._replace(wall=torch.ones(1, 3), cloth=torch.zeros(1, 3), trim=torch.zeros(1, 3))
    column = draw(person, still(silent(1)), 128).images[0, 1, :, 100]
    edge = column[90:]
    between = (edge > 0.1) & (edge < 0.6)
    assert edge[0] > 0.6 and edge[-1] < 0.1 and 1 <= between.sum() <= 2


def test_all_of_a_picture_is_a_colour():
    for seed in SEEDS:
        images = draw(identity(seed), lively(seed), 96).images
        assert images.isfinite().all() and images.min() >= 0 and images.max() <= 1


@pytest.mark.parametrize("fps", [24.0, 25.0, 30.0])
def test_silence_closes_the_mouth(fps):
    voice = torch.cat([babble(1, 1.0), torch.zeros(16000), babble(2, 1.0)])
    opening = mouth_of(voice, fps).opening
    assert len(opening) == 3 * fps
    assert opening[int(1.25 * fps) : int(1.75 * fps)].max() < 0.01
    assert opening[: int(fps)].max() > 0.6
    assert mouth_of(torch.zeros(16000), fps).opening.max() == 0


def test_the_loudness_of_a_recording_does_not_matter():
    voice = babble(3, 2.0)
    loud, quiet = mouth_of(voice, FPS), mouth_of(0.1 * voice, FPS)
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(loud, quiet, strict=True))


def test_a_bright_sound_is_wide_and_a_dark_one_rounded():
    time = torch.arange(16000) / 16000
    dark, bright = (torch.sin(2 * torch.pi * hertz * time) for hertz in (400, 2000))
    assert mouth_of(dark, FPS).width[10:20].max() < 0.1
    assert mouth_of(bright, FPS).width[10:20].min() > 0.9


def test_a_coupled_head_nods_with_the_voice():
    mouths = [mouth_of(babble(seed, 4.0), FPS) for seed in range(6)]
    pitch = [[motion(s, m, FPS, coupled).pitch for s, m in enumerate(mouths)] for coupled in (0.0, 1.0)]
    free, nods = (
        torch.tensor([correlation(p, m.opening) for p, m in zip(pitches, mouths, strict=True)])
        for pitches in pitch
    )
    assert nods.min() > 0.7 and free.mean().abs() < 0.3


def test_the_built_in_voice_has_the_length_it_was_asked_for_and_pauses():
    voice = babble(7, 3.21)
    assert len(voice) == round(3.21 * 16000) and 0.3 < voice.abs().max() <= 1
    opening = mouth_of(voice, FPS).opening
    assert opening.min() < 0.1 and opening.std() > 0.15


def test_a_spoiled_voice_is_still_the_same_voice():
    voice = babble(8, 2.0)
    worse = spoiled(8, voice)
    assert correlation(worse, voice) > 0.99 and not torch.equal(worse, voice)
    quiet = with_silence(8, voice)
    assert (quiet[quiet != voice] == 0).all()


def test_a_voice_that_is_no_voice_is_refused():
    with pytest.raises(ValueError, match="the shortest voice"):
        mouth_of(torch.zeros(0), FPS)
    with pytest.raises(ValueError, match="NaN"):
        clip(1, torch.full((16000,), float("nan")), FPS, 48)


def test_without_espeak_the_voice_says_what_to_do(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda name: None)
    with pytest.raises(FileNotFoundError, match="espeak-ng, which .* is not installed"):
        espeak(0, 1.0)


@pytest.mark.skipif(shutil.which("espeak-ng") is None, reason="espeak-ng is not installed")
def test_real_speech_differs_by_seed_and_opens_the_mouth():
    first, again, other = espeak(1, 2.0), espeak(1, 2.0), espeak(2, 2.0)
    assert torch.equal(first, again) and not torch.equal(first, other)
    assert len(first) == 32000 and first.abs().max() <= 1
    assert mouth_of(first, FPS).opening.max() > 0.6


def test_a_sheet_shows_a_row_of_pictures_of_each_person(tmp_path):
    faces.main([str(tmp_path / "faces.png"), "--people", "2", "--size", "48"])
    assert Image.open(tmp_path / "faces.png").size == (8 * 48, 2 * 48)
