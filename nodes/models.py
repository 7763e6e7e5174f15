"""The released files."""

from comfy_api.latest import io

from ..vexpress.comfyui import folders
from ..vexpress.comfyui.audio_projection import load_audio_projection
from ..vexpress.comfyui.loader import WEIGHT_DTYPES, DenoisingFiles, LoadedReferenceNet, load_denoising_model
from .inputs import TALKING_HEAD
from .sockets import AudioProjection, ReferenceNet

IN_DENOISING_UNET = "in denoising_unet"


def file_input(part: str, tooltip: str, others: tuple[str, ...] = ()) -> io.Combo.Input:
    """A COMBO over models/vexpress that starts at the file named like the part."""
    files = folders.model_files()
    named = [file for file in files if part in file]
    return io.Combo.Input(
        part, options=[*files, *others], default=(named or [*others, None])[0], tooltip=tooltip
    )


class Loader(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressLoader",
            display_name="Load V-Express",
            category="V-Express",
            description="Load the five files of V-Express from models/vexpress. Nothing is downloaded: the README "
            "lists the files and their links.",
            search_aliases=[*TALKING_HEAD, "v-express checkpoint", "reference net"],
            inputs=[
                file_input("denoising_unet", "Choose denoising_unet, the network that draws the frames."),
                file_input(
                    "motion_module",
                    "Choose motion_module, which keeps frames coherent over time, or 'in denoising_unet' if that "
                    "file holds it, as files of the original's training do.",
                    others=(IN_DENOISING_UNET,),
                ),
                file_input("reference_net", "Choose reference_net, which reads the portrait."),
                file_input("v_kps_guider", "Choose v_kps_guider, which reads the head's position."),
                file_input("audio_projection", "Choose audio_projection, which reads the voice."),
                io.Combo.Input(
                    "weight_dtype",
                    options=list(WEIGHT_DTYPES),
                    default="default",
                    tooltip="Leave at default. If memory runs out, an fp8 type halves that of the denoising model, "
                    "at some loss of quality.",
                    advanced=True,
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="For V-Express Sampler, V-Express Render or any other sampler, with LoRAs and patches between.",
                ),
                ReferenceNet.Output(display_name="reference_net", tooltip="For V-Express Encode Reference."),
                AudioProjection.Output(
                    display_name="audio_projection", tooltip="For V-Express Encode Audio."
                ),
            ],
        )

    @classmethod
    def execute(
        cls,
        denoising_unet: str,
        motion_module: str,
        reference_net: str,
        v_kps_guider: str,
        audio_projection: str,
        weight_dtype: str,
    ) -> io.NodeOutput:
        files = DenoisingFiles(
            folders.model_path(denoising_unet),
            None if motion_module == IN_DENOISING_UNET else folders.model_path(motion_module),
            folders.model_path(v_kps_guider),
        )
        return io.NodeOutput(
            load_denoising_model(files, WEIGHT_DTYPES[weight_dtype]),
            LoadedReferenceNet(folders.model_path(reference_net)),
            load_audio_projection(folders.model_path(audio_projection)),
        )

    @classmethod
    def fingerprint_inputs(cls, weight_dtype: str, **files: str) -> str:
        names = [name for name in files.values() if name != IN_DENOISING_UNET]
        return folders.weights_fingerprint(*map(folders.model_path, names))
