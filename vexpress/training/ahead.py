"""What the next steps need, drawn by a thread while a step is taken."""

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Generic, TypeVar

T = TypeVar("T")


class DrawnAhead(Generic[T]):
    """Calls `draw` for each step in turn, up to `ahead` steps before it is asked for; its errors come when asked.

    Left as a context, it draws no more.
    """

    def __init__(self, draw: Callable[[int], T], ahead: int, stop: int):
        """stop: the number of steps, beyond which nothing is drawn"""
        self.draw, self.ahead, self.stop = draw, ahead, stop
        self.thread = ThreadPoolExecutor(1)
        self.waiting: dict[int, Future[T]] = {}

    def take(self, step: int) -> T:
        for wanted in range(step, min(step + self.ahead, self.stop - 1) + 1):
            if wanted not in self.waiting:
                self.waiting[wanted] = self.thread.submit(self.draw, wanted)
        return self.waiting.pop(step).result()

    def __enter__(self) -> "DrawnAhead[T]":
        return self

    def __exit__(self, *_) -> None:
        self.thread.shutdown(cancel_futures=True)
