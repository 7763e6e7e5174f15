"""Another pack of custom nodes, as a user may have beside this one: it patches, waits, frees and runs out of memory."""

import os
import time

import comfy.model_management
import torch


class Anything(str):
    """A type that is connected to all others."""

    def __ne__(self, other: object) -> bool:
        return False


ANY = Anything("*")


class Node:
    CATEGORY = "other pack"
    FUNCTION = "run"
    RETURN_TYPES = (ANY,)


def wait_for(file: str) -> None:
    while not os.path.exists(file):
        comfy.model_management.throw_exception_if_processing_interrupted()
        time.sleep(0.01)


class Each(Node):
    """Runs each time anew, and so do all nodes after it."""

    INPUT_TYPES = classmethod(lambda cls: {"required": {"value": (ANY,)}})

    @classmethod
    def IS_CHANGED(cls, **inputs) -> float:
        return float("nan")

    def run(self, value):
        return (value,)


class Hold(Node):
    """A model that waits after so many calls until a file is there."""

    INPUT_TYPES = classmethod(
        lambda cls: {"required": {"model": ("MODEL",), "calls": ("INT", {}), "file": ("STRING", {})}}
    )
    RETURN_TYPES = ("MODEL",)

    def run(self, model, calls, file):
        left = [calls]

        def waiting(apply, inputs):
            if left[0] == 0:
                wait_for(file)
            left[0] = max(left[0] - 1, 0)
            return apply(inputs["input"], inputs["timestep"], **inputs["c"])

        model = model.clone()
        model.set_model_unet_function_wrapper(waiting)
        return (model,)


class Unload(Each):
    """Frees the memory between two nodes."""

    def run(self, value):
        comfy.model_management.unload_all_models()
        return (value,)


class Wait(Each):
    """Until a file is there."""

    INPUT_TYPES = classmethod(lambda cls: {"required": {"value": (ANY,), "file": ("STRING", {})}})

    def run(self, value, file):
        wait_for(file)
        return (value,)


class Exhaust(Each):
    """Memory runs out inside of a network, so many times from now on."""

    INPUT_TYPES = classmethod(
        lambda cls: {"required": {"value": (ANY,), "network": ("STRING", {}), "times": ("INT", {})}}
    )

    def run(self, value, network, times):
        module = value
        for name in network.split("."):
            module = getattr(module, name)
        left = [times]

        def run_out(*_):
            left[0] -= 1
            if not left[0]:
                hook.remove()
            raise torch.cuda.OutOfMemoryError("Allocation on device 0 would exceed allowed memory.")

        hook = module.register_forward_pre_hook(run_out)
        return (value,)


def lora(model):
    key = "diffusion_model.input_blocks.1.1.proj_in.weight"
    weight = torch.full_like(model.model.state_dict()[key], 0.01)
    assert model.add_patches({key: ("diff", (weight,))}, 0.5)


PATCHES = {
    "attn1": lambda model: model.set_model_attn1_patch(lambda q, k, v, options: (0.8 * q, k, v)),
    "attn1 output": lambda model: model.set_model_attn1_output_patch(lambda h, options: 0.9 * h),
    "attn2": lambda model: model.set_model_attn2_patch(lambda q, k, v, options: (0.8 * q, k, v)),
    "wrapper": lambda model: model.set_model_unet_function_wrapper(
        lambda apply, inputs: 0.95 * apply(inputs["input"], inputs["timestep"], **inputs["c"])
    ),
    "lora": lora,
}


class Patch(Node):
    INPUT_TYPES = classmethod(lambda cls: {"required": {"model": ("MODEL",), "patch": ([*PATCHES],)}})
    RETURN_TYPES = ("MODEL",)

    def run(self, model, patch):
        model = model.clone()
        PATCHES[patch](model)
        return (model,)


NODE_CLASS_MAPPINGS = {f"Other{node.__name__}": node for node in (Each, Hold, Unload, Wait, Exhaust, Patch)}
