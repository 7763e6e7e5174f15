"""The JSON of a graph: where its parts stand, and how the frontend writes them."""

import json
import uuid

from .graph import (
    GROUP_GAP,
    GROUP_TOP,
    NODE_GAP,
    NODE_TITLE,
    OUTSIDE_IN,
    OUTSIDE_OUT,
    PADDING,
    Graph,
    Group,
    Node,
)
from .schema import SLOT, WIDTH, Socket, Widget

COLUMN = WIDTH + 2 * PADDING + GROUP_GAP
OPTIONAL = {"shape": 7}  # a socket that is drawn hollow
VIEW = {"ds": {"scale": 0.75, "offset": [60, 90]}}


def workflow(graph: Graph) -> str:
    places = _places(graph)
    parts = {
        "id": graph.id,
        "revision": 0,
        "last_node_id": max(inside.nodes[-1].number for inside in (graph, *graph.subgraphs)),
        "last_link_id": len(graph.links),
        "nodes": [_node(graph, node, places[node.number]) for node in graph.nodes],
        "links": [
            [link.number, link.source.node, link.source.slot, link.target, link.slot, link.source.kind]
            for link in graph.links
        ],
        "groups": _groups(graph),
        "config": {},
        "extra": VIEW,
        "version": 0.4,
    }
    if graph.subgraphs:
        parts["definitions"] = {"subgraphs": [_definition(inside) for inside in graph.subgraphs]}
    return _text(parts) + "\n"


def blueprint(inside: Graph) -> str:
    """A subgraph that ComfyUI offers among its nodes: its node alone, and what is in it."""
    alone = Graph(inside.name, {})
    alone.group("", "")
    alone.subgraph(inside)
    (node,) = alone.nodes
    parts = {
        "revision": 0,
        "last_node_id": inside.nodes[-1].number,
        "last_link_id": 0,
        "nodes": [_node(alone, node, (0, 0))],
        "links": [],
        "version": 0.4,
        "definitions": {"subgraphs": [_definition(inside)]},
        "extra": {},
    }
    return _text(parts) + "\n"


def _places(graph: Graph) -> dict[int, tuple[int, int]]:
    places = {}
    for group, left, top in _corners(graph):
        y = top + GROUP_TOP + NODE_TITLE
        for node in group.nodes:
            places[node.number] = (left + PADDING, y)
            y += node.height + NODE_GAP
        y = top + group.height + NODE_TITLE + GROUP_GAP
        for note in group.notes:
            places[note.number] = (left, y)
            y += note.height + NODE_GAP
    return places


def _corners(graph: Graph) -> list[tuple[Group, int, int]]:
    corners, bottoms = [], {}
    for lane in graph.lanes:
        columns = [(group, column) for column, group in enumerate(lane) if group]
        top = max(bottoms.get(column, 0) for _, column in columns)
        corners += [(group, COLUMN * column, top) for group, column in columns]
        bottoms |= {column: top + group.height + 2 * GROUP_GAP for group, column in columns}
    return corners


def _groups(graph: Graph) -> list[dict]:
    return [
        {
            "id": number,
            "title": group.title,
            "bounding": [left, top, COLUMN - GROUP_GAP, group.height],
            "color": group.colour,
            "flags": {},
        }
        for number, (group, left, top) in enumerate(_corners(graph), start=1)
    ]


def _node(graph: Graph, node: Node, place: tuple[int, int]) -> dict:
    schema = node.schema
    note = schema.name == "MarkdownNote"
    own = note or schema.name in {inside.id for inside in graph.subgraphs}
    named = {} if own else {"Node name for S&R": schema.name}
    result = {
        "id": node.number,
        "type": schema.name,
        "pos": list(place),
        "size": [COLUMN - GROUP_GAP if note else WIDTH, node.height],
        "flags": {},
        "order": node.number - graph.first,
        "mode": 0,
        "inputs": [] if note else [_input(graph, node, slot) for slot in range(len(schema.inputs))],
        "outputs": [
            {"name": name, "type": kind, "links": _links_from(graph, node.number, slot)}
            for slot, (name, kind, _) in enumerate(schema.outputs)
        ],
    }
    if node.title:
        result["title"] = node.title
    result |= {"properties": named | node.properties}
    values = [value for widget in schema.widgets for value in (widget.value, *widget.hidden)]
    return result | ({"widgets_values": values} if values else {}) | node.looks


def _input(graph: Graph, node: Node, slot: int) -> dict:
    entry = node.schema.inputs[slot]
    shape = OPTIONAL if entry.optional else {}
    widget = {"widget": {"name": entry.name}} if isinstance(entry, Widget) else {}
    link = next(
        (link.number for link in graph.links if (link.target, link.slot) == (node.number, slot)), None
    )
    return {"name": entry.name, **shape, "type": entry.kind, **widget, "link": link}


def _links_from(graph: Graph, number: int, slot: int) -> list[int] | None:
    return [link.number for link in graph.links if link.source[:2] == (number, slot)] or None


def _definition(graph: Graph) -> dict:
    places = _places(graph)
    width = COLUMN * max(map(len, graph.lanes))
    left, right = -200, width + 40
    return {
        "id": graph.id,
        "version": 1,
        "state": {
            "lastGroupId": len(graph.groups),
            "lastNodeId": graph.nodes[-1].number,
            "lastLinkId": len(graph.links),
            "lastRerouteId": 0,
        },
        "revision": 0,
        "config": {},
        "name": graph.name,
        "inputNode": _end(OUTSIDE_IN, left, graph.inputs),
        "outputNode": _end(OUTSIDE_OUT, right, graph.outputs),
        "inputs": [_edge(graph, "in", slot, left) for slot in range(len(graph.inputs))],
        "outputs": [_edge(graph, "out", slot, right) for slot in range(len(graph.outputs))],
        "widgets": [],
        "nodes": [_node(graph, node, places[node.number]) for node in graph.nodes],
        "groups": _groups(graph),
        "links": [
            {
                "id": link.number,
                "origin_id": link.source.node,
                "origin_slot": link.source.slot,
                "target_id": link.target,
                "target_slot": link.slot,
                "type": link.source.kind,
            }
            for link in graph.links
        ],
        "extra": {},
        "category": "V-Express",
        "description": graph.about,
    }


def _end(number: int, left: int, edges: list[Socket]) -> dict:
    return {"id": number, "bounding": [left, GROUP_TOP, 140, 40 + SLOT * len(edges)]}


def _edge(graph: Graph, side: str, slot: int, left: int) -> dict:
    name, kind, _ = (graph.inputs if side == "in" else graph.outputs)[slot]
    if side == "in":
        links = _links_from(graph, OUTSIDE_IN, slot)
    else:
        links = [link.number for link in graph.links if (link.target, link.slot) == (OUTSIDE_OUT, slot)]
    number = str(uuid.uuid5(uuid.UUID(graph.id), f"{side}/{name}"))
    return {
        "id": number,
        "name": name,
        "type": kind,
        "linkIds": links,
        "pos": [left, GROUP_TOP + 20 + SLOT * slot],
    }


def _text(value: object, margin: str = "") -> str:
    """JSON with one line for each node, link and group, so that a change shows as one."""
    inner = margin + "  "
    if isinstance(value, dict) and {"nodes", "subgraphs"} & value.keys():
        rows, ends = [f"{json.dumps(key)}: {_text(item, inner)}" for key, item in value.items()], "{}"
    elif isinstance(value, list) and any(isinstance(item, dict | list) for item in value):
        rows, ends = [_text(item, inner) for item in value], "[]"
    else:
        return json.dumps(value, ensure_ascii=False)
    lines = ",\n".join(inner + row for row in rows)
    return f"{ends[0]}\n{lines}\n{margin}{ends[1]}"
