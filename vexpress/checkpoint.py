"""A half-denoised clip as plain tensors, to be kept in a file and taken up again."""

import itertools

import torch
from torch import Tensor

from .schedule import NoiseStream
from .wavefront import Band, Partial, Partials, Row


def clip_state(band: Band, noise: NoiseStream) -> dict[str, Tensor]:
    """A few MB, however long the clip; on the CPU."""
    tensors = {"windows": torch.tensor([row.window for row in band.rows])}
    for i, row in enumerate(band.rows):
        if row.stop > row.start:
            tensors[f"{i}.frames"] = torch.cat(row.frames)
        for call, partial in enumerate(row.partials):
            if partial.counts is not None:
                tensors[f"{i}.{call}.counts"] = partial.counts
                tensors[f"{i}.{call}.sums"] = torch.stack(partial.sums)
    tensors |= {"noise.generator": noise.generator.get_state(), "noise.spare": noise.spare}
    return {key: tensor.cpu().contiguous() for key, tensor in tensors.items()}


def restore_clip(band: Band, noise: NoiseStream, tensors: dict[str, Tensor]) -> None:
    """Bring a new band and a new stream of the same clip to where the saved ones were; ValueError if they never were."""
    starts = [*(span.start for span in band.windows), band.num_frames]
    windows = tensors["windows"].tolist()
    if len(windows) != len(band.rows) or not all(0 <= window < len(starts) for window in windows):
        raise ValueError(f"it is of {len(windows)} noise levels at the windows {windows[:3]}")
    rows = []
    for i, window in enumerate(windows):
        frames = [_checked(tensors[key], noise.shape) for key in (f"{i}.frames",) if key in tensors]
        rows.append(Row(tuple(frames), starts[window], window, _partials(i, tensors, noise.shape)))
    *_, last, finished = rows
    rows[-1] = Row(finished.frames, last.start - sum(map(len, finished.frames)))
    _check_continuity(band, rows)
    noise.generator.set_state(tensors["noise.generator"])
    noise.spare = _checked(tensors["noise.spare"], ())
    noise.left -= rows[0].stop * noise.numbers_per_frame
    band.rows[:] = rows


def _check_continuity(band: Band, rows: list[Row]) -> None:
    """What has left one noise level has come to the next."""
    noisy = {0, *(span.stop for span in band.windows)}
    broken = [after.stop != before.start for before, after in itertools.pairwise(rows)]
    if any(broken) or rows[0].stop not in noisy or rows[-1].start < 0:
        raise ValueError("its noise levels do not follow one another")


def _partials(row: int, tensors: dict[str, Tensor], shape: tuple[int, ...]) -> Partials:
    partials = []
    while (key := f"{row}.{len(partials)}.counts") in tensors:
        counts = _checked(tensors[key], (1, 1, 1))
        sums = tensors[key.replace("counts", "sums")].unbind()
        if not all(len(_checked(each, shape)) == len(counts) for each in sums):
            raise ValueError(f"its {key} are for other frames than the sums")
        partials.append(Partial(sums, counts))
    return tuple(partials)


def _checked(tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """(N, *shape)"""
    if tuple(tensor.shape[1:]) != tuple(shape) or tensor.dim() == 0 or not tensor.is_floating_point():
        raise ValueError(
            f"it holds {tensor.dtype} of {tuple(tensor.shape)} instead of (…, {', '.join(map(str, shape))})"
        )
    if not tensor.isfinite().all():
        raise ValueError("it holds NaN or infinite numbers")
    return tensor
