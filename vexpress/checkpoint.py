"""A half-denoised clip as plain tensors, to be kept in a file and taken up again."""

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
    """Bring a new band and a new stream of the same clip to where the saved ones were."""
    starts = [*(span.start for span in band.windows), band.num_frames]
    for i, window in enumerate(tensors["windows"].tolist()):
        frames = [tensors[key] for key in (f"{i}.frames",) if key in tensors]
        band.rows[i] = Row(tuple(frames), starts[window], window, _partials(i, tensors))
    *_, last, finished = band.rows
    band.rows[-1] = Row(finished.frames, last.start - sum(map(len, finished.frames)))
    noise.generator.set_state(tensors["noise.generator"])
    noise.spare = tensors["noise.spare"]
    noise.left -= band.rows[0].stop * noise.numbers_per_frame


def _partials(row: int, tensors: dict[str, Tensor]) -> Partials:
    partials = []
    while (key := f"{row}.{len(partials)}.counts") in tensors:
        sums = tensors[key.replace("counts", "sums")].unbind()
        partials.append(Partial(sums, tensors[key]))
    return tuple(partials)
