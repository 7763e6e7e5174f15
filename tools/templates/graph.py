"""A workflow said in Python, in the order it is read, and what of it ComfyUI's frontend would save as a file."""

import math
import re
import uuid
from dataclasses import dataclass
from typing import NamedTuple

from .schema import Schema, Socket, Widget, schema_of

PADDING, GROUP_GAP, NODE_GAP = 20, 20, 60
GROUP_TOP, NODE_TITLE = 50, 30
OUTSIDE_IN, OUTSIDE_OUT = -10, -20  # the two ends of a subgraph, as nodes
NOTE = {"color": "#432", "bgcolor": "#653"}
CHARACTERS, LINE, PARAGRAPH = 60, 13, 12  # of a note: in a line, and heights


class Output(NamedTuple):
    node: int
    slot: int
    kind: str


class Link(NamedTuple):
    number: int
    source: Output
    target: int
    slot: int


@dataclass
class Node:
    number: int
    schema: Schema
    title: str | None
    properties: dict
    looks: dict
    height: int

    def __getitem__(self, output: str) -> Output:
        slot = [socket.name for socket in self.schema.outputs].index(output)
        return Output(self.number, slot, self.schema.outputs[slot].kind)


class Group(NamedTuple):
    """A frame around nodes, one below the other; notes stand below it."""

    title: str
    colour: str
    nodes: list[Node]
    notes: list[Node]

    @property
    def height(self) -> int:
        heights = [node.height for node in self.nodes]
        return GROUP_TOP + NODE_TITLE + sum(heights) + NODE_GAP * (len(heights) - 1) + PADDING


class Graph:
    """
    Nodes are added to the group begun last; groups stand side by side, or in lanes one below the other.

    described: what /object_info says, by node
    first:     number of the first node; those of a subgraph and of what it is in must differ
    about:     what a subgraph is for
    """

    def __init__(self, name: str, described: dict, first: int = 1, about: str = ""):
        self.name, self.described, self.first, self.about = name, described, first, about
        self.id = str(uuid.uuid5(uuid.NAMESPACE_URL, f"v-express/{name}"))
        self.nodes: list[Node] = []
        self.links: list[Link] = []
        self.lanes: list[list[Group | None]] = [[]]
        self.inputs: list[Socket] = []
        self.outputs: list[Socket] = []
        self.subgraphs: list[Graph] = []

    @property
    def groups(self) -> list[Group]:
        return [group for lane in self.lanes for group in lane if group]

    def group(self, title: str, colour: str) -> None:
        self.lanes[-1].append(Group(f"{len(self.groups) + 1} · {title}", colour, [], []))

    def lane(self, skip: int) -> None:
        """The next groups stand below the others, from that column on."""
        self.lanes.append([None] * skip)

    def add(self, name: str, title: str | None = None, models: tuple = (), **inputs) -> Node:
        """inputs: values of widgets; outputs to link; a node to link its first output"""
        outputs = {key: _output(value) for key, value in inputs.items() if isinstance(value, Node | Output)}
        values = {key: value for key, value in inputs.items() if key not in outputs}
        schema = schema_of(name, self.described[name], values)
        if unknown := set(inputs) - {entry.name for entry in schema.inputs}:
            raise ValueError(f"{name} has no input {', '.join(sorted(unknown))}.")
        node = self._append(schema, title, {"models": [m._asdict() for m in models]} if models else {})
        self.lanes[-1][-1].nodes.append(node)
        for slot, entry in enumerate(schema.inputs):
            if entry.name in outputs:
                self._link(outputs[entry.name], node.number, slot)
        return node

    def note(self, title: str, text: str) -> None:
        schema = Schema("MarkdownNote", [], [Widget("text", "STRING", text)], [])
        height = math.ceil(_text_height(text) / 10) * 10
        self.lanes[-1][-1].notes.append(self._append(schema, title, {}, NOTE, height))

    def subgraph(self, inside: "Graph", **inputs) -> Node:
        """Another graph as one node."""
        self.subgraphs.append(inside)
        self.described = self.described | {inside.id: inside.as_a_node()}
        return self.add(inside.id, inside.name, **inputs)

    def input(self, name: str, kind: str) -> Output:
        """Of a subgraph, to be linked; a widget that it is linked to appears on the subgraph's node."""
        self.inputs.append(Socket(name, kind))
        return Output(OUTSIDE_IN, len(self.inputs) - 1, kind)

    def output(self, name: str, value: Node | Output) -> None:
        self.outputs.append(Socket(name, _output(value).kind))
        self._link(_output(value), OUTSIDE_OUT, len(self.outputs) - 1)

    def as_a_node(self) -> dict:
        """A subgraph as /object_info would describe it."""
        inputs = {}
        for slot, (name, kind, _) in enumerate(self.inputs):
            link = next(link for link in self.links if link.source[:2] == (OUTSIDE_IN, slot))
            entry = self._node(link.target).schema.inputs[link.slot]
            inputs[name] = [kind, {"default": entry.value} if isinstance(entry, Widget) else {}]
        outputs = {"output": [o.kind for o in self.outputs], "output_name": [o.name for o in self.outputs]}
        return {"input": {"required": inputs}, **outputs}

    def _append(self, schema, title, properties, looks: dict | None = None, height: int = 0) -> Node:
        number = self.first + len(self.nodes)
        self.nodes.append(Node(number, schema, title, properties, looks or {}, height or schema.height))
        return self.nodes[-1]

    def _link(self, source: Output, target: int, slot: int) -> None:
        self.links.append(Link(len(self.links) + 1, source, target, slot))

    def _node(self, number: int) -> Node:
        return self.nodes[number - self.first]


def _output(value: Node | Output) -> Output:
    return value if isinstance(value, Output) else value[value.schema.outputs[0].name]


def _text_height(text: str) -> int:
    shown = re.sub(r"\]\([^)]*\)|[*`]", "", text).strip()
    lines = sum(math.ceil(len(line) / CHARACTERS) for line in shown.splitlines())
    return 40 + LINE * lines + PARAGRAPH * (shown.count("\n\n") + 1)
