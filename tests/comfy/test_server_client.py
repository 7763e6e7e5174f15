"""What a client of the server, the demo for one, is told while a workflow runs and when it cannot."""

import pytest
from pack.tools.server import ComfyError


def empty_image(width: int, height: int) -> dict:
    return {
        "class_type": "EmptyImage",
        "inputs": {"width": width, "height": height, "batch_size": 1, "color": 0},
    }


def preview_of(node_id: str) -> dict:
    return {"class_type": "PreviewImage", "inputs": {"images": [node_id, 0]}}


def test_a_refused_workflow_names_node_and_value(server):
    prompt = {"1": {"class_type": "LoadImage", "inputs": {"image": "nobody.png"}}, "2": preview_of("1")}
    with pytest.raises(ComfyError, match=r"refused .*node 1 \(LoadImage\).*nobody\.png"):
        server.run(prompt)


def test_a_failing_node_is_named_with_its_message(server):
    kps = {"file": "v-express_portrait_kps.json", "width": 512, "height": 512, "fps": 30.0}
    prompt = {
        "1": empty_image(64, 32),
        "2": {"class_type": "VExpressLoadKps", "inputs": kps},
        "3": {"class_type": "VExpressDrawKps", "inputs": {"kps": ["2", 0], "background": ["1", 0]}},
    }
    with pytest.raises(ComfyError, match=r"Node 3 \(VExpressDrawKps\) failed: .*64x32"):
        server.run(prompt)


def test_progress_tells_which_node_has_finished(server):
    seen = []
    server.run({"1": empty_image(48, 64), "2": preview_of("1")}, seen.extend)
    assert {node.node_id for node in seen if node.state == "finished"} == {"1", "2"}


def test_the_memory_of_the_server_is_known(server):
    assert 1e8 < server.peak_memory() < 1e12
