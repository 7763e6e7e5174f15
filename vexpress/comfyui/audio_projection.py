"""The audio projection under ComfyUI's model management."""

import os

import comfy.model_management
import comfy.model_patcher
import comfy.ops
import torch
from torch import Tensor

from ..keys import check_sizes, load_weights
from ..model import audio_projection as model
from .loader import load_part

FRAMES_AT_ONCE = 256


class AudioProjection:
    """What the type VEXPRESS_AUDIO_PROJECTION carries."""

    def __init__(self, state_dict: dict[str, Tensor], source: str):
        """
        source: file name, for the error that names weights which do not fit
        """
        check_sizes(lambda: self._network(state_dict, None), state_dict, source)
        load_device = comfy.model_management.get_torch_device()
        offload_device = comfy.model_management.unet_offload_device()
        network = self._network(state_dict, offload_device)
        self.config = network.config
        load_weights(network, state_dict, source)
        self.patcher = comfy.model_patcher.CoreModelPatcher(network.eval(), load_device, offload_device)

    @staticmethod
    def _network(state_dict: dict[str, Tensor], device: torch.device | None) -> model.AudioProjection:
        config = model.AudioProjectionConfig.of(state_dict)
        layers = dict(dtype=torch.float32, device=device, operations=comfy.ops.manual_cast)
        return model.AudioProjection(config, **layers)

    def encode(self, features: Tensor) -> Tensor:
        """
        features: (F, 10, A) audio features around each frame, overlapping in memory until a batch of them is copied
        returns:  (F, 5, A)  audio tokens, float32 on the CPU
        """
        comfy.model_management.load_model_gpu(self.patcher)
        where = self.patcher.load_device, torch.float32
        batches = features.split(FRAMES_AT_ONCE)
        return torch.cat([self.patcher.model(batch.to(*where)).cpu() for batch in batches])


def load_audio_projection(path: str) -> AudioProjection:
    return AudioProjection(load_part(path, "audio_projection"), os.path.basename(path))
