"""From noise to the latents of a clip."""

from comfy_api.latest import io

from ..vexpress.comfyui.context import LENGTH, OVERLAP, set_context
from ..vexpress.comfyui.ddim import exact_ddim
from ..vexpress.comfyui.sampling import NOISE_DTYPES, ReferenceNoise, sample, trailing_sigmas
from .inputs import STEPS, TALKING_HEAD, cfg_input, clip_inputs, seed_input, steps_input


class Context(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressContext",
            display_name="V-Express Context",
            category="V-Express",
            description="Change how many frames are denoised together. Load V-Express has set 24 and 4 already.",
            search_aliases=["context window", "window length", "long video", "low memory video"],
            inputs=[
                io.Model.Input("model", tooltip="Connect model of Load V-Express."),
                io.Int.Input(
                    "length",
                    default=LENGTH,
                    min=1,
                    max=32,
                    tooltip="Set the frames of one window. Fewer need less memory, more move more coherently; "
                    "the model was trained with up to 24 and knows 32.",
                ),
                io.Int.Input(
                    "overlap",
                    default=OVERLAP,
                    min=0,
                    max=31,
                    tooltip="Set the frames that neighbouring windows share. Raise it if you see jumps every "
                    "length minus overlap frames; more overlap takes more time.",
                ),
            ],
            outputs=[
                io.Model.Output(
                    display_name="model", tooltip="The model with other windows: for the sampler."
                )
            ],
        )

    @classmethod
    def execute(cls, model, length: int, overlap: int) -> io.NodeOutput:
        return io.NodeOutput(set_context(model, length, overlap))


class Scheduler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressScheduler",
            display_name="V-Express Scheduler",
            category="V-Express",
            description="The noise levels V-Express was trained for: evenly spaced, starting at pure noise.",
            search_aliases=["trailing scheduler", "zero snr sigmas"],
            inputs=[
                io.Model.Input("model", tooltip="Connect model of Load V-Express."),
                io.Int.Input(
                    "steps",
                    default=STEPS,
                    min=1,
                    max=1000,
                    tooltip="Set the number of denoising steps. 25 is the released value; numbers that divide 1000 "
                    "reproduce the original exactly.",
                ),
            ],
            outputs=[
                io.Sigmas.Output(
                    display_name="sigmas",
                    tooltip="For SamplerCustomAdvanced, or for sigmas of V-Express Sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls, model, steps: int) -> io.NodeOutput:
        return io.NodeOutput(trailing_sigmas(model, steps))


class SamplerSelect(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressSamplerSelect",
            display_name="V-Express Sampler Select",
            category="V-Express",
            description="DDIM, exact at the first step too, where ComfyUI's own begins a little below pure noise.",
            search_aliases=["ddim exact", "zero snr sampler"],
            inputs=[],
            outputs=[
                io.Sampler.Output(
                    display_name="sampler",
                    tooltip="For SamplerCustomAdvanced, or for sampler of V-Express Sampler.",
                )
            ],
        )

    @classmethod
    def execute(cls) -> io.NodeOutput:
        return io.NodeOutput(exact_ddim())


class Noise(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressNoise",
            display_name="V-Express Noise",
            category="V-Express",
            description="Noise in the order in which the original V-Express draws it, to reproduce its videos by "
            "seed. For anything else RandomNoise is as good.",
            search_aliases=["reference noise", "reproduce v-express seed"],
            inputs=[
                seed_input(),
                io.Int.Input(
                    "draws_before",
                    default=0,
                    min=0,
                    max=1000,
                    optional=True,
                    advanced=True,
                    tooltip="Leave at 0, or set 12 to reproduce a video of the original script: its voice encoder "
                    "takes 12 numbers of the seed's stream first.",
                ),
                io.Combo.Input(
                    "precision",
                    options=list(NOISE_DTYPES),
                    default="float32",
                    optional=True,
                    advanced=True,
                    tooltip="Choose the precision the original ran in: the same seed gives other noise in float16.",
                ),
            ],
            outputs=[io.Noise.Output(display_name="noise", tooltip="For SamplerCustomAdvanced.")],
        )

    @classmethod
    def execute(cls, seed: int, draws_before: int = 0, precision: str = "float32") -> io.NodeOutput:
        return io.NodeOutput(ReferenceNoise(seed, draws_before, NOISE_DTYPES[precision]))


class Sampler(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="VExpressSampler",
            display_name="V-Express Sampler",
            category="V-Express",
            description="Denoise a clip of any length, window by window.",
            search_aliases=[*TALKING_HEAD, "ksampler v-express"],
            inputs=[
                *clip_inputs(),
                seed_input(),
                steps_input(),
                cfg_input(),
                io.Sampler.Input(
                    "sampler",
                    optional=True,
                    tooltip="Leave open for exact DDIM, or connect a KSamplerSelect to try another.",
                ),
                io.Sigmas.Input(
                    "sigmas",
                    optional=True,
                    tooltip="Leave open for V-Express's noise levels; connected, they replace steps.",
                ),
            ],
            outputs=[
                io.Latent.Output(
                    display_name="latent",
                    tooltip="The denoised clip: for VAE Decode. Memory runs out there: use V-Express Render instead of both.",
                )
            ],
        )

    @classmethod
    def execute(
        cls, model, positive, negative, latent, seed: int, steps: int, cfg: float, sampler=None, sigmas=None
    ) -> io.NodeOutput:
        return io.NodeOutput(sample(model, positive, negative, latent, seed, steps, cfg, sampler, sigmas))
