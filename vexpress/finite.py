"""Numbers that go wrong are stopped where they first appear, before they become a black video hours later."""

from torch import Tensor


def require_finite(values: Tensor, said: str) -> None:
    """Raise `said` where any value is NaN or infinite; on a GPU this waits for the values."""
    if not values.isfinite().all():
        raise FloatingPointError(said)


def named(frames: range) -> str:
    """Frames as an error names them: "frame 3", "frames 20 to 43"."""
    if len(frames) == 1:
        return f"frame {frames[0]}"
    return f"frames {frames[0]} to {frames[-1]}"
