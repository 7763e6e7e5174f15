"""ComfyUI's modules for the tools that need them."""

import os
import sys


def import_comfyui(cpu: bool = True) -> None:
    """Make them importable, from where dev.py has ComfyUI, and as it would start with these flags."""
    sys.path.insert(0, os.environ["COMFYUI_PATH"])
    from comfy.cli_args import args

    args.cpu = cpu
    args.use_pytorch_cross_attention = True  # the one that has gradients, and is fast
