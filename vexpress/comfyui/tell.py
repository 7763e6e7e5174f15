"""What a node says while it runs."""

import logging
import time
from collections import defaultdict
from typing import NamedTuple

from comfy_execution.progress import get_progress_state
from comfy_execution.utils import ExecutionContext, get_executing_context

from ..estimate import in_words

EVERY = 1.0  # seconds between two words on how far a job has come; a shorter job says nothing

_warned: dict[ExecutionContext, list[str]] = defaultdict(list)  # by the node that runs


class Viewer(NamedTuple):
    """
    Whoever has queued the job and looks at it.

    node:   the id of the node that runs
    shown:  of the one on the canvas, which may have been replaced by others
    client: of the browser
    """

    server: object
    job: str
    node: str
    shown: str
    client: str


def viewer() -> Viewer | None:
    from server import PromptServer  # of ComfyUI, once it runs

    context, server = get_executing_context(), getattr(PromptServer, "instance", None)
    if context is None or getattr(server, "client_id", None) not in getattr(server, "sockets", ()):
        return None
    shown = get_progress_state().dynprompt.get_display_node_id(context.node_id)
    return Viewer(server, context.prompt_id, context.node_id, shown, server.client_id)


def tell(text: str) -> None:
    """Write a line on the node that is running, above what it was warned of, if a user looks at it."""
    if user := viewer():
        said = "\n".join([text, *_warned.get(get_executing_context(), ())]).strip()
        user.server.send_progress_text(said, user.shown, user.client)


def warn(text: str) -> None:
    """What a user should know of this job: in the log, and on the node."""
    logging.warning("V-Express: %s", text)
    if context := get_executing_context():
        if context not in _warned:  # the nodes before this one are done
            _warned.clear()
        _warned[context].append(f"⚠ {text}")
        tell("")


class Countdown:
    """What is done of a long job, and how long the rest will take."""

    def __init__(self, in_all: int, before: int = 0):
        """before: what was done of it before it began"""
        self.in_all, self.before = in_all, before
        self.started = self.told = time.monotonic()

    def words(self, done: int, text: str) -> str:
        took = time.monotonic() - self.started
        if done >= self.in_all:
            return f"{text} in {in_words(took)}."
        return f"{text}, about {in_words(took / (done - self.before) * (self.in_all - done))} left."

    def tell(self, done: int, text: str) -> None:
        """Now and then, and at the end of a job that has said something."""
        now = time.monotonic()
        if now - self.told > EVERY or (done == self.in_all and self.told > self.started):
            tell(self.words(done, text))
            self.told = now
