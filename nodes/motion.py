"""Nodes that move the head: as a driving face does, or without one."""

from comfy_api.latest import io

from ..vexpress.audio import voice_of
from ..vexpress.comfyui.preview import kps_chart
from ..vexpress.follow import Rest
from ..vexpress.idle import idle
from ..vexpress.pose import Motion
from ..vexpress.retarget import RetargetStrategy, bias, retarget
from ..vexpress.timing import SMOOTHING, ContinueBy, Timing
from .inputs import frames_input, seed_input, track_fps_input
from .sockets import Kps


def amount(name: str, tooltip: str):
    return io.Float.Input(name, optional=True, default=1.0, min=0.0, max=2.0, step=0.05, tooltip=tooltip)


class RetargetKps(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressRetargetKps",
            display_name="Retarget V-Kps",
            category="V-Express",
            description="Move the head of the portrait the way the driving face moves, or keep it still.",
            search_aliases=["head movement", "motion transfer", "retargeting", "fix face", "driving video"],
            inputs=[
                Kps.Input(
                    "reference",
                    tooltip="Connect the V-Kps of the portrait; of a track its first frame is taken.",
                ),
                Kps.Input(
                    "driving",
                    optional=True,
                    tooltip="Connect the V-Kps of the driving video. Without one the head is held still; "
                    "Idle Motion moves it a little by itself.",
                ),
                io.Combo.Input(
                    "strategy",
                    options=RetargetStrategy,
                    default=RetargetStrategy.FOLLOW,
                    tooltip="Choose follow to move the portrait's head as the driver's moves (without a driver "
                    "it is held still); fix_face to hold it still in any case; no_retarget if driver and portrait "
                    "are the same face at the same place. offset_retarget and naive_retarget are the reference "
                    "implementation's: the first shifts the portrait's pose with the driver's nose, the second "
                    "takes the driver's points in the portrait's size.",
                ),
                frames_input(
                    "Connect the frames of the encoded audio. "
                    "0 takes the whole driving track, or one frame without a driver."
                ),
                track_fps_input("Connect the frame rate of the encoded audio."),
                io.Combo.Input(
                    "timing",
                    options=Timing,
                    default=Timing.CLOCK,
                    advanced=True,
                    tooltip="Choose clock to keep the driver's speed (a longer track is cut, a shorter one goes "
                    "on as continue_by says), stretch to slow a shorter track down until it fills the clip.",
                ),
                io.Boolean.Input(
                    "upstream_exact",
                    default=False,
                    advanced=True,
                    tooltip="Switch on to get the numbers of the reference implementation, mistakes and all: "
                    "it stretches, often compares the wrong pose, and offsets the opposite way by half. Not for follow.",
                ),
                amount(
                    "translation",
                    "Lower it if the head leaves the picture, raise it if it moves too little (follow only).",
                ),
                amount("rotation", "Lower it if the head tilts too far to its shoulders (follow only)."),
                amount("scale", "Lower it if the head comes too near or shrinks away (follow only)."),
                amount(
                    "turn",
                    "Lower it if the face distorts when the driver looks aside, up or down (follow only).",
                ),
                io.Combo.Input(
                    "rest",
                    optional=True,
                    options=Rest,
                    default=Rest.PORTRAIT,
                    advanced=True,
                    tooltip="Choose the driving pose that counts as the portrait's (follow only). If the head sits "
                    "aside or tilted for most of the clip, take the middle of the movement; to start exactly at "
                    "the portrait's pose, the first frame.",
                ),
                io.Combo.Input(
                    "continue_by",
                    optional=True,
                    options=ContinueBy,
                    default=ContinueBy.PING_PONG,
                    advanced=True,
                    tooltip="Choose what a driving track does that ends before the clip (timing clock): play back "
                    "and forth, fade into its beginning, or hold its last frame.",
                ),
                io.Int.Input(
                    "smoothing",
                    optional=True,
                    default=SMOOTHING,
                    advanced=True,
                    min=0,
                    max=99,
                    tooltip="Raise it if the head trembles, lower it if quick nods are lost: the driving frames "
                    "that are smoothed over, rounded up to an odd number; 0 for none. Never with upstream_exact.",
                ),
            ],
            outputs=[
                Kps.Output(
                    display_name="kps",
                    tooltip="The portrait's eyes and nose in every frame: for V-Express Conditioning. The chart shows "
                    "them; a face that distorts has left the range of the portrait's pose: lower turn and rotation.",
                )
            ],
        )

    @classmethod
    def execute(
        cls,
        reference,
        strategy: str,
        frames: int,
        fps: float,
        timing: str,
        upstream_exact: bool,
        driving=None,
        translation: float = 1.0,
        rotation: float = 1.0,
        scale: float = 1.0,
        turn: float = 1.0,
        rest: str = Rest.PORTRAIT,
        continue_by: str = ContinueBy.PING_PONG,
        smoothing: int = SMOOTHING,
    ) -> io.NodeOutput:
        kps = retarget(
            reference,
            driving,
            RetargetStrategy(strategy),
            frames,
            fps,
            Timing(timing),
            upstream_exact,
            Motion(translation, rotation, scale, turn),
            Rest(rest),
            ContinueBy(continue_by),
            smoothing,
        )
        used = None if strategy == RetargetStrategy.FIX_FACE else driving
        return io.NodeOutput(kps, ui=kps_chart(kps, cls, *bias(reference, used)))


class IdleMotion(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="VExpressIdleMotion",
            display_name="Idle Motion",
            category="V-Express",
            description="Let the head sway and nod with the voice, without a driving video.",
            search_aliases=["head movement", "sway", "nod", "procedural motion", "no driving video", "alive"],
            inputs=[
                Kps.Input(
                    "reference",
                    tooltip="Connect the V-Kps of the portrait; the head starts and ends in its pose.",
                ),
                io.Audio.Input(
                    "audio", tooltip="Connect the voice: the head nods with it, and calms in pauses."
                ),
                frames_input("Connect the frames of the encoded audio. 0 is as long as the audio."),
                track_fps_input("Connect the frame rate of the encoded audio."),
                io.Float.Input(
                    "amount",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Lower it if the head leaves the picture or seems restless, raise it for a livelier "
                    "one: 1 is what people do while talking, 2 the most that the model was made for, 0 stillness.",
                ),
                seed_input("Set another seed for another movement."),
            ],
            outputs=[
                Kps.Output(
                    display_name="kps",
                    tooltip="The portrait's eyes and nose in every frame: for V-Express Conditioning.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, reference, audio: dict | None, frames: int, fps: float, amount: float, seed: int
    ) -> io.NodeOutput:
        kps = idle(reference, *voice_of(audio), fps, frames, amount, seed)
        return io.NodeOutput(kps, ui=kps_chart(kps, cls))
