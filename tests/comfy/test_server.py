"""What reaches a user through a real server: voices in any format, and one clear sentence for what cannot work."""

import av
import numpy as np
import pytest
from pack.tools.server import ComfyError

LOADERS = {
    "models": {
        "class_type": "VExpressLoader",
        "inputs": {
            **{
                part: f"{part}.bin"
                for part in (
                    "denoising_unet",
                    "motion_module",
                    "reference_net",
                    "v_kps_guider",
                    "audio_projection",
                )
            },
            "weight_dtype": "default",
        },
    },
    "encoder": {
        "class_type": "VExpressAudioEncoderLoader",
        "inputs": {"audio_encoder": "wav2vec2-base-960h.safetensors"},
    },
    "vae": {"class_type": "VAELoader", "inputs": {"vae_name": "sd-vae-ft-mse.safetensors"}},
}


def node(class_type: str, **inputs) -> dict:
    return {"class_type": class_type, "inputs": inputs}


def clip(voice: str = "v-express_voice.flac", frames: int = 6, **nodes) -> dict:
    """The graph of a short clip in API format; `nodes` replace or add nodes by name."""
    graph = LOADERS | {
        "portrait": node("LoadImage", image="v-express_portrait.png"),
        "voice": node("LoadAudio", audio=voice),
        "kps": node("VExpressLoadKps", file="v-express_portrait_kps.json", width=512, height=512, fps=30.0),
        "reference": node(
            "VExpressEncodeReference",
            reference_net=["models", 1],
            vae=["vae", 0],
            image=["portrait", 0],
            width=128,
            height=128,
        ),
        "tokens": node(
            "VExpressEncodeAudio",
            audio_encoder=["encoder", 0],
            audio_projection=["models", 2],
            audio=["voice", 0],
            fps=30.0,
            frames=frames,
        ),
        "conditions": node(
            "VExpressConditioning",
            reference=["reference", 0],
            audio_tokens=["tokens", 0],
            kps=["kps", 0],
            reference_weight=0.95,
            audio_weight=3.0,
        ),
        "sampler": node(
            "VExpressSampler",
            model=["models", 0],
            positive=["conditions", 0],
            negative=["conditions", 1],
            latent=["conditions", 2],
            seed=1,
            steps=2,
            cfg=3.5,
        ),
        "pictures": node("VAEDecode", samples=["sampler", 0], vae=["vae", 0]),
        "video": node(
            "VExpressAssembleVideo", images=["pictures", 0], audio=["voice", 0], fps=30.0, deflicker=False
        ),
        "saved": node("SaveVideo", video=["video", 0], filename_prefix="test", format="auto", codec="auto"),
    }
    return graph | nodes


def write_voice(path, rate: int, channels: int, samples: np.ndarray) -> None:
    layout = {1: "mono", 2: "stereo"}[channels]
    codec = {".mp3": "mp3", ".wav": "pcm_s16le", ".flac": "flac", ".m4a": "aac"}[path.suffix]
    with av.open(str(path), "w") as file:
        stream = file.add_stream(codec, rate=rate, layout=layout)
        resampler = av.AudioResampler(stream.format, layout, rate)
        frame = av.AudioFrame.from_ndarray(np.repeat(samples[None], channels, 0), "fltp", layout)
        frame.rate = rate
        for part in [*resampler.resample(frame), *resampler.resample(None)]:
            file.mux(stream.encode(part))
        file.mux(stream.encode(None))


def tone(rate: int, seconds: float) -> np.ndarray:
    return (0.3 * np.sin(2 * np.pi * 220 * np.arange(int(rate * seconds)) / rate)).astype(np.float32)


@pytest.mark.parametrize(
    "name, rate, channels, loudness",
    [
        ("mono.wav", 8000, 1, 1),
        ("stereo.wav", 192000, 2, 1),
        ("speech.mp3", 44100, 2, 1),
        ("speech.flac", 48000, 1, 1),
        ("speech.m4a", 32000, 2, 1),
        ("silence.wav", 16000, 1, 0),
    ],
)
def test_any_voice_becomes_as_many_frames_as_it_lasts(server, name, rate, channels, loudness):
    write_voice(server.input / name, rate, channels, loudness * tone(rate, 0.5))
    graph = clip(name, frames=0)
    shown = {key: graph[key] for key in ("models", "encoder", "voice", "tokens")}
    outputs = server.run(shown | {"shown": node("PreviewAny", source=["tokens", 1])})
    (frames,) = outputs["shown"]["text"]
    assert int(frames) in ((15,) if name.endswith((".wav", ".flac")) else range(15, 18))  # codecs pad


def test_core_decodes_assembles_and_saves_what_core_samples(server):
    core = clip(
        sampler=node(
            "KSampler",
            model=["models", 0],
            positive=["conditions", 0],
            negative=["conditions", 1],
            latent_image=["conditions", 2],
            seed=1,
            steps=2,
            cfg=3.5,
            sampler_name="ddim",
            scheduler="simple",
            denoise=1.0,
        ),
        video=node("CreateVideo", images=["pictures", 0], audio=["voice", 0], fps=30.0),
    )
    (saved,) = server.run(core)["saved"]["images"]
    with av.open(str(server.base / "output" / saved["filename"])) as video:
        assert sum(1 for _ in video.decode(video=0)) == 6


def three_frames_of_kps() -> dict:
    return node("VExpressRetargetKps", **retargeting(["kps_file", 0], frames=3))


def retargeting(reference, frames: int) -> dict:
    return dict(
        reference=reference,
        strategy="fix_face",
        frames=frames,
        fps=30.0,
        timing="clock",
        upstream_exact=False,
    )


@pytest.mark.parametrize(
    "changes, message",
    [
        (
            {
                "kps_file": clip()["kps"],
                "kps": three_frames_of_kps(),
            },
            "kps has 3 frames, the clip 6",
        ),
        (
            {"context": node("VExpressContext", model=["models", 0], length=8, overlap=8)},
            "An overlap of 8 frames leaves a window of 8 nothing of its own",
        ),
        (
            {"context": node("VExpressContext", model=["models", 0], length=33, overlap=4)},
            "33 bigger than max of 32: length",
        ),
        (
            {"latent": node("EmptyLatentImage", width=128, height=136, batch_size=6)},
            "latent has 6 frames of 128 x 136 pixels, the conditioning 6 of 128 x 128",
        ),
        (
            {
                "single": node("LoadImage", image="v-express_portrait.png"),
                "portrait": node("RepeatImageBatch", image=["single", 0], amount=2),
            },
            "image holds 2 pictures",
        ),
        (
            {
                "models": node(
                    "VExpressLoader", **{**LOADERS["models"]["inputs"], "reference_net": "denoising_unet.bin"}
                )
            },
            "denoising_unet.bin is a denoising_unet file, but was chosen as reference_net",
        ),
    ],
    ids=["kps", "overlap", "window", "latent", "batch", "files"],
)
def test_what_cannot_work_is_said_in_a_sentence(server, changes, message):
    graph = clip() | changes
    if "context" in graph:
        graph["sampler"] = node("VExpressSampler", **{**graph["sampler"]["inputs"], "model": ["context", 0]})
    if "latent" in graph:
        graph["sampler"] = node("VExpressSampler", **{**graph["sampler"]["inputs"], "latent": ["latent", 0]})
    with pytest.raises(ComfyError, match=message):
        server.run(graph)


@pytest.mark.parametrize("seconds, message", [(0.02, "audio lasts 0.02.*shortest voice is 0.025 s")])
def test_a_voice_too_short_to_hear_is_refused(server, seconds, message):
    write_voice(server.input / "short.wav", 16000, 1, tone(16000, seconds))
    with pytest.raises(ComfyError, match=message):
        server.run(clip("short.wav", frames=0))


def test_a_truncated_file_is_named(server, tmp_path):
    folder = server.base / "models" / "vexpress"
    whole = (folder / "reference_net.bin").read_bytes()
    (folder / "cut.bin").write_bytes(whole[:-1000])
    models = node("VExpressLoader", **{**LOADERS["models"]["inputs"], "reference_net": "cut.bin"})
    with pytest.raises(ComfyError, match="cut.bin is damaged"):
        server.run(clip(models=models))


def test_a_track_that_was_saved_is_offered_and_loads(server):
    portrait = node("VExpressLoadKps", file="v-express_portrait_kps.json", width=512, height=512, fps=30.0)
    saved = node("VExpressSaveKps", kps=["kps", 0], filename_prefix="v-kps/mine", format="json")
    (track,) = server.run({"kps": portrait, "saved": saved})["saved"]["kps"]
    name = f"{track['subfolder']}/{track['filename']} [output]"
    inputs = server.object_info()["VExpressLoadKps"]["input"]["required"]
    assert name in inputs["file"][1]["options"] and name.startswith("v-kps/mine_")
    loaded = node("VExpressLoadKps", file=name, width=512, height=512, fps=30.0)
    server.run({"kps": loaded, "shown": node("VExpressDrawKps", kps=["kps", 0])})
