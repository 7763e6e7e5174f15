"""Numbers that overflow for real stop a job in one sentence that names where, before they become a black video."""

import logging
import re

import av
import comfy.sd
import folder_paths
import pytest
import torch
from golden_weights import golden_shapes, golden_state_dict
from models import PARTS, GreyVAE, relative_error, tiny_model, tiny_reference_net, write_checkpoints
from pack.nodes.audio import EncodeAudio
from pack.nodes.conditioning import EncodeReference
from pack.nodes.render import Render
from pack.nodes.sampling import Sampler
from pack.nodes.video import AssembleVideo
from pack.tools import model_shapes
from pack.vexpress.comfyui import clip as clips
from pack.vexpress.comfyui.audio_encoder import AudioEncoder, build_wav2vec2
from pack.vexpress.comfyui.audio_projection import AudioProjection
from pack.vexpress.comfyui.context import set_context
from pack.vexpress.comfyui.sampling import trailing_sigmas
from pack.vexpress.keys import load_weights
from pack.vexpress.tiny import rule_built_weights
from safetensors.torch import save_file
from test_sampling import clip

import nodes as core

FRAMES, LENGTH, OVERLAP, STEPS = 15, 6, 2, 3  # windows of frames 0-5, 4-9, 8-13, 9-14


@pytest.fixture(autouse=True)
def output(tmp_path, monkeypatch):
    monkeypatch.setattr(folder_paths, "output_directory", str(tmp_path))
    monkeypatch.setattr(clips, "SEGMENT", 1)  # window
    return tmp_path


def loud_from(frame: int, portrait, frames: int = FRAMES) -> tuple:
    """Conditions whose last voice tokens are finite and overflow in the first product that they are in."""
    tokens = torch.randn(frames, 5, 32, generator=torch.Generator().manual_seed(1))
    tokens[frame:] *= torch.finfo(torch.float32).max / 10
    assert tokens.isfinite().all()
    return clip(portrait, frames, tokens)


def ours(model, conditions):
    Sampler.execute(model, *conditions, 5, STEPS, 2.0)


def step_by_step(model, conditions):
    Sampler.execute(model, *conditions, 5, STEPS, 2.0, sigmas=trailing_sigmas(model, STEPS))


def comfyuis(sampler: str):
    def ksampler(model, conditions):
        core.KSampler().sample(model, 5, STEPS, 2.0, sampler, "simple", *conditions)

    return ksampler


@pytest.mark.parametrize("run", [ours, step_by_step, comfyuis("ddim"), comfyuis("dpmpp_2m")])
def test_the_window_and_step_in_which_a_model_overflows_are_named(run, short_windows, small_portrait):
    with pytest.raises(
        FloatingPointError,
        match=r"^Window 3 \(frames 8 to 13\) became NaN or infinite in step 1 of 3: take away",
    ):
        run(short_windows, loud_from(12, small_portrait))


def test_a_clip_of_one_window_is_named_too(short_windows, small_portrait):
    conditions = clip(small_portrait, 1, torch.full((1, 5, 32), torch.finfo(torch.float32).max))
    with pytest.raises(FloatingPointError, match=r"^Window 1 \(frame 0\) became .* in step 1 of 3"):
        comfyuis("euler")(short_windows, conditions)


@pytest.mark.parametrize("step", [1, 2, 3])
@pytest.mark.parametrize("run", [ours, step_by_step])
def test_the_step_is_that_of_the_noise_level(run, step, short_windows, small_portrait):
    model, level = short_windows.clone(), trailing_sigmas(short_windows, STEPS)[step - 1]

    def loud_below(apply_model, given: dict) -> torch.Tensor:
        x, sigma = given["input"], given["timestep"]
        return apply_model(x * (1e38 if sigma.max() <= level else 1), sigma, **given["c"])

    model.set_model_unet_function_wrapper(loud_below)
    with pytest.raises(FloatingPointError, match=rf"^Window 1 \(frames 0 to 5\) .* in step {step} of 3"):
        run(model, clip(small_portrait, 9))


def test_what_is_finished_before_an_overflow_is_kept_as_a_video(
    short_windows, small_portrait, caplog, output
):
    caplog.set_level(logging.INFO)
    conditions = loud_from(25, small_portrait, 26)
    with pytest.raises(FloatingPointError, match=r"^Window 6 \(frames 20 to 25\)"):
        Render.execute(short_windows, *conditions, GreyVAE(), 25.0, 1, STEPS, 2.0, False)
    kept = re.search(r"The first 12 frames are in (\S+)\.", caplog.text)[1]
    with av.open(str(output.parent / kept)) as video:
        assert sum(1 for _ in video.decode(video=0)) == 12


@pytest.fixture(scope="module")
def halves(tmp_path_factory):
    """Checkpoints that work in fp32 and bf16 and overflow fp16: one convolution gives a million times as much."""
    folder = write_checkpoints(tmp_path_factory.mktemp("loud"))
    for part, key in (
        ("denoising_unet", "down_blocks.0.resnets.0.conv1"),
        ("reference_net", "down_blocks.0.resnets.0.conv1"),
    ):
        weights = golden_state_dict(part, golden_shapes(part))
        weights[f"{key}.weight"] *= 1e6
        save_file(weights, folder / f"{part}.safetensors")
    assert set(PARTS) == {path.stem for path in folder.iterdir()}
    return folder


def in_precision(dtype: torch.dtype, checkpoints):
    """The MODEL as a GPU runs it: on the CPU ComfyUI itself would compute in fp32."""
    model = set_context(tiny_model(checkpoints, weight_dtype=dtype), LENGTH, OVERLAP)
    model.model.manual_cast_dtype = dtype
    return model


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_what_overflows_half_precision_is_well_in_others(dtype, halves, small_portrait):
    ours(in_precision(dtype, halves), clip(small_portrait, 9))


@pytest.mark.parametrize("dtype, tolerance", [(torch.float16, 0.15), (torch.bfloat16, 0.3)])
def test_half_precision_is_near_full_precision(dtype, tolerance, checkpoints, short_windows, small_portrait):
    """Random networks this small are chaotic: a full-size one, also random, differs by 0.003 and 0.02."""
    conditions = clip(small_portrait, 3)
    (exact,) = Sampler.execute(short_windows, *conditions, 5, 1, 1.0).args
    (half,) = Sampler.execute(in_precision(dtype, checkpoints), *conditions, 5, 1, 1.0).args
    assert 0 < relative_error(half["samples"], exact["samples"]) < tolerance


def test_a_model_that_overflows_half_precision_says_so(halves, small_portrait):
    model = in_precision(torch.float16, halves)
    with pytest.raises(FloatingPointError, match=r"^Window 1 .* step 1 of 3: .*--bf16-unet or --fp32-unet"):
        ours(model, clip(small_portrait, 9))


def vae(loudness: float, dtype: torch.dtype = torch.float32) -> comfy.sd.VAE:
    shapes = model_shapes.vae(model_shapes.TINY._replace(vae=(32, 64, 128, 128)))
    whole = model_shapes.vae(model_shapes.Sizes())  # ComfyUI knows one size of encoder
    shapes |= {key: shape for key, shape in whole.items() if not key.startswith("decoder")}
    weights = rule_built_weights("vae", shapes)
    for side in ("encoder", "decoder"):
        weights[f"{side}.conv_in.weight"] *= loudness
    return comfy.sd.VAE(sd=weights, dtype=dtype)


@pytest.fixture(scope="module")
def well():
    return vae(1)


@pytest.fixture(scope="module")
def black():
    return vae(1e38)


BLACK = "^The VAE gives {} as NaN.*sd-vae-ft-mse.*--fp32-vae"


def test_a_vae_that_gives_black_pictures_is_said(well, black, short_windows, small_portrait):
    conditions = clip(small_portrait, 2)
    (video,) = Render.execute(short_windows, *conditions, well, 25.0, 1, 1, 1.0, False).args
    assert video.get_components().images.std() > 0.01
    for calm in (False, True):
        with pytest.raises(FloatingPointError, match=BLACK.format("frame 0")):
            Render.execute(short_windows, *conditions, black, 25.0, 1, 1, 1.0, calm)
    (samples,) = Sampler.execute(short_windows, *conditions, 1, 1, 1.0).args
    (images,) = core.VAEDecode().decode(black, samples)
    with pytest.raises(ValueError, match="^images holds NaN or infinite numbers in picture 0.*--fp32-vae"):
        AssembleVideo.execute(images, 25.0, False)


@pytest.mark.slow
def test_a_vae_that_only_half_precision_turns_black_is_said(short_windows, small_portrait):
    conditions = clip(small_portrait, 2)
    Render.execute(short_windows, *conditions, vae(1e6), 25.0, 1, 1, 1.0, False)
    with pytest.raises(FloatingPointError, match=BLACK.format("frames 0 to 1")):
        Render.execute(short_windows, *conditions, vae(1e6, torch.float16), 25.0, 1, 1, 1.0, False)


def test_a_late_frame_is_named_by_its_place_in_the_clip(short_windows, small_portrait):
    class LateBlack(GreyVAE):
        decoded = 0

        def decode(self, latents):
            self.decoded += len(latents)
            return super().decode(latents) / (self.decoded <= 4)

    with pytest.raises(FloatingPointError, match="^The VAE gives frame 4 as NaN"):
        Render.execute(short_windows, *clip(small_portrait, FRAMES), LateBlack(), 25.0, 1, 1, 1.0, False)


def test_a_portrait_that_becomes_nan_is_said_where_it_does(well, black, halves, checkpoints):
    image = torch.rand(1, 64, 64, 3, generator=torch.Generator().manual_seed(0))
    net, loud_net = tiny_reference_net(checkpoints), tiny_reference_net(halves)
    EncodeReference.execute(loud_net, well, image, 64, 64)
    loud_net.dtype = torch.float16
    loud_net.patcher.model.to(torch.float16)
    for reader, vae, pixels, message in (
        (net, black, image, "^vae makes NaN of the portrait: .*--fp32-vae"),
        (loud_net, well, image, "^reference_net makes NaN of the portrait: .*--fp32-unet"),
        (net, well, image / 0, "^image holds NaN or infinite numbers"),
    ):
        with pytest.raises((FloatingPointError, ValueError), match=message):
            EncodeReference.execute(reader, vae, pixels, 64, 64)


def test_a_voice_that_becomes_nan_is_said_where_it_does():
    sizes = model_shapes.TINY
    voice = {"waveform": torch.randn(1, 1, 8000), "sample_rate": 16000}
    for broken in ("encoder", "projection"):
        network, weights = (
            build_wav2vec2(model_shapes.wav2vec2_config(sizes)),
            rule_built_weights("wav2vec2", model_shapes.wav2vec2(sizes)),
        )
        del weights["masked_spec_embed"]
        projecting = rule_built_weights("audio_projection", model_shapes.audio_projection(sizes))
        if broken == "encoder":
            weights["encoder.layer_norm.weight"] *= torch.inf
        else:
            projecting["proj_in.weight"] *= torch.inf
        load_weights(network, weights, "wav2vec2")
        projection = AudioProjection(projecting, "projection")
        with pytest.raises(FloatingPointError, match=f"^audio_{broken} makes NaN of the voice"):
            EncodeAudio.execute(AudioEncoder(network), projection, voice, 30.0, 0)
