"""wav2vec2 and the audio projection under ComfyUI, against the golden audio files."""

import json
import weakref
from fractions import Fraction

import comfy.memory_management
import comfy.model_management
import comfy.ops
import comfy.utils
import folder_paths
import pytest
import torch
from comfy.audio_encoders.audio_encoders import AudioEncoderModel
from golden_weights import GOLDEN, golden_state_dict
from pack.nodes.audio import AudioEncoderLoader, EncodeAudio
from pack.nodes.motion import IdleMotion
from pack.nodes.video import AssembleVideo
from pack.vexpress.audio import SAMPLE_RATE
from pack.vexpress.comfyui.audio_encoder import Attention, build_wav2vec2, load_audio_encoder, memory_needed
from pack.vexpress.comfyui.audio_projection import AudioProjection, load_audio_projection
from pack.vexpress.comfyui.encode_audio import encode_audio
from pack.vexpress.comfyui.files import load_checkpoint
from pack.vexpress.keys import load_weights
from pack.vexpress.model import audio_projection as model
from pack.vexpress.model import wav2vec2
from safetensors.torch import load_file, save_file
from transformers import Wav2Vec2Config, Wav2Vec2Model
from transformers.models.wav2vec2.modeling_wav2vec2 import Wav2Vec2FeatureEncoder

TOLERANCE = 2e-5  # relative L2 of a single forward in float32
CONFIG = json.loads((GOLDEN / "audio" / "wav2vec2.json").read_text())
GAIN = "encoder.pos_conv_embed.conv.parametrizations.weight.original0"


def golden(frames):
    return load_file(GOLDEN / "audio" / f"b_audio_{frames}.safetensors")


def relative_error(value, expected):
    return ((value - expected).norm() / expected.norm()).item()


def plain_layout():
    return golden_state_dict("wav2vec2")


def hub_layout():
    """As wav2vec2-base-960h lies on the hub."""
    renamed = {
        key.replace("parametrizations.weight.original0", "weight_g").replace(
            "parametrizations.weight.original1", "weight_v"
        ): weight
        for key, weight in plain_layout().items()
    }
    head = {"lm_head.weight": torch.zeros(5, 32), "lm_head.bias": torch.zeros(5)}
    return {f"wav2vec2.{key}": weight for key, weight in renamed.items()} | head


def without_mask():
    return {key: weight for key, weight in plain_layout().items() if key != "masked_spec_embed"}


def saved(folder, state_dict, name="encoder.safetensors", config=CONFIG):
    path = folder / name
    if path.suffix == ".safetensors":
        save_file(state_dict, path)
    else:
        torch.save(state_dict, path)
    if config:
        path.with_suffix(".json").write_text(json.dumps(config))
    return str(path)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory):
    return load_audio_encoder(saved(tmp_path_factory.mktemp("encoder"), plain_layout()))


@pytest.fixture(scope="module")
def projection():
    return AudioProjection(golden_state_dict("audio_projection"), "tiny.safetensors")


@pytest.mark.parametrize("name", ["encoder.safetensors", "encoder.bin", "encoder.pth"])
@pytest.mark.parametrize("layout", [plain_layout, hub_layout, without_mask])
def test_every_layout_gives_the_golden_features(tmp_path, layout, name):
    encoder = load_audio_encoder(saved(tmp_path, layout(), name))
    for frames in (12, 28):
        expected = golden(frames)
        out = encoder.encode_audio(expected["input_values"][None], SAMPLE_RATE)
        assert relative_error(out["encoded_audio"], expected["last_hidden_state"]) < TOLERANCE


def test_half_precision_weights_run_in_full(tmp_path):
    half = {key: weight.half() for key, weight in plain_layout().items()}
    expected = golden(12)
    out = load_audio_encoder(saved(tmp_path, half)).encode_audio(expected["input_values"][None], SAMPLE_RATE)
    assert out["encoded_audio"].dtype == torch.float32
    assert relative_error(out["encoded_audio"], expected["last_hidden_state"]) < 5e-3


def test_nothing_between_the_layers_is_kept(encoder):
    kept = weakref.WeakSet()
    layers = encoder.patcher.model.network.encoder.layers
    hooks = [layer.register_forward_hook(lambda layer, args, out: kept.add(out)) for layer in layers]
    out = encoder.encode_audio(golden(12)["input_values"][None], SAMPLE_RATE)
    for hook in hooks:
        hook.remove()
    assert out.keys() == {"encoded_audio", "audio_samples"}
    assert len(kept) <= 1


@pytest.mark.parametrize("norm", ["group", "layer"])
def test_convolving_in_pieces_is_convolving_as_a_whole(monkeypatch, norm):
    monkeypatch.setattr(wav2vec2, "SAMPLES_AT_ONCE", 1000)
    network = build_wav2vec2({**CONFIG, "feat_extract_norm": norm, "conv_bias": norm == "layer"})
    shapes = {key: list(weight.shape) for key, weight in network.state_dict().items()}
    load_weights(network, golden_state_dict("wav2vec2", shapes), norm)
    as_a_whole = Wav2Vec2FeatureEncoder(network.config)
    as_a_whole.load_state_dict(network.feature_extractor.state_dict())
    torch.manual_seed(0)
    voices = torch.randn(2, 7001)
    assert relative_error(network.feature_extractor(voices), as_a_whole(voices)) < 2e-6


def test_a_voice_of_several_pieces_is_what_transformers_hears_in_the_whole(encoder):
    """Of wav2vec2-base's layout: 25 seconds are three pieces."""
    network = Wav2Vec2Model(Wav2Vec2Config(**CONFIG)).eval()
    network.load_state_dict(plain_layout())
    torch.manual_seed(0)
    voice = torch.randn(1, 25 * SAMPLE_RATE)
    heard = encoder.encode_audio(voice[None], SAMPLE_RATE)["encoded_audio"]
    assert relative_error(heard, network(voice).last_hidden_state) < 1e-6


@pytest.mark.parametrize(
    "count, expected",
    [
        (10, [(0, 10, 0, 10)]),
        (12, [(0, 10, 0, 6), (2, 12, 4, 10)]),
        (13, [(0, 10, 0, 6), (3, 13, 3, 9), (3, 13, 9, 10)]),
        (18, [(0, 10, 0, 6), (4, 14, 2, 8), (8, 18, 4, 10)]),
    ],
)
def test_windows_keep_every_feature_once_and_hear_two_on_either_side(monkeypatch, count, expected):
    monkeypatch.setattr(wav2vec2, "WINDOW", 10)
    monkeypatch.setattr(wav2vec2, "CONTEXT", 2)
    found = wav2vec2.windows(count, windowed=True)
    assert [(w.heard.start, w.heard.stop, w.kept.start, w.kept.stop) for w in found] == expected


def test_the_whole_voice_is_one_window():
    assert len(wav2vec2.windows(10**6, windowed=False)) == 1


@pytest.fixture
def windowed(encoder, monkeypatch):
    """Windows of 20 features that hear 5 on either side; the longer of the golden voices has 50."""
    monkeypatch.setattr(wav2vec2, "WINDOW", 20)
    monkeypatch.setattr(wav2vec2, "CONTEXT", 5)
    monkeypatch.setattr(encoder, "windowed", True)
    return encoder


def test_in_windows_the_transformer_never_hears_more_than_one(windowed):
    heard = []
    layer = windowed.patcher.model.network.encoder.layers[0]
    hook = layer.register_forward_pre_hook(lambda layer, inputs: heard.append(inputs[0].shape[1]))
    out = windowed.encode_audio(golden(28)["input_values"][None], SAMPLE_RATE)["encoded_audio"]
    hook.remove()
    assert set(heard) == {20}
    assert out.shape == golden(28)["last_hidden_state"].shape


def test_a_window_keeps_the_middle_of_what_it_hears(windowed):
    """The voice's middle is near what the whole voice makes of it; random weights attend everywhere."""
    voice, network = golden(28)["input_values"][None], windowed.patcher.model.network
    out = windowed.encode_audio(voice, SAMPLE_RATE)["encoded_audio"]
    features = network.feature_extractor(voice[0]).transpose(1, 2)[:, 5:25]
    heard = network.encoder(network.feature_projection(features)[0]).last_hidden_state
    torch.testing.assert_close(out[:, 10:20], heard[:, 5:15])
    assert relative_error(out, golden(28)["last_hidden_state"]) < 0.3


def test_a_short_voice_is_exact_in_windows_too(encoder, monkeypatch):
    voice = golden(28)["input_values"][None]
    exact = encoder.encode_audio(voice, SAMPLE_RATE)["encoded_audio"]
    monkeypatch.setattr(encoder, "windowed", True)
    assert torch.equal(encoder.encode_audio(voice, SAMPLE_RATE)["encoded_audio"], exact)


def test_windows_ask_comfyui_for_less_memory():
    hour = 3600 * SAMPLE_RATE
    assert memory_needed(1, hour, False) > 9e9
    assert memory_needed(1, hour, True) < 2.5e9
    assert memory_needed(1, SAMPLE_RATE, True) == memory_needed(1, SAMPLE_RATE, False)


def test_cancel_stops_a_voice_at_the_next_layer(encoder):
    heard = []
    first, second = encoder.patcher.model.network.encoder.layers[:2]
    hooks = [
        first.register_forward_hook(lambda *_: comfy.model_management.interrupt_current_processing()),
        second.register_forward_hook(lambda *_: heard.append(1)),
    ]
    with pytest.raises(comfy.model_management.InterruptProcessingException):
        encoder.encode_audio(golden(12)["input_values"][None], SAMPLE_RATE)
    for hook in hooks:
        hook.remove()
    assert not heard
    assert not any(module._forward_pre_hooks for module in encoder.patcher.model.modules())


def test_a_long_voice_shows_how_far_it_has_come(windowed, monkeypatch):
    """Statistics, convolutions, and three layers on each of five windows."""
    shown = []
    monkeypatch.setattr(
        comfy.utils, "PROGRESS_BAR_HOOK", lambda done, total, *_, **__: shown.append((done, total))
    )
    monkeypatch.setattr(comfy.utils, "PROGRESS_THROTTLE_MIN_INTERVAL", 0)
    windowed.encode_audio(golden(28)["input_values"][None], SAMPLE_RATE)
    assert shown == [(step, 17) for step in range(1, 18)]


def test_other_rates_are_resampled_and_batches_kept(encoder):
    torch.manual_seed(0)
    out = encoder.encode_audio(torch.randn(3, 2, 24000), 48000)
    assert out["audio_samples"] == 8000
    assert out["encoded_audio"].shape == (3, 24, 32)


def test_the_encoder_survives_being_unloaded(encoder):
    voice = golden(12)["input_values"][None]
    before = encoder.encode_audio(voice, SAMPLE_RATE)["encoded_audio"]
    comfy.model_management.unload_all_models()
    assert torch.equal(encoder.encode_audio(voice, SAMPLE_RATE)["encoded_audio"], before)


def test_without_a_config_the_sizes_are_those_of_wav2vec2_base(tmp_path):
    with pytest.raises(ValueError, match=r"encoder.safetensors \(read as wav2vec2-base.*encoder.json.*shape"):
        load_audio_encoder(saved(tmp_path, plain_layout(), config=None))


def test_a_missing_and_a_foreign_weight_are_named(tmp_path):
    state_dict = plain_layout()
    state_dict["quantiser.weight"] = state_dict.pop(GAIN)
    with pytest.raises(ValueError, match=r"^encoder.safetensors does not fit") as error:
        load_audio_encoder(saved(tmp_path, state_dict))
    assert f"1 missing: {GAIN}" in str(error.value)
    assert "1 unknown: quantiser.weight" in str(error.value)


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"model_type": "bert"}'])
def test_a_foreign_config_is_named(tmp_path, text):
    path = saved(tmp_path, plain_layout())
    (tmp_path / "encoder.json").write_text(text)
    with pytest.raises(ValueError, match="^encoder.json is"):
        load_audio_encoder(path)


@pytest.mark.parametrize("frames", [12, 28])
def test_projection_gives_the_golden_tokens(projection, frames):
    expected = golden(frames)
    assert relative_error(projection.encode(expected["windows"]), expected["projected"]) < TOLERANCE


def test_projection_in_batches_is_the_same(projection):
    windows = golden(28)["windows"].repeat(10, 1, 1)
    tokens = projection.encode(windows)
    assert relative_error(tokens, golden(28)["projected"].repeat(10, 1, 1)) < TOLERANCE


def test_the_windows_of_a_whole_clip_are_never_in_memory(encoder, projection, monkeypatch):
    """They overlap: 10 features for each frame, of which 2 are its own."""
    given = []
    monkeypatch.setattr(projection, "encode", lambda windows: given.append(windows) or windows)
    encode_audio(encoder, projection, {"waveform": torch.zeros(1, 1, 16000), "sample_rate": 16000}, 30)
    (windows,) = given
    assert windows.shape == (30, 10, 32)
    assert windows.untyped_storage().nbytes() < 30 * 3 * 32 * 4


def test_projection_file_loads(tmp_path):
    path = saved(
        tmp_path, {"state_dict": golden_state_dict("audio_projection")}, "audio_projection.bin", False
    )
    assert load_audio_projection(path).config.feature_width == 32


def test_projection_config_is_read_off_the_weights():
    config = model.AudioProjectionConfig.of(golden_state_dict("audio_projection"))
    expected = model.AudioProjectionConfig(feature_width=32, token_width=32, width=32)
    assert config == expected


def test_another_networks_file_is_no_projection():
    with pytest.raises(ValueError, match="guider.pth does not fit AudioProjection .*52 missing.*16 unknown"):
        AudioProjection(golden_state_dict("v_kps_guider"), "guider.pth")


def test_projection_loads_with_dynamic_vram(monkeypatch):
    """Then ComfyUI's layers have no weights before they are loaded."""
    monkeypatch.setattr(comfy.memory_management, "aimdo_enabled", True)
    state_dict = golden_state_dict("audio_projection")
    config = model.AudioProjectionConfig.of(state_dict)
    network = model.AudioProjection(config, torch.float32, "cpu", comfy.ops.manual_cast)
    load_weights(network, state_dict, "tiny.safetensors")
    expected = golden(12)
    assert relative_error(network(expected["windows"]), expected["projected"]) < TOLERANCE
    del state_dict["proj_in.bias"]
    network = model.AudioProjection(config, torch.float32, "cpu", comfy.ops.manual_cast)
    with pytest.raises(ValueError, match="1 missing: proj_in.bias"):
        load_weights(network, state_dict, "tiny.safetensors")


@pytest.mark.parametrize("frames", [12, 28])
def test_a_voice_becomes_the_golden_tokens(encoder, projection, frames):
    expected = golden(frames)
    fps = frames * SAMPLE_RATE / len(expected["waveform"])
    audio = {"waveform": expected["waveform"][None, None], "sample_rate": SAMPLE_RATE}
    result = EncodeAudio.execute(encoder, projection, audio, fps, 0)
    tokens, count, rate = result.args
    assert (count, rate) == (frames, fps)
    assert tokens.tokens.dtype == torch.float32
    assert relative_error(tokens.tokens, expected["projected"]) < TOLERANCE


@pytest.mark.parametrize("frames", [1, 5, 40])
def test_as_many_frames_as_asked_for(encoder, projection, frames):
    audio = {"waveform": torch.zeros(1, 2, 22050), "sample_rate": 44100}
    tokens = encode_audio(encoder, projection, audio, 30, frames).tokens
    assert tokens.shape == (frames, 5, 32)
    assert tokens.isfinite().all()


def test_cores_own_encoder_hears_the_same(tmp_path, projection):
    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_hidden_layers": 2, "intermediate_size": 128}
    config = {"model_type": "wav2vec2", **sizes}
    shapes = {key: list(weight.shape) for key, weight in build_wav2vec2(config).state_dict().items()}
    state_dict = golden_state_dict("wav2vec2", shapes)
    ours = load_audio_encoder(saved(tmp_path, state_dict, config=config))
    cores = AudioEncoderModel(
        {
            "model_type": "wav2vec2",
            "embed_dim": 32,
            "num_heads": 4,
            "num_layers": 2,
            "conv_norm": False,
            "conv_bias": False,
            "do_normalize": False,
            "do_stable_layer_norm": False,
        }
    )
    assert cores.load_sd(state_dict).missing_keys == ["masked_spec_embed"]
    audio = {"waveform": golden(12)["waveform"][None, None], "sample_rate": 16000}
    tokens = [encode_audio(encoder, projection, audio, 30).tokens for encoder in (ours, cores)]
    assert tokens[1].dtype == torch.float32
    assert relative_error(tokens[1], tokens[0]) < 2e-2  # core's runs in half precision


def test_another_encoders_width_is_named(encoder):
    state_dict = golden_state_dict("audio_projection")
    shapes = {key: list(weight.shape) for key, weight in state_dict.items()}
    shapes["pos_emb.weight"], shapes["proj_in.weight"] = [10, 48], [32, 48]
    wide = AudioProjection(golden_state_dict("audio_projection", shapes), "wide.safetensors")
    audio = {"waveform": torch.zeros(1, 1, 8000), "sample_rate": 16000}
    with pytest.raises(ValueError, match="features of width 32, audio_projection reads 48"):
        encode_audio(encoder, wide, audio, 30)


def test_bad_audio_is_refused_before_the_encoder_runs():
    audio = {"waveform": torch.zeros(1, 1, 0), "sample_rate": 16000}
    with pytest.raises(ValueError, match="^audio lasts 0.0000 s"):
        encode_audio(None, None, audio, 30)


def test_a_video_without_sound_is_said():
    """ComfyUI's Get Video Components gives None for its audio."""
    with pytest.raises(ValueError, match="^audio is empty: the video that it comes from has no sound"):
        EncodeAudio.execute(None, None, None, 30.0, 0)
    with pytest.raises(ValueError, match="^audio is empty"):
        IdleMotion.execute(None, None, 0, 30.0, 1.0, 0)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="gone.safetensors is not at"):
        load_checkpoint(str(tmp_path / "gone.safetensors"))


@pytest.mark.parametrize("name", ["cut.safetensors", "cut.bin"])
def test_a_truncated_file_is_named(tmp_path, name):
    path = saved(tmp_path, plain_layout(), name, config=None)
    data = (tmp_path / name).read_bytes()
    (tmp_path / name).write_bytes(data[: len(data) // 2])
    with pytest.raises(ValueError, match=f"^{name} is damaged"):
        load_checkpoint(path)


def test_an_unsafe_pickle_is_not_read(tmp_path):
    torch.save({"weight": torch.zeros(1), "run": Fraction(1, 2)}, tmp_path / "unsafe.pth")
    with pytest.raises(ValueError, match="^unsafe.pth holds more than tensors"):
        load_checkpoint(str(tmp_path / "unsafe.pth"))


def test_a_web_page_saved_as_weights_is_named(tmp_path):
    (tmp_path / "page.bin").write_text("<!DOCTYPE html><html></html>")
    with pytest.raises(ValueError, match="^page.bin "):
        load_checkpoint(str(tmp_path / "page.bin"))


def test_a_list_of_tensors_is_no_weights_file(tmp_path):
    torch.save([torch.zeros(3), torch.zeros(3)], tmp_path / "list.pth")
    with pytest.raises(ValueError, match="^list.pth holds more than tensors by name"):
        load_checkpoint(str(tmp_path / "list.pth"))


@pytest.mark.parametrize("sample_rate, channels", [(8000, 1), (44100, 2), (192000, 2), (16000, 3)])
def test_odd_pictures_and_any_sound_become_a_video_that_saves(tmp_path, sample_rate, channels):
    import av

    torch.manual_seed(0)
    images = torch.rand(10, 33, 35, 3)
    audio = {"waveform": torch.zeros(1, channels, 3 * sample_rate), "sample_rate": sample_rate}
    (video,) = AssembleVideo.execute(images, 29.97, True, audio).args
    assert video.get_frame_rate() == Fraction(2997, 100)
    assert video.get_dimensions() == (36, 34)
    video.save_to(str(tmp_path / "clip.mp4"))
    with av.open(str(tmp_path / "clip.mp4")) as clip:
        assert clip.streams.video[0].frames == 10
        assert float(clip.duration / av.time_base) == pytest.approx(10 / 29.97, abs=0.1)


def test_a_video_without_sound(tmp_path):
    images = torch.rand(1, 16, 16, 4)
    (video,) = AssembleVideo.execute(images, 25, False).args
    assert video.get_components().audio is None
    assert torch.equal(video.get_components().images, images[..., :3])


def test_the_loader_lists_and_loads_the_audio_encoders_folder(tmp_path, monkeypatch):
    saved(tmp_path, plain_layout(), "tiny.safetensors")
    extensions = folder_paths.folder_names_and_paths["audio_encoders"][1]
    monkeypatch.setitem(folder_paths.folder_names_and_paths, "audio_encoders", ([str(tmp_path)], extensions))
    choice, attention = AudioEncoderLoader.define_schema().inputs
    assert choice.options == ["tiny.safetensors"]
    (encoder,) = AudioEncoderLoader.execute("tiny.safetensors").args
    assert encoder.encode_audio(torch.zeros(1, 1, 16000), SAMPLE_RATE)["encoded_audio"].shape == (1, 49, 32)
    loaded = [AudioEncoderLoader.execute("tiny.safetensors", value).args[0] for value in attention.options]
    assert attention.options[0] == attention.default == Attention.WHOLE
    assert [encoder.windowed for encoder in (encoder, *loaded)] == [False, False, True]
