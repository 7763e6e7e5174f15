"""Which graphs `python dev.py pictures` runs for which pictures."""

import pytest
from pack.nodes import NODES
from pack.tools import pictures

OURS = [node.define_schema().node_id for node in NODES]


def test_without_names_every_workflow_is_run_and_every_node_is_in_one_graph():
    graphs = pictures.graphs_to_show([], OURS)
    assert {path.stem for path in pictures.WORKFLOWS.glob("*.json")} < set(graphs)
    assert sorted(node for nodes in graphs.values() for node in nodes) == sorted(OURS)


def test_the_graph_of_what_no_workflow_holds_has_it():
    held = {node["class_type"] for node in pictures.WITHOUT_A_WORKFLOW.values()}
    assert set(pictures.graphs_to_show([], OURS)[pictures.NODES]) <= held


def test_for_the_picture_of_a_node_only_its_graph_is_run():
    graphs = pictures.graphs_to_show(["VExpressIdleMotion"], OURS)
    assert graphs == {"idle_motion": ["VExpressIdleMotion"]}


def test_a_name_of_nothing_is_refused():
    with pytest.raises(ValueError, match="no workflow and no node called nothing"):
        pictures.graphs_to_show(["talking", "nothing"], OURS)
