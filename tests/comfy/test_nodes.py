"""The nodes of the contract, and the whole graph of nodes against the reference implementation."""

import pytest
import torch
from golden_weights import GOLDEN, golden_state_dict
from models import CASES, golden, relative_error, tiny_model, tiny_reference_net
from pack.nodes import NODES
from pack.nodes.audio import EncodeAudio
from pack.nodes.conditioning import Conditioning, EncodeReference
from pack.nodes.models import IN_DENOISING_UNET, file_input
from pack.nodes.sampling import Context, Noise, Sampler, SamplerSelect, Scheduler
from pack.vexpress.comfyui import folders
from pack.vexpress.comfyui.audio_encoder import load_audio_encoder
from pack.vexpress.comfyui.audio_projection import load_audio_projection
from pack.vexpress.kps import Kps
from safetensors.torch import save_file

CONTRACT = {
    "VExpressLoader": (
        "denoising_unet motion_module reference_net v_kps_guider audio_projection weight_dtype",
        "MODEL VEXPRESS_REFERENCE_NET VEXPRESS_AUDIO_PROJECTION",
    ),
    "VExpressAudioEncoderLoader": ("audio_encoder attention", "AUDIO_ENCODER"),
    "VExpressEncodeAudio": ("audio_encoder audio_projection audio fps frames", "VEXPRESS_AUDIO INT FLOAT"),
    "VExpressDetectKps": ("images video fps face min_score max_gap index", "VEXPRESS_KPS"),
    "VExpressKpsFromLandmarks": ("landmarks fps face max_gap index", "VEXPRESS_KPS"),
    "VExpressLoadKps": ("file width height fps", "VEXPRESS_KPS"),
    "VExpressSaveKps": ("kps filename_prefix format", ""),
    "VExpressRetargetKps": (
        "reference driving strategy frames fps timing upstream_exact "
        "translation rotation scale turn rest continue_by smoothing",
        "VEXPRESS_KPS",
    ),
    "VExpressIdleMotion": ("reference audio frames fps amount seed", "VEXPRESS_KPS"),
    "VExpressDrawKps": ("kps background", "IMAGE"),
    "VExpressEncodeReference": ("reference_net vae image width height", "VEXPRESS_REFERENCE"),
    "VExpressConditioning": (
        "reference audio_tokens kps reference_weight audio_weight",
        "CONDITIONING CONDITIONING LATENT",
    ),
    "VExpressContext": ("model length overlap", "MODEL"),
    "VExpressGuidanceInterval": ("model start end", "MODEL"),
    "VExpressSpeed": ("model preset", "MODEL INT"),
    "VExpressScheduler": ("model steps", "SIGMAS"),
    "VExpressSamplerSelect": ("", "SAMPLER"),
    "VExpressNoise": ("seed", "NOISE"),
    "VExpressSampler": ("model positive negative latent seed steps cfg sampler sigmas", "LATENT"),
    "VExpressCropFace": ("image kps margin size", "IMAGE VEXPRESS_KPS VEXPRESS_PLACEMENT"),
    "VExpressPasteFace": ("original placement images video feather match_colour crf", "IMAGE VIDEO"),
    "VExpressRender": (
        "model positive negative latent vae audio fps seed steps cfg deflicker crf",
        "VIDEO",
    ),
    "VExpressEvaluate": (
        "video kps face min_score found_kps real portrait index",
        "STRING IMAGE",
    ),
    "VExpressAssembleVideo": ("images audio fps deflicker", "VIDEO"),
}


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.GET_SCHEMA().node_id)
def test_ids_inputs_and_outputs_are_those_that_workflows_rely_on(node):
    schema = node.GET_SCHEMA()
    inputs, outputs = CONTRACT[schema.node_id]
    names = [socket.id for socket in schema.inputs]
    assert names[: len(inputs.split())] == inputs.split()
    assert all(socket.optional for socket in schema.inputs[len(inputs.split()) :])
    assert [socket.io_type for socket in schema.outputs] == outputs.split()


def test_no_node_of_the_contract_is_missing():
    assert sorted(node.GET_SCHEMA().node_id for node in NODES) == sorted(CONTRACT)


@pytest.mark.parametrize("node", NODES, ids=lambda node: node.GET_SCHEMA().node_id)
def test_every_node_explains_itself(node):
    schema = node.GET_SCHEMA()
    assert schema.description and schema.display_name and schema.search_aliases
    assert all(socket.tooltip for socket in [*schema.inputs, *schema.outputs])


class KnownVAE:
    """A VAE in all that the nodes may ask of one, with the golden latents of the golden portrait."""

    def encode(self, pixels: torch.Tensor) -> torch.Tensor:
        assert pixels.shape == (1, 128, 128, 3)
        return golden("loops")["reference_latents"] / 0.18215


@pytest.mark.parametrize(
    "files, chosen",
    [
        (["denoising_unet.bin", "my_motion_module.bin"], "my_motion_module.bin"),
        (["denoising_unet.bin"], None),
    ],
)
def test_motion_modules_are_looked_for_in_the_unet_where_no_file_is_named_like_them(
    files, chosen, monkeypatch
):
    monkeypatch.setattr(folders, "model_files", lambda: files)
    socket = file_input("motion_module", "", others=(IN_DENOISING_UNET,))
    assert socket.default == (chosen or IN_DENOISING_UNET)
    assert file_input("reference_net", "").default is None


def outputs(result) -> tuple:
    return result.args


@pytest.fixture(scope="module")
def graph(checkpoints, tmp_path_factory):
    """What the three loaders give, and the portrait."""
    folder = tmp_path_factory.mktemp("encoders")
    save_file(golden_state_dict("wav2vec2"), folder / "wav2vec2.safetensors")
    (folder / "wav2vec2.json").write_text((GOLDEN / "audio" / "wav2vec2.json").read_text())
    with torch.inference_mode():
        (reference,) = outputs(
            EncodeReference.execute(
                tiny_reference_net(checkpoints), KnownVAE(), torch.zeros(1, 128, 128, 3), 128, 128
            )
        )
    return {
        "model": tiny_model(checkpoints),
        "encoder": load_audio_encoder(str(folder / "wav2vec2.safetensors")),
        "projection": load_audio_projection(str(checkpoints / "audio_projection.safetensors")),
        "reference": reference,
        "kps": Kps(golden("v_kps_guider")["kps"], 128, 128),
    }


def voice(frames: int) -> tuple[dict, float]:
    """The golden run's voice, cut to `frames` of its 28, and its frame rate."""
    waveform = golden("loops")["three_windows.waveform"]
    return {"waveform": waveform[None, None], "sample_rate": 16000}, 28 * 16000 / len(waveform)


def conditions(graph, frames: int, kps: Kps | None = None, **weights):
    audio, fps = voice(frames)
    tokens, counted, _ = outputs(
        EncodeAudio.execute(graph["encoder"], graph["projection"], audio, fps, frames)
    )
    assert counted == frames
    kps = kps or Kps(graph["kps"].points[:frames], 128, 128)
    weights = {"reference_weight": 0.95, "audio_weight": 3.0, **weights}
    return outputs(Conditioning.execute(graph["reference"], tokens, kps, **weights))


def test_the_graph_of_custom_samplers_reproduces_the_reference_implementation(graph):
    """Voice, V-Kps and portrait through every node, three windows, guided: SPEC's final latents."""
    from comfy_extras.nodes_custom_sampler import CFGGuider, SamplerCustomAdvanced

    settings = CASES["loops"]["three_windows"]
    positive, negative, latent = conditions(graph, settings["frames"])
    (model,) = outputs(Context.execute(graph["model"], settings["size"], settings["overlap"]))
    (guider,) = outputs(CFGGuider.execute(model, positive, negative, settings["guidance"]))
    (noise,) = outputs(Noise.execute(settings["seed"], draws_before=3))
    (sampler,) = outputs(SamplerSelect.execute())
    (sigmas,) = outputs(Scheduler.execute(model, settings["steps"]))
    result = outputs(SamplerCustomAdvanced.execute(noise, guider, sampler, sigmas, latent))[0]["samples"]
    assert relative_error(result * 0.18215, golden("loops")["three_windows.final_latents"]) < 1e-4


def test_the_sampler_node_is_the_graph_of_custom_samplers_in_one(graph):
    from comfy_extras.nodes_custom_sampler import Noise_RandomNoise

    positive, negative, latent = conditions(graph, 12)
    (ours,) = outputs(Sampler.execute(graph["model"], positive, negative, latent, 5, 2, 2.0))
    from comfy_extras.nodes_custom_sampler import CFGGuider, SamplerCustomAdvanced

    (guider,) = outputs(CFGGuider.execute(graph["model"], positive, negative, 2.0))
    (sampler,) = outputs(SamplerSelect.execute())
    (sigmas,) = outputs(Scheduler.execute(graph["model"], 2))
    parts = SamplerCustomAdvanced.execute(Noise_RandomNoise(5), guider, sampler, sigmas, latent)
    assert torch.equal(ours["samples"], outputs(parts)[0]["samples"])


def test_cores_ksampler_gives_nearly_what_the_sampler_node_gives(graph):
    """It begins at sigma 4518, not at infinity."""
    import nodes as core

    positive, negative, latent = conditions(graph, 12)
    (theirs,) = core.KSampler().sample(
        graph["model"], 1, 4, 3.5, "ddim", "simple", positive, negative, latent
    )
    (ours,) = outputs(Sampler.execute(graph["model"], positive, negative, latent, 1, 4, 3.5))
    assert relative_error(theirs["samples"], ours["samples"]) < 0.01


def test_one_frame_of_kps_stands_for_the_whole_clip(graph):
    still = Kps(graph["kps"].points[:1], 128, 128)
    same = Kps(graph["kps"].points[:1].expand(12, 3, 2), 128, 128)
    results = []
    for kps in (still, same):
        positive, negative, latent = conditions(graph, 12, kps)
        results.append(
            outputs(Sampler.execute(graph["model"], positive, negative, latent, 5, 1, 2.0))[0]["samples"]
        )
    assert torch.equal(*results)


def test_kps_are_scaled_to_the_portrait(graph):
    large = Kps(graph["kps"].points[:12] * 4, 512, 512)
    positive, _, _ = conditions(graph, 12, large)
    scaled = positive[0][1]["vexpress"].kps
    assert (scaled.width, scaled.height) == (128, 128)
    torch.testing.assert_close(scaled.points, graph["kps"].points[:12])


def test_the_empty_latent_takes_no_memory(graph):
    _, _, latent = conditions(graph, 12)
    assert latent["samples"].shape == (12, 4, 16, 16)
    assert latent["samples"].untyped_storage().nbytes() == 4


def test_kps_of_another_length_are_refused(graph):
    with pytest.raises(ValueError, match="kps has 11 frames, the clip 12"):
        conditions(graph, 12, Kps(graph["kps"].points[:11], 128, 128))


@pytest.mark.parametrize(
    "shape, size, message",
    [
        ((2, 128, 128, 3), (128, 128), "image holds 2 pictures"),
        ((1, 128, 160, 3), (128, 128), "160x128 pixels.*128x128.*VExpressCropFace"),
        ((1, 128, 128, 3), (100, 100), "multiples of 8"),
    ],
)
def test_pictures_that_are_no_portrait_are_refused(shape, size, message, checkpoints):
    with pytest.raises(ValueError, match=message):
        EncodeReference.execute(tiny_reference_net(checkpoints), KnownVAE(), torch.zeros(shape), *size)


def test_a_model_that_is_not_v_express_is_refused(graph):
    class Other:
        model = torch.nn.Linear(1, 1)

    with pytest.raises(ValueError, match="model is a Linear, not V-Express"):
        Context.execute(Other(), 24, 4)


def test_a_vae_of_another_model_is_refused(checkpoints):
    class Flux:
        def encode(self, pixels: torch.Tensor) -> torch.Tensor:
            return torch.zeros(1, 16, 16, 16)

    with pytest.raises(ValueError, match=r"vae gives latents of \(1, 16, 16, 16\).*Stable Diffusion 1.5 VAE"):
        EncodeReference.execute(
            tiny_reference_net(checkpoints), Flux(), torch.zeros(1, 128, 128, 3), 128, 128
        )


def test_a_track_at_another_rate_is_said(graph, caplog):
    conditions(graph, 12, Kps(graph["kps"].points[:12], 128, 128, fps=60.0))
    assert "kps runs at 60 frames per second, audio_tokens at 27.4291" in caplog.text
    caplog.clear()
    conditions(graph, 12, Kps(graph["kps"].points[:1].expand(12, -1, -1), 128, 128, fps=60.0))  # stands still
    assert "frames per second" not in caplog.text
