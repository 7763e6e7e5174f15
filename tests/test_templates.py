"""The source of the workflows, on nodes small enough to check by hand."""

import json

import pytest
from pack.tools.templates.file import workflow
from pack.tools.templates.graph import Graph

DESCRIBED = {
    "Picture": {"input": {}, "output": ["IMAGE", "MASK"], "output_name": ["image", "mask"]},
    "Blur": {
        "input": {
            "required": {
                "radius": ["INT", {"default": 3}],
                "image": ["IMAGE"],
                "seed": ["INT", {"default": 42, "control_after_generate": True}],
            },
            "optional": {"edge": [["mirror", "black"]], "mask": ["MASK", {}]},
        },
        "output": ["IMAGE"],
        "output_name": ["image"],
    },
    "Save": {
        "input": {
            "required": {
                "codec": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {}},
                            {"key": "h264", "inputs": {"required": {"crf": ["INT", {"default": 23}]}}},
                        ]
                    },
                ]
            }
        },
        "output": [],
        "output_name": [],
    },
}


def graph() -> Graph:
    g = Graph("test", DESCRIBED)
    g.group("First", "#fff")
    return g


def read(g: Graph) -> dict:
    return json.loads(workflow(g))


def test_sockets_come_before_widgets_and_links_count_in_that_order():
    g = graph()
    g.add("Blur", image=g.add("Picture"), edge="black", mask=g.add("Picture")["mask"])
    seen = read(g)
    blur = seen["nodes"][2]
    assert [entry["name"] for entry in blur["inputs"]] == ["image", "mask", "radius", "seed", "edge"]
    assert seen["links"] == [[1, 1, 0, 3, 0, "IMAGE"], [2, 2, 1, 3, 1, "MASK"]]
    assert blur["widgets_values"] == [3, 42, "fixed", "black"]


def test_a_choice_brings_the_widgets_of_its_branch():
    g = graph()
    g.add("Save")
    g.add("Save", codec="h264")
    auto, h264 = read(g)["nodes"]
    assert auto["widgets_values"] == ["auto"]
    assert h264["widgets_values"] == ["h264", 23]
    assert [entry["name"] for entry in h264["inputs"]] == ["codec", "codec.crf"]


def test_an_input_that_a_node_lacks_is_an_error():
    with pytest.raises(ValueError, match="Blur has no input colour, size"):
        graph().add("Blur", radius=1, size=2, colour=3)


def test_a_lane_stands_below_the_groups_of_its_own_columns():
    g = graph()
    for _ in range(9):
        g.add("Picture")
    g.group("Second", "#fff")
    g.add("Picture")
    g.lane(skip=1)
    g.group("Third", "#fff")
    g.add("Picture")
    first, second, third = (group["bounding"] for group in read(g)["groups"])
    assert third[0] == second[0] > first[0]
    assert second[1] + second[3] < third[1] < first[1] + first[3]


def test_a_widget_linked_from_outside_shows_on_the_node_of_a_subgraph():
    inside = Graph("Soft", DESCRIBED, first=101)
    image, softness = inside.input("image", "IMAGE"), inside.input("softness", "INT")
    inside.group("Inside", "#fff")
    inside.output("soft", inside.add("Blur", image=image, radius=softness))
    g = graph()
    g.subgraph(inside, image=g.add("Picture"))
    node = read(g)["nodes"][1]
    assert [(entry["name"], "widget" in entry) for entry in node["inputs"]] == [
        ("image", False),
        ("softness", True),
    ]
    assert node["widgets_values"] == [3]
