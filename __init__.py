"""V-Express for ComfyUI: a portrait, a voice and a track of V-Kps become a talking-head video."""

from comfy_api.latest import ComfyExtension, io

from .nodes import NODES
from .vexpress.comfyui.folders import register_model_folder

WEB_DIRECTORY = "./web"  # scripts for the canvas

register_model_folder()


class VExpressExtension(ComfyExtension):
    async def get_node_list(self) -> list[type[io.ComfyNode]]:
        return NODES


async def comfy_entrypoint() -> VExpressExtension:
    return VExpressExtension()
