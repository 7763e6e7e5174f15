"""A voice through the audio encoder and the audio projection."""

from torch import Tensor

from ..audio import SAMPLE_RATE, AudioTokens, frame_features, prepare_waveform, voice_frames, voice_of
from ..finite import require_finite
from .audio_projection import AudioProjection

MAKES_NAN = " makes NaN of the voice: load its file anew if it may be damaged."


def encode_audio(
    encoder, projection: AudioProjection, audio: dict | None, fps: float, frames: int = 0
) -> AudioTokens:
    """Audio tokens for every frame of a clip.

    encoder: any AUDIO_ENCODER of wav2vec2
    audio:   AUDIO, one clip
    frames:  length of the clip, 0 = as long as the audio
    """
    waveform, sample_rate = voice_of(audio)
    frames = voice_frames(waveform, sample_rate, fps, frames)
    voice = prepare_waveform(waveform, sample_rate, frames, fps)
    features = encoder.encode_audio(voice[None, None], SAMPLE_RATE)["encoded_audio"][0].float().cpu()
    _check_width(features, projection.config.feature_width)
    require_finite(
        features, f"audio_encoder{MAKES_NAN} Load V-Express Audio Encoder loads it in full precision."
    )
    tokens = projection.encode(frame_features(features, frames))
    require_finite(tokens, f"audio_projection{MAKES_NAN}")
    return AudioTokens(tokens, fps)


def _check_width(features: Tensor, width: int) -> None:
    if features.shape[-1] != width:
        raise ValueError(
            f"audio_encoder gives features of width {features.shape[-1]}, audio_projection reads {width}: "
            "load the encoder that it was trained with, wav2vec2-base."
        )
