"""Numbers within their inputs' limits: ComfyUI checks neither what comes over a link nor NaN."""

import functools
import inspect

from comfy_api.latest import io


def keep_limits(node: type[io.ComfyNode]) -> type[io.ComfyNode]:
    """The node, refusing in a sentence what its schema does not allow."""
    execute = node.execute.__func__
    signature = inspect.signature(execute)
    numbers = functools.cache(lambda: _numbers(node))

    @functools.wraps(execute)
    def checked(cls, *positional, **named):
        given = signature.bind(cls, *positional, **named).arguments
        for socket in numbers():
            if socket.id in given:
                _check(socket, given[socket.id])
        return execute(cls, *positional, **named)

    node.execute = classmethod(checked)
    return node


def _numbers(node: type[io.ComfyNode]) -> list[io.Input]:
    return [
        socket for socket in node.define_schema().inputs if isinstance(socket, (io.Int.Input, io.Float.Input))
    ]


def _check(socket: io.Input, value: object) -> None:
    kind = int if isinstance(socket, io.Int.Input) else (int, float)
    if not isinstance(value, kind) or not socket.min <= value <= socket.max:
        raise ValueError(f"{socket.id} is {value!r}; it must be a number from {socket.min} to {socket.max}.")
