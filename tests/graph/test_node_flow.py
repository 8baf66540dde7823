"""Where gradients turn, in graphs of nodes written by hand."""

from __future__ import annotations

import math
from collections.abc import Sequence

from gradprobe.graph.node_flow import NodeFlow, Turn
from gradprobe.records.numerics import NOWHERE, NodeNumbers, NodeRun, leaf_target

LEAF = 7
END = leaf_target(LEAF)


def node(name: str, order: int, came: float | None, *edges: tuple[int, float | None]) -> NodeRun:
    """A node with its targets and what it gave to each."""
    return NodeRun(
        name=name,
        op=order,
        targets=tuple(target for target, _ in edges),
        order=order,
        came=came,
        went=tuple(went for _, went in edges),
        dtypes=("float32",) * len(edges),
    )


def flow_of(*nodes: NodeRun) -> NodeFlow:
    return NodeFlow(NodeNumbers(nodes), [LEAF])


def names(turns: Sequence[Turn]) -> list[str]:
    return [turn.node.name for turn in turns]


def test_inf_is_born_once_and_what_it_makes_of_others_is_no_birth() -> None:
    flow = flow_of(
        node("mean", 0, 1.0, (1, 0.5)),
        node("sqrt", 1, 0.5, (2, math.inf)),
        node("pow", 2, math.inf, (3, math.nan)),
        node("mul", 3, math.nan, (END, math.nan)),
    )
    assert names(flow.births()) == ["sqrt"]
    assert flow.ends() == []


def test_what_leads_to_another_leaf_does_not_count() -> None:
    other = leaf_target(LEAF + 1)
    flow = flow_of(
        node("add", 0, 1.0, (1, 1.0), (2, 1.0)),
        node("log", 1, 1.0, (other, math.inf)),
        node("mul", 2, 1.0, (END, 2.0), (other, 0.0)),
    )
    assert flow.births() == []
    assert flow.ends() == []


def test_a_gradient_ends_where_nothing_else_came() -> None:
    flow = flow_of(
        node("add", 0, 1.0, (1, 1.0), (2, 1.0)),
        node("clamp", 1, 1.0, (3, 0.0)),
        node("mul", 2, 1.0, (4, 0.0)),
        node("conv", 3, 0.0, (END, 0.0)),
        node("tanh", 4, 0.0, (END, 0.0)),
    )
    assert names(flow.ends()) == ["clamp", "mul"]


def test_a_zero_beside_a_live_way_is_no_end() -> None:
    flow = flow_of(
        node("add", 0, 1.0, (1, 1.0), (2, 1.0)),
        node("mul", 1, 1.0, (3, 0.0)),
        node("sub", 2, 1.0, (3, 1.0)),
        node("scale", 3, 1.0, (END, 80.0)),
    )
    assert flow.ends() == []


def test_what_was_given_and_came_as_zero_was_lost_between() -> None:
    flow = flow_of(
        node("add", 0, 1.0, (1, 2.0)),
        node("mul", 1, 0.0, (END, 0.0)),
    )
    assert names(flow.lost_between()) == ["add"]
    assert flow.ends() == []


def test_a_node_that_did_not_run_or_leads_nowhere_is_left_alone() -> None:
    flow = flow_of(
        node("add", 0, 1.0, (1, 1.0), (NOWHERE, None)),
        node("mul", -1, None, (END, None)),
    )
    assert flow.births() == []
    assert flow.ends() == []
    assert flow.lost_between() == []
