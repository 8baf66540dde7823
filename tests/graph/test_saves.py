"""The table of derivatives says of each op what torch itself answers when it is asked."""

from __future__ import annotations

import warnings
from functools import cache

import pytest
import torch

from gradprobe.capture.build import build
from gradprobe.graph.derivatives import DERIVATIVES, KEEP_NOTHING, THROUGH_VIEWS
from gradprobe.graph.saves import Need, bare, keeps_as_it_is, keeps_input, keeps_result, need, saves
from gradprobe.probe import Probe
from gradprobe.records.trace import Trace
from tests.graph.kept import CALLS, Call, kept, needed, needed_exactly, rebound, released

EACH = [pytest.param(call, id=f"{call.name}-{n}") for n, call in enumerate(CALLS)]
# Any change of the extreme element counts as another threshold.
_EXTREMES = ("amax", "amin", "max", "min", "median")
# The indices lie in memory of torch's own once the op has run.
_WRITTEN = ("mul_", "exp_", "__setitem__")


@cache
def traced(call: Call, wanted: int) -> tuple[Trace, int, list[int]]:
    """The call under a probe: its op, and its arguments' values."""
    arguments = call.arguments()
    probe = Probe(find_stages="none")
    with warnings.catch_warnings(), probe:
        warnings.simplefilter("ignore")
        arguments[wanted] = arguments[wanted].requires_grad_() * 1.0
        call.run(*arguments)
    trace = build(probe._recorder)
    ops = trace.ops
    op = next(
        n for n in reversed(range(len(ops))) if bare(ops.callee_of(n).name) == bare(call.name)
    )
    return trace, op, list(ops.inputs_of(op))


def _keys(call: Call) -> list[str]:
    written = call.name.endswith(_WRITTEN)  # the copy that was written has no name to write it by
    return [*(str(n) for n in range(len(call.shapes)) if n or not written), "r"]


def test_the_table_is_compared_with_torch_on_many_ops() -> None:
    asked = {bare(call.name) for call in CALLS}
    listed = {name.partition(":")[0] for name in (*DERIVATIVES, *KEEP_NOTHING)}
    assert len(asked) > 150
    assert asked <= listed
    assert listed >= THROUGH_VIEWS


@pytest.mark.parametrize("call", EACH)
def test_what_a_gradient_is_computed_from(call: Call) -> None:
    for wanted in call.wanted:
        trace, op, inputs = traced(call, wanted)
        said = {
            key: need(
                trace, op, inputs, inputs[wanted], inputs[int(key)] if key.isdigit() else None
            )
            for key in _keys(call)
        }
        assert Need.MAYBE not in said.values()
        exactly = {key for key, how in said.items() if how is Need.VALUE}
        at_all = {key for key, how in said.items() if how is not Need.NONE}
        of_torch = needed(call, wanted)
        if bare(call.name) not in _EXTREMES:
            assert exactly == needed_exactly(call, wanted)
        if bare(call.name) not in ("hardtanh", "hardsigmoid", "nan_to_num", "angle", "nanmean"):
            assert at_all == of_torch
        assert exactly <= of_torch <= at_all


@pytest.mark.parametrize("call", EACH)
def test_what_an_op_keeps(call: Call) -> None:
    for wanted in call.wanted:
        trace, op, inputs = traced(call, wanted)
        said = {
            key
            for key in _keys(call)
            if (
                keeps_input(trace, op, inputs, inputs[int(key)])
                if key.isdigit()
                else keeps_result(trace, op)
            )
        }
        assert said == kept(call, wanted)
        assert saves(trace, op) or not released(call, wanted)


@pytest.mark.parametrize("call", EACH)
def test_what_is_kept_through_a_view_does_not_follow_the_tensor(call: Call) -> None:
    for wanted in call.wanted:
        trace, op, _ = traced(call, wanted)
        if keeps_as_it_is(trace, op):
            exactly = needed_exactly(call, wanted) - {"r"}
            assert exactly <= rebound(call, wanted)


def test_an_op_that_is_not_listed_may_need_anything() -> None:
    call = Call("torch.special.zeta", lambda x, y: torch.special.entr(x), ((4,), (4,)))
    arguments = call.arguments()
    probe = Probe(find_stages="none")
    with probe:
        torch.special.entr(arguments[0].requires_grad_() * 1.0)
    trace = build(probe._recorder)
    op = len(trace.ops) - 1
    inputs = trace.ops.inputs_of(op)
    assert need(trace, op, inputs, inputs[0], inputs[0]) is Need.MAYBE
    assert keeps_result(trace, op) is None
    assert keeps_input(trace, op, inputs, inputs[0]) is None
    assert saves(trace, op)
