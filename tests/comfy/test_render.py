"""V-Express Render: the same frames as the nodes it replaces, piece by piece."""

import av
import comfy.model_management
import pytest
import torch
from models import GreyVAE, segments_of
from pack.vexpress.comfyui import clip as clips
from pack.vexpress.comfyui import render as rendering
from pack.vexpress.comfyui.sampling import sample
from test_sampling import clip


@pytest.mark.parametrize("frames", [3, 6, 7, 17])
def test_its_latents_are_those_of_the_sampler(frames, short_windows, small_portrait, monkeypatch):
    monkeypatch.setattr(clips, "SEGMENT", 1)  # window
    positive, negative, latent = clip(small_portrait, frames)
    pieces = list(segments_of(clips.Clip(short_windows, positive, negative, latent["samples"], 5, 3, 2.0)))
    expected = sample(short_windows, positive, negative, latent, seed=5, steps=3, cfg=2.0)["samples"]
    assert torch.equal(torch.cat(pieces), expected)
    assert (
        max(len(piece) for piece in pieces) <= 3 + 6
    )  # fewer than a window's 4 new frames, and the last window
    assert (len(pieces) > 1) == (frames > 9)


def test_a_video_has_every_frame_and_sound_as_long(short_windows, small_portrait):
    positive, negative, latent = clip(small_portrait, 13)
    voice = {"waveform": torch.zeros(1, 1, 16000), "sample_rate": 16000}
    vae = GreyVAE()
    path = rendering.render(short_windows, positive, negative, latent, vae, voice, 25.0, 1, 2, 2.0, False)
    with av.open(str(path)) as video:
        pictures = [frame.to_ndarray(format="rgb24") for frame in video.decode(video=0)]
        assert len(pictures) == 13
        assert video.streams.video[0].average_rate == 25
        assert abs(video.streams.audio[0].duration * video.streams.audio[0].time_base - 13 / 25) < 1 / 25
    expected = vae.decode(
        sample(short_windows, positive, negative, latent, seed=1, steps=2, cfg=2.0)["samples"]
    )
    differences = [(torch.tensor(pictures[7]) - frame * 255).abs().mean() for frame in expected]
    assert min(differences) == differences[7] < 12  # levels: H.264 loses some of such noise
    assert vae.largest == 13  # the check above; rendering decoded one at a time


@pytest.mark.parametrize("fps, said", [(25.0, True), (29.97, False), (30.0, False)])
def test_another_rate_than_the_voices_is_said(fps, said, short_windows, small_portrait, caplog):
    positive, negative, latent = clip(small_portrait, 13)  # at 29.97, voice and lips are never a frame apart
    rendering.render(short_windows, positive, negative, latent, GreyVAE(), None, fps, 1, 1, 1.0, False)
    sentence = "fps is 25, but the voice was encoded for 30 frames per second: lips and voice drift apart."
    assert (sentence in caplog.text) == said and ("drift apart" in caplog.text) == said


def test_frames_are_decoded_one_by_one(short_windows, small_portrait):
    positive, negative, latent = clip(small_portrait, 13)
    vae = GreyVAE()
    rendering.render(short_windows, positive, negative, latent, vae, None, 25.0, 1, 1, 1.0, True)
    assert vae.largest == 1


@pytest.mark.parametrize(
    "waveform, message",
    [
        (torch.zeros(2, 1, 16000), "audio is a batch of 2 clips"),
        (torch.full((1, 1, 16000), torch.nan), "audio holds NaN"),
        (torch.zeros(1, 1, 16), "audio lasts 0.0010 s"),
    ],
)
def test_a_bad_voice_is_refused_before_anything_is_sampled(waveform, message, small_portrait):
    positive, negative, latent = clip(small_portrait, 5)
    voice = {"waveform": waveform, "sample_rate": 16000}
    with pytest.raises(ValueError, match=message):
        rendering.render(None, positive, negative, latent, None, voice, 25.0, 1, 1, 1.0, False)


def test_pictures_are_deflickered_where_the_models_run(short_windows, small_portrait, monkeypatch):
    positive, negative, latent = clip(small_portrait, 5)
    monkeypatch.setattr(comfy.model_management, "get_torch_device", lambda: torch.device("meta"))
    with pytest.raises(NotImplementedError, match="out of meta tensor"):  # which the writer cannot read
        rendering.render(short_windows, positive, negative, latent, GreyVAE(), None, 25.0, 1, 1, 1.0, True)


def test_a_latent_of_another_clip_is_refused_at_once(short_windows, small_portrait):
    positive, negative, _ = clip(small_portrait, 5)
    with pytest.raises(ValueError, match="latent has 6 frames"):
        other = {"samples": torch.zeros(6, 4, 8, 8)}
        rendering.render(short_windows, positive, negative, other, GreyVAE(), None, 25.0, 1, 1, 1.0, False)
