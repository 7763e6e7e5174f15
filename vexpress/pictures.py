"""What ComfyUI's IMAGE may hold, and what this pack takes of it."""

from numpy import ndarray
from torch import Tensor


def rgb(images: Tensor, what: str) -> Tensor:
    """
    Alpha is left out, grey spread to three channels; `what` is the input to name.

    images: (F, H, W, C); returns (F, H, W, 3)
    """
    if images.dim() != 4 or not images.numel():
        raise ValueError(
            f"{what} has the shape {tuple(images.shape)}: pictures are (F, H, W, C), and none is empty."
        )
    for number, image in enumerate(images):
        if not image.isfinite().all():
            raise ValueError(
                f"{what} holds NaN or infinite numbers in picture {number}, which would be black: decode with "
                "sd-vae-ft-mse, or start ComfyUI with --fp32-vae."
            )
    return images[..., :3] if images.shape[-1] >= 3 else images[..., :1].expand(-1, -1, -1, 3)


def as_bytes(image: Tensor) -> ndarray:
    """(H, W, 3) 0..1, as uint8"""
    return (image.float() * 255).round().clamp(0, 255).byte().cpu().numpy()
