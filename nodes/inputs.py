"""Inputs that several nodes ask for in the same way, and the words by which several are searched for."""

from comfy_api.latest import io

from ..vexpress.comfyui.video_writer import CRF
from ..vexpress.kps import MOST_FRAMES

STEPS, CFG = 25, 3.5
TALKING_HEAD = ["talking head", "lip sync", "数字人", "口型同步", "会说话的头像"]


def frames_input(tooltip: str) -> io.Int.Input:
    return io.Int.Input("frames", default=0, min=0, max=MOST_FRAMES, tooltip=tooltip)


def video_fps_input(tooltip: str) -> io.Float.Input:
    """Of a video to be made."""
    return io.Float.Input("fps", default=30.0, min=1.0, max=120.0, step=0.001, tooltip=tooltip)


def track_fps_input(tooltip: str) -> io.Float.Input:
    """Of pictures or V-Kps, which may come from a faster camera."""
    return io.Float.Input("fps", default=30.0, min=1.0, max=240.0, step=0.001, tooltip=tooltip)


def sound_fps_input() -> io.Float.Input:
    return video_fps_input("Connect fps of V-Express Encode Audio; at another rate the lips drift.")


def seed_input(tooltip: str = "Set another seed for another take of the same clip.") -> io.Int.Input:
    return io.Int.Input(
        "seed",
        default=42,
        min=0,
        max=0xFFFFFFFFFFFFFFFF,
        control_after_generate=io.ControlAfterGenerate.fixed,  # a render that broke off goes on with the same seed only
        tooltip=tooltip,
    )


def deflicker_input() -> io.Boolean.Input:
    return io.Boolean.Input(
        "deflicker",
        default=False,
        tooltip="Turn on to calm flickering with a 3x3x3 median over time and space, as the original V-Express always "
        "does. It also softens fine detail.",
    )


def steps_input() -> io.Int.Input:
    return io.Int.Input(
        "steps",
        default=STEPS,
        min=1,
        max=1000,
        tooltip="Set fewer steps, 10 to 15, for a draft; more than 25 seldom shows.",
    )


def cfg_input() -> io.Float.Input:
    return io.Float.Input(
        "cfg",
        default=CFG,
        min=1.0,
        max=20.0,
        step=0.1,
        tooltip="Raise if face or lips follow too loosely, lower if colours burn. At 1 the negative is not "
        "computed, which takes half the time.",
    )


def crf_input() -> io.Int.Input:
    return io.Int.Input(
        "crf",
        default=CRF,
        min=1,
        max=51,
        optional=True,
        advanced=True,
        tooltip="Raise for a smaller file: 23 is about half of 18. Lower if grain or fine hair is lost, also before "
        "the video is encoded once more.",
    )


def clip_inputs() -> list[io.Input]:
    return [
        io.Model.Input("model", tooltip="Connect model of Load V-Express, or of nodes that change it."),
        io.Conditioning.Input("positive", tooltip="Connect positive of V-Express Conditioning."),
        io.Conditioning.Input("negative", tooltip="Connect negative of V-Express Conditioning."),
        io.Latent.Input("latent", tooltip="Connect latent of V-Express Conditioning."),
    ]


def check_one_of(images: object, video: object) -> None:
    if (images is None) == (video is None):
        connected = "neither is" if video is None else "both are"
        raise ValueError(f"Either images or a video must be connected, and {connected}.")
