"""What the frontend makes of a node's description on /object_info: sockets, widgets in their order, and a size."""

from collections.abc import Iterator
from typing import NamedTuple

WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3")
WIDTH = 320
SLOT, WIDGET = 20, 24  # the height of a row in the frontend
PREVIEWS = {  # the height of what nodes show below their widgets
    "LoadImage": 224,
    "LoadAudio": 34,
    "LoadVideo": 304,
    "SaveVideo": 390,
    "VExpressCropFace": 300,
    "VExpressEncodeAudio": 232,
    "VExpressSampler": 240,
    "KSampler": 240,
    "SamplerCustomAdvanced": 240,
    "VExpressRender": 280,
    "VExpressPasteFace": 40,
    "VExpressKpsFromLandmarks": 220,
    "VExpressIdleMotion": 220,
    "VExpressRetargetKps": 200,
    "VExpressLoadKps": 220,
    "VExpressEvaluate": 320,
}


class Socket(NamedTuple):
    name: str
    kind: str
    optional: bool = False


class Widget(NamedTuple):
    """hidden: values that the file keeps after this one, of rows that are no inputs"""

    name: str
    kind: str
    value: object
    optional: bool = False
    hidden: tuple = ()


class Schema(NamedTuple):
    name: str
    sockets: list[Socket]
    widgets: list[Widget]
    outputs: list[Socket]

    @property
    def inputs(self) -> list[Socket | Widget]:
        """In the order of the file, which links count in."""
        return [*self.sockets, *self.widgets]

    @property
    def height(self) -> int:
        slots = max(len(self.sockets), len(self.outputs))
        rows = sum(1 + len(widget.hidden) for widget in self.widgets)
        return SLOT * slots + WIDGET * rows + (14 if rows else 6) + PREVIEWS.get(self.name, 0)


def schema_of(name: str, described: dict, chosen: dict) -> Schema:
    """chosen: values of widgets; the others get the defaults they have in the description."""
    sockets, widgets = [], []
    for entry in _entries(described["input"], chosen):
        (widgets if isinstance(entry, Widget) else sockets).append(entry)
    outputs = [Socket(*pair) for pair in zip(described["output_name"], described["output"], strict=True)]
    return Schema(name, sockets, widgets, outputs)


def _entries(inputs: dict, chosen: dict, prefix: str = "") -> Iterator[Socket | Widget]:
    for needed in ("required", "optional"):
        for name, described in inputs.get(needed, {}).items():
            kind, options = described[0], dict(*described[1:2])
            if isinstance(kind, list):  # as older nodes list what can be chosen
                kind, options = "COMBO", options | {"options": kind}
            optional = needed == "optional" or bool(prefix)
            if kind not in WIDGETS or options.get("forceInput"):
                yield Socket(prefix + name, kind, optional)
            else:
                yield from _widgets(prefix + name, kind, options, optional, chosen)


def _widgets(name: str, kind: str, options: dict, optional: bool, chosen: dict) -> Iterator[Widget]:
    value = chosen.get(name, options.get("default", _first(options)))
    yield Widget(name, kind, value, optional, ("fixed",) if options.get("control_after_generate") else ())
    if options.get("image_upload") or options.get("video_upload"):
        yield Widget("upload", "IMAGEUPLOAD", "image")
    if options.get("audio_upload"):
        yield Widget("audioUI", "AUDIO_UI", None)
        yield Widget("upload", "AUDIOUPLOAD", "")
    if kind == "COMFY_DYNAMICCOMBO_V3":
        (branch,) = (option for option in options["options"] if option["key"] == value)
        yield from _entries(branch["inputs"], chosen, f"{name}.")


def _first(options: dict) -> object:
    first = next(iter(options.get("options") or [0]))
    return first["key"] if isinstance(first, dict) else first
