"""Numbers within their inputs' limits: ComfyUI checks neither what comes over a link nor NaN."""

import functools
import inspect
from numbers import Real

from comfy_api.latest import io


def keep_limits(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, refusing in a sentence what its schema does not allow."""
    execute = node.execute.__func__
    signature = inspect.signature(execute)
    numbers = functools.cache(lambda: _numbers(node))

    @functools.wraps(execute)
    def checked(cls, *positional, **named):
        given = signature.bind(cls, *positional, **named)
        for socket in numbers():
            if socket.id in given.arguments:
                given.arguments[socket.id] = _within(socket, given.arguments[socket.id])
        return execute(*given.args, **given.kwargs)

    node.execute = classmethod(checked)
    return node


def _numbers(node: type[io.ComfyNode]) -> list[io.Input]:
    return [
        socket for socket in node.define_schema().inputs if isinstance(socket, (io.Int.Input, io.Float.Input))
    ]


def _within(socket: io.Input, value: object) -> float:
    """The value as Python has it: other packs give NumPy's numbers, and 24.0 for 24."""
    whole = isinstance(socket, io.Int.Input)
    known = isinstance(value, Real) and socket.min <= value <= socket.max
    if not known or (whole and value != int(value)):
        kind = "a whole number" if whole else "a number"
        raise ValueError(f"{socket.id} is {value!r}; it must be {kind} from {socket.min} to {socket.max}.")
    return int(value) if whole else float(value)
