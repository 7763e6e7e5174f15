"""What a clip is made from: portrait, voice and V-Kps."""

from comfy_api.latest import io

from ..vexpress.comfyui.conditioning import condition, encode_reference
from ..vexpress.model.unet import AttentionWeights
from .inputs import TALKING_HEAD
from .sockets import AudioTokens, Kps, Reference, ReferenceNet


class EncodeReference(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressEncodeReference",
            display_name="V-Express Encode Reference",
            category="V-Express",
            description="Let ReferenceNet read the portrait, once for the whole clip.",
            search_aliases=["portrait", "reference image", "face to animate", "identity"],
            inputs=[
                ReferenceNet.Input("reference_net", tooltip="Connect reference_net of Load V-Express."),
                io.Vae.Input(
                    "vae",
                    tooltip="Connect a Stable Diffusion 1.5 VAE, best sd-vae-ft-mse; another one may tint the faces.",
                ),
                io.Image.Input(
                    "image",
                    tooltip="Connect one portrait: a square picture, the face in the middle and about half as wide as the "
                    "picture. If it is not like that, put V-Express Crop Face before this.",
                ),
                size_input("width"),
                size_input("height"),
            ],
            outputs=[
                Reference.Output(
                    display_name="reference",
                    tooltip="The portrait as the model knows it: for V-Express Conditioning.",
                )
            ],
        )

    @classmethod
    def execute(cls, reference_net, vae, image, width: int, height: int) -> io.NodeOutput:
        return io.NodeOutput(encode_reference(reference_net, vae, image, width, height))


def size_input(side: str) -> io.Int.Input:
    return io.Int.Input(
        side,
        default=512,
        min=64,
        max=2048,
        step=8,
        tooltip=f"Set the {side} of the video in pixels. The model was trained at 512; the shape must be the "
        "portrait's. 256 is a quick draft, softer than what comes of 512.",
    )


class Conditioning(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressConditioning",
            display_name="V-Express Conditioning",
            category="V-Express",
            description="Bring portrait, voice and V-Kps together, and make the empty latent of the clip.",
            search_aliases=[*TALKING_HEAD, "lip sync strength", "audio weight"],
            inputs=[
                Reference.Input("reference", tooltip="Connect V-Express Encode Reference."),
                AudioTokens.Input(
                    "audio_tokens", tooltip="Connect V-Express Encode Audio; it sets the length of the clip."
                ),
                Kps.Input(
                    "kps",
                    tooltip="Connect Retarget V-Kps, with as many frames as the audio. One frame holds the head still.",
                ),
                weight_input(
                    "reference_weight",
                    AttentionWeights().reference,
                    "Face not the portrait's: raise towards 1. Head follows the V-Kps too little: lower by steps of "
                    "0.05.",
                ),
                weight_input(
                    "audio_weight",
                    AttentionWeights().audio,
                    "Lips too weak: raise beyond 3. Mouth torn open or trembling: lower towards 1.",
                ),
            ],
            outputs=[
                io.Conditioning.Output(
                    display_name="positive", tooltip="Portrait, voice and V-Kps: for positive of the sampler."
                ),
                io.Conditioning.Output(
                    display_name="negative",
                    tooltip="None of them: for negative of the sampler. Guidance leads away from it.",
                ),
                io.Latent.Output(
                    display_name="latent", tooltip="One empty latent per frame: for the sampler."
                ),
            ],
        )

    @classmethod
    def execute(
        cls, reference, audio_tokens, kps, reference_weight: float, audio_weight: float
    ) -> io.NodeOutput:
        weights = AttentionWeights(reference_weight, audio_weight)
        return io.NodeOutput(*condition(reference, audio_tokens, kps, weights))


def weight_input(name: str, default: float, tooltip: str) -> io.Float.Input:
    return io.Float.Input(name, default=default, min=0.0, max=10.0, step=0.05, tooltip=tooltip)
