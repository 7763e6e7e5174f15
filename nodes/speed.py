"""Faster sampling by choice: approximations, off unless these nodes are used."""

from comfy_api.latest import io

from ..vexpress.comfyui.speed import PRESETS, apply_preset, guide_within


class Speed(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressSpeed",
            display_name="V-Express Speed",
            category="V-Express",
            description="Trade fidelity for time: fewer steps, and guidance on the first of them only.",
            search_aliases=["faster", "draft", "preview quality", "fewer steps", "speed up"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="Connect model of Load V-Express, or of nodes that change it."
                ),
                io.Combo.Input(
                    "preset",
                    options=list(PRESETS),
                    default=next(iter(PRESETS)),
                    tooltip="Choose exact, which changes nothing, or how rough the video may be: the three "
                    "others compute 34, 17 and 12 halves of guided steps instead of 50.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="For the sampler, which must take steps from this node too."
                ),
                io.Int.Output(
                    display_name="steps",
                    tooltip="Connect to steps of V-Express Sampler, V-Express Render or V-Express Scheduler.",
                ),
            ],
        )

    @classmethod
    def execute(cls, model, preset: str) -> io.NodeOutput:
        return io.NodeOutput(*apply_preset(model, preset))


class GuidanceInterval(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressGuidanceInterval",
            display_name="V-Express Guidance Interval",
            category="V-Express",
            description="Guide only a part of the steps: the others take half the time, and follow portrait, voice "
            "and V-Kps less closely. Of two, both must allow a step.",
            search_aliases=["limited interval guidance", "cfg range", "skip cfg", "faster"],
            inputs=[
                io.Model.Input(
                    "model", tooltip="Connect model of Load V-Express, or of nodes that change it."
                ),
                io.Float.Input(
                    "start",
                    default=0.0,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Leave at 0, or set the part of the denoising that goes by before guidance begins: the "
                    "first steps decide where things are.",
                ),
                io.Float.Input(
                    "end",
                    default=0.7,
                    min=0.0,
                    max=1.0,
                    step=0.01,
                    tooltip="Set the part of the denoising after which guidance ends: the last steps only refine "
                    "detail. From 0 to 1 every step is guided.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model",
                    tooltip="For the sampler. Lips or head follow too loosely: raise end.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, start: float, end: float) -> io.NodeOutput:
        return io.NodeOutput(guide_within(model, start, end))
