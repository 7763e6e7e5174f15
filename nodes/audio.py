"""From a voice to audio tokens."""

from comfy_api.latest import io

from ..vexpress.comfyui import folders
from ..vexpress.comfyui.audio_encoder import Attention, config_path, load_audio_encoder
from ..vexpress.comfyui.encode_audio import encode_audio
from ..vexpress.comfyui.preview import voice_chart
from .inputs import TALKING_HEAD, frames_input, video_fps_input
from .sockets import AudioProjection, AudioTokens


class AudioEncoderLoader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressAudioEncoderLoader",
            display_name="Load V-Express Audio Encoder",
            category="V-Express",
            description="Load wav2vec2, which listens to the voice, in full precision (ComfyUI's own loader "
            "uses half). The file goes into models/audio_encoders.",
            search_aliases=["wav2vec2", "load wav2vec", "v-express voice model"],
            inputs=[
                io.Combo.Input(
                    "audio_encoder",
                    options=folders.model_files(folders.AUDIO_ENCODERS),
                    tooltip="Choose wav2vec2-base-960h. For another size, put the config.json of its page on "
                    "the hub beside the file, named like it: my_model.safetensors, my_model.json.",
                ),
                io.Combo.Input(
                    "attention",
                    options=Attention,
                    default=Attention.WHOLE,
                    optional=True,
                    advanced=True,
                    tooltip="Leave at whole voice, which is exact. Its time grows with the square of the voice's "
                    "length: for more than ten minutes choose windows, which also keep memory small; the lips "
                    "may differ a little.",
                ),
            ],
            outputs=[
                io.AudioEncoder.Output(display_name="audio_encoder", tooltip="For V-Express Encode Audio.")
            ],
        )

    @classmethod
    def execute(cls, audio_encoder: str, attention: str = Attention.WHOLE) -> io.NodeOutput:
        path = folders.model_path(audio_encoder, folders.AUDIO_ENCODERS)
        return io.NodeOutput(load_audio_encoder(path, Attention(attention)))

    @classmethod
    def fingerprint_inputs(cls, audio_encoder: str, attention: str = Attention.WHOLE) -> str:
        path = folders.model_path(audio_encoder, folders.AUDIO_ENCODERS)
        return folders.weights_fingerprint(path, config_path(path))


class EncodeAudio(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressEncodeAudio",
            display_name="V-Express Encode Audio",
            category="V-Express",
            description="Turn a voice into audio tokens, which move the lips, and choose the clip's length.",
            search_aliases=[*TALKING_HEAD, "voice to audio tokens"],
            inputs=[
                io.AudioEncoder.Input(
                    "audio_encoder",
                    tooltip="Connect Load V-Express Audio Encoder or ComfyUI's Load Audio Encoder, with "
                    "wav2vec2-base.",
                ),
                AudioProjection.Input(
                    "audio_projection", tooltip="Connect audio_projection of Load V-Express."
                ),
                io.Audio.Input(
                    "audio",
                    tooltip="Connect one clip with the voice, at any sample rate. If the lips move with noise or "
                    "music, separate the voice first.",
                ),
                video_fps_input(
                    "Set the frames per second of the video, and connect the fps output to the nodes "
                    "that follow."
                ),
                frames_input(
                    "Leave at 0 for a clip as long as the audio; otherwise the audio is cut, or "
                    "followed by silence, to fill this many frames."
                ),
            ],
            outputs=[
                AudioTokens.Output(
                    display_name="audio_tokens",
                    tooltip="What each frame hears: for V-Express Conditioning. Lips that come too early or late: the "
                    "video has another fps than this.",
                ),
                io.Int.Output(
                    display_name="frames",
                    tooltip="The length of the clip: for frames of Retarget V-Kps or Idle Motion.",
                ),
                io.Float.Output(
                    display_name="fps",
                    tooltip="Frames per second, as asked for: for every later node that has fps.",
                ),
            ],
        )

    @classmethod
    def execute(cls, audio_encoder, audio_projection, audio, fps: float, frames: int) -> io.NodeOutput:
        tokens = encode_audio(audio_encoder, audio_projection, audio, fps, frames)
        frames = len(tokens.tokens)
        return io.NodeOutput(tokens, frames, fps, ui=voice_chart(audio, frames, fps, cls))
