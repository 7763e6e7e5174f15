"""A render that broke off goes on where it ended, and its video is the one it would have been."""

import errno
import itertools
import logging
import re
import shutil
from pathlib import Path

import av
import comfy.model_management
import folder_paths
import numpy as np
import pytest
import torch
from models import GreyVAE
from pack.vexpress.comfyui import budget, unfinished
from pack.vexpress.comfyui import clip as clips
from pack.vexpress.comfyui import render as rendering
from pack.vexpress.comfyui.folders import unfinished_renders
from pack.vexpress.comfyui.video_writer import CRF
from safetensors.torch import load_file
from test_sampling import clip

FRAMES, STEPS = 15, 3  # 4 windows, so 12 evaluations of the model, and parts of 4, 4 and 7 pictures
RATE = 25.0
VOICE = {"waveform": torch.sin(torch.arange(16000) / 20)[None, None] / 3, "sample_rate": 16000}


@pytest.fixture(autouse=True)
def output(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    monkeypatch.setattr(clips, "SEGMENT", 1)  # window
    return tmp_path


@pytest.fixture(scope="module")
def conditions(small_portrait):
    return clip(small_portrait, FRAMES)


def render(short_windows, conditions, vae=None, seed=3, calm=False, rate=RATE, crf=CRF):
    vae = vae or GreyVAE()
    return rendering.render(short_windows, *conditions, vae, VOICE, rate, seed, STEPS, 2.0, calm, crf)


def pictures(path) -> torch.Tensor:
    with av.open(str(path)) as video:
        return torch.stack([torch.tensor(f.to_ndarray(format="rgb24")) for f in video.decode(video=0)])


@pytest.fixture(scope="module")
def undisturbed(short_windows, conditions, tmp_path_factory):
    """The whole video, deflickered or not."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(folder_paths, "output_directory", str(tmp_path_factory.mktemp("output")))
        patch.setattr(clips, "SEGMENT", 1)
        return [pictures(render(short_windows, conditions, calm=calm)) for calm in (False, True)]


@pytest.fixture
def cancel(monkeypatch):
    """Presses Cancel after so many evaluations of the model."""

    def after(evaluations: int) -> None:
        count = itertools.count()

        def told(text: str) -> None:
            if next(count) == evaluations:
                comfy.model_management.interrupt_current_processing()

        monkeypatch.setattr(rendering, "tell", told)

    yield after
    comfy.model_management.interrupt_current_processing(False)


@pytest.mark.parametrize("calm", [False, True])
@pytest.mark.parametrize("evaluations", [0, 4, 7, 10, 12])  # 7 and 10 finish frames, 12 all of them
def test_a_cancelled_render_goes_on_to_the_same_video(
    evaluations,
    calm,
    short_windows,
    conditions,
    undisturbed,
    cancel,
    caplog,
):
    caplog.set_level(logging.INFO)
    cancel(evaluations)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions, calm=calm)
    if evaluations:
        assert f"Run the same job again, and it goes on from {evaluations / 12:.0%}." in caplog.text
    assert torch.equal(pictures(render(short_windows, conditions, calm=calm)), undisturbed[calm])
    assert ("An earlier try did" in caplog.text) == (evaluations > 0)


def test_what_is_finished_can_be_looked_at_until_the_render_is_done(
    short_windows,
    conditions,
    undisturbed,
    cancel,
    caplog,
    output,
):
    caplog.set_level(logging.INFO)
    cancel(11)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions)
    path = output.parent / re.search(r"The first 8 frames are in (\S+)\.", caplog.text)[1]
    with av.open(path) as video:
        sound = video.streams.audio[0]
        assert float(sound.duration * sound.time_base) == pytest.approx(8 / RATE, abs=1 / RATE)
    assert torch.equal(pictures(path), undisturbed[False][:8])
    render(short_windows, conditions)
    assert not [*output.glob("vexpress/*.mp4")]


def test_a_video_that_somebody_watches_does_not_cost_the_finished_one(
    short_windows, conditions, undisturbed, cancel, monkeypatch
):
    cancel(11)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions)
    unlink = Path.unlink

    def refused(path, missing_ok=False):
        if path.name.startswith("unfinished_"):
            raise PermissionError(13, "The file is used by another process", str(path))
        unlink(path, missing_ok)

    monkeypatch.setattr(Path, "unlink", refused)
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_a_finished_render_is_taken_again_with_the_sound_of_now(
    short_windows, conditions, undisturbed, monkeypatch, output, caplog
):
    caplog.set_level(logging.INFO)
    render(short_windows, conditions).unlink()  # as ComfyUI empties temp
    monkeypatch.setattr(clips.Clip, "next_latents", None)  # nothing may be computed
    monkeypatch.setitem(VOICE, "waveform", VOICE["waveform"] / 2)
    quieter = render(short_windows, conditions)
    assert torch.equal(pictures(quieter), undisturbed[False])
    with av.open(str(quieter)) as video:
        sound = np.concatenate([frame.to_ndarray() for frame in video.decode(audio=0)], axis=1)
    assert sound.std() == pytest.approx(VOICE["waveform"].std().item(), rel=0.1)  # not twice that
    assert "The same pictures were rendered before" in caplog.text


def test_only_the_render_that_was_finished_last_stays(short_windows, conditions, undisturbed, cancel, caplog):
    cancel(8)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions, seed=4)
    render(short_windows, conditions, seed=5)
    (before,) = unfinished_renders().glob("*/finished")
    render(short_windows, conditions, seed=3)
    states = {state.parent for state in unfinished_renders().glob("*/state*")}
    finished = {mark.parent for mark in unfinished_renders().glob("*/finished")}
    assert len(states) == 2 and len(finished) == 1  # that of seed 4 can still go on
    assert caplog.text.count("holds unfinished renders of other settings") == 2  # says it of that one only
    assert before.parent.name not in caplog.text


def test_a_finished_render_of_which_a_part_is_lost_is_made_anew(
    short_windows, conditions, undisturbed, output
):
    render(short_windows, conditions)
    next(unfinished_renders().glob("*/000001.mp4")).unlink()
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_at_another_frame_rate_nothing_of_the_old_one_is_used(short_windows, conditions, cancel, caplog):
    caplog.set_level(logging.INFO)
    cancel(11)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions, rate=30.0)
    with av.open(str(render(short_windows, conditions))) as video:
        assert video.streams.video[0].average_rate == RATE and video.streams.video[0].frames == FRAMES
    assert "An earlier try did" not in caplog.text


class Exhausted(GreyVAE):
    """Runs out of memory at the first picture of the second part."""

    calls = 0

    def decode(self, latents):
        self.calls += 1
        if self.calls == 5:
            raise torch.OutOfMemoryError("no memory is left")
        return super().decode(latents)


def test_nothing_is_computed_twice_after_running_out_of_memory(
    short_windows, conditions, undisturbed, caplog
):
    caplog.set_level(logging.INFO)
    vae = Exhausted()
    said = "^Memory ran out while decoding a picture of 64x64 pixels: make the picture smaller.$"
    with pytest.raises(torch.OutOfMemoryError, match=said):
        render(short_windows, conditions, vae)
    assert torch.equal(pictures(render(short_windows, conditions, vae)), undisturbed[False])
    assert re.search(r"An earlier try did (\d+)%", caplog.text)[1] == "83"  # 10 of 12 evaluations


def test_a_full_disk_keeps_what_was_saved_before(short_windows, conditions, undisturbed, caplog):
    resource = pytest.importorskip("resource")
    caplog.set_level(logging.INFO)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, limits[1]))  # a part fits, the state after it does not
    try:
        with pytest.raises(
            OSError, match="^The disk is full, so .*resume.* could not be written: free some space"
        ):
            render(short_windows, conditions)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert "it goes on from 0%." in caplog.text
    assert not list(unfinished_renders().glob("*/*.part"))
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_another_job_starts_anew_and_names_what_was_left(short_windows, conditions, cancel, caplog):
    cancel(5)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions)
    (left,) = unfinished_renders().iterdir()
    assert len(pictures(render(short_windows, conditions, seed=4))) == FRAMES
    assert re.search(
        rf"holds unfinished renders of other settings: {left.name} \(\d+ MB, \d{{4}}-", caplog.text
    )
    assert left.is_dir()


def damage_state(folder):
    state = folder / "state.safetensors"
    state.write_bytes(state.read_bytes()[:-100])


def lose_a_part(folder):
    (folder / "000000.mp4").unlink()


def cut_a_part(folder):
    part = folder / "000000.mp4"
    part.write_bytes(part.read_bytes()[:-100])


def replace_a_part(folder):
    (folder / "000001.mp4").replace(folder / "000000.mp4")


@pytest.mark.parametrize(
    "harm, said",
    [
        (damage_state, "state.safetensors is damaged"),
        (lose_a_part, "000000.mp4 is lost or damaged"),
        (cut_a_part, "000000.mp4 is lost or damaged"),
        (replace_a_part, "000001.mp4 is lost or damaged"),
    ],
)
def test_a_state_that_cannot_be_used_is_named_and_the_render_starts_anew(
    harm,
    said,
    short_windows,
    conditions,
    undisturbed,
    cancel,
    caplog,
):
    cancel(11)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions)
    (folder,) = unfinished_renders().iterdir()
    harm(folder)
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])
    assert f"{said}" in caplog.text and "starts anew" in caplog.text


@pytest.mark.parametrize("reader", ["state", "part"])
def test_a_disk_that_cannot_be_read_for_a_moment_costs_nothing(
    reader, short_windows, conditions, undisturbed, cancel, monkeypatch
):
    cancel(11)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions)
    (folder,) = unfinished_renders().iterdir()
    before = {file.name: file.read_bytes() for file in folder.iterdir()}

    def broken(*_):
        raise OSError(errno.EIO, "Input/output error")

    with monkeypatch.context() as patch:
        if reader == "state":
            patch.setattr(unfinished, "load", broken)
        else:
            patch.setattr(av, "open", broken)
        with pytest.raises(
            OSError, match=f"{folder} cannot be read just now .*: run the same job again, or delete"
        ):
            render(short_windows, conditions)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_parts_that_the_state_does_not_know_of_are_replaced(short_windows, conditions, undisturbed, cancel):
    """As after a crash between writing a part and saving the state."""
    cancel(8)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions)
    (folder,) = unfinished_renders().iterdir()
    (folder / "000001.mp4").write_bytes(b"half a part")
    (folder / "000001.mp4.part").write_bytes(b"less")
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_the_state_is_saved_while_windows_are_evaluated(short_windows, conditions, monkeypatch):
    monkeypatch.setattr(rendering, "SAVE_SECONDS", 0)
    seen = []

    def told(text: str) -> None:
        seen.extend(load_file(file)["windows"].sum().item() for file in unfinished_renders().glob("*/state*"))

    monkeypatch.setattr(rendering, "tell", told)
    render(short_windows, conditions)
    assert seen == [*range(12)]


def test_a_render_that_cannot_fit_is_refused_before_it_starts(short_windows, small_portrait):
    huge = small_portrait._replace(width=65536, height=65536)
    positive, negative, latent = clip(huge, 24)
    with pytest.raises(
        ValueError, match="window of 6 frames of 65536x65536 pixels needs at least .* GB of memory"
    ):
        render(short_windows, (positive, negative, latent))
    wide = small_portrait._replace(width=2048, height=2048)
    positive, negative, latent = clip(wide, 1_000_000, torch.zeros(1).expand(1_000_000, 5, 32))
    with pytest.raises(
        ValueError, match="The render needs about .* GB of disk, and the one that holds .* has"
    ):
        render(short_windows, (positive, negative, latent))


def test_the_temporary_disk_needs_room_for_the_whole_video_alone(short_windows, conditions, monkeypatch):
    positive, negative, latent = conditions
    job = clips.Clip(short_windows, positive, negative, latent["samples"], 3, 2, 2.0)
    parts, whole = budget.disk_needed(job, CRF)
    asked = []
    monkeypatch.setattr(rendering, "check_disk", lambda needed, place: asked.append((needed, place)))
    render(short_windows, conditions)
    assert asked[0] == (parts + whole, unfinished_renders())
    assert asked[1][0] == whole and asked[1][1].parent == Path(folder_paths.get_temp_directory())


def test_an_output_folder_that_may_not_be_written_is_named(short_windows, conditions, monkeypatch):
    monkeypatch.setattr(folder_paths, "output_directory", "/sys/kernel")
    with pytest.raises(OSError, match="^/sys/kernel/.* may not be written: change its rights"):
        render(short_windows, conditions)


def at_evaluation(number: int, action) -> callable:
    """What a render tells, and `action` in the middle of it."""
    count = itertools.count()

    def told(text: str) -> None:
        if next(count) == number:
            action()

    return told


def test_an_output_folder_that_goes_away_before_the_first_part_is_made_again(
    short_windows, conditions, undisturbed, monkeypatch, output
):
    monkeypatch.setattr(rendering, "tell", at_evaluation(3, lambda: shutil.rmtree(output)))
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_a_part_that_goes_away_ends_the_render_at_once(
    short_windows, conditions, undisturbed, monkeypatch, output, caplog
):
    caplog.set_level(logging.INFO)
    monkeypatch.setattr(rendering, "tell", at_evaluation(8, lambda: shutil.rmtree(output)))
    with pytest.raises(
        FileNotFoundError, match=r"000000.mp4 was deleted, or its disk is gone: the video has"
    ):
        render(short_windows, conditions)
    assert "Stopped. Run the same job again, and it starts anew." in caplog.text
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])


def test_at_another_crf_no_part_of_the_old_one_is_used(
    short_windows, conditions, undisturbed, cancel, caplog
):
    cancel(11)
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        render(short_windows, conditions, crf=40)
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])
    assert "An earlier try did" not in caplog.text


def test_the_same_job_at_the_same_time_is_refused_and_disturbs_nothing(
    short_windows, conditions, undisturbed, monkeypatch
):
    refused = []

    def second() -> None:
        with pytest.raises(ValueError, match="Another ComfyUI renders this very job into .* right now: wait"):
            render(short_windows, conditions)
        refused.append(True)

    monkeypatch.setattr(rendering, "tell", at_evaluation(8, second))
    assert torch.equal(pictures(render(short_windows, conditions)), undisturbed[False])
    assert refused and [*unfinished_renders().glob("*/finished")]
    assert not [*unfinished_renders().glob("*.lock")]
