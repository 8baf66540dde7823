"""A tensor that autograd had kept for backward was changed, and no version counter saw it.

Many ops keep what they took or gave, because their derivative needs it: `exp`, `tanh` and `sigmoid`
keep their result, a product and a convolution their inputs. Torch notices a later write by the
tensor's version counter. `x.data` has a counter of its own, and memory shared with numpy or through
DLPack has none: what is written there changes `x`, and torch is none the wiser. Backward runs, a
gradient arrives, and it is computed from the new values: it is wrong, and nothing says so.

The usual writes are a clamp of `x.data` in a hook or a callback of the sampler, `p.data.copy_()`
that swaps averaged weights in or out between a forward and its backward, and weights that are
clipped there. A write that leaves every element as it was is none of these, nor is one before the
op that keeps the tensor or after backward.

Write to a new tensor (`x = x.clamp(-1, 1)`), or do the update after backward. Under
`torch.no_grad()` in place of `.data` torch counts the write, and says when it spoils a gradient.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from gradprobe.diagnose.rule import Draft
from gradprobe.graph.saves import Need, bare
from gradprobe.graph.uncounted import Uncounted, through_data, uncounted
from gradprobe.graph.view import View
from gradprobe.records.op import Kind
from gradprobe.records.source import Frame, Related
from gradprobe.records.tensor import LEAF, PARAMETER

CODE = "GP202"
NAME = "silent-overwrite"

BREAKS = """
import torch

z0 = torch.randn(4, requires_grad=True)
weight = torch.exp(0.7 * z0)  # <- opens
loss = (weight * z0).sum()
weight.data.clamp_(max=0.5)  # <- GP202
loss.backward()
"""

CLEAN = """
import torch

z0 = torch.randn(4, requires_grad=True)
for _ in range(3):
    weight = torch.exp(0.7 * z0)
    loss = (weight * z0).sum()
    weight.data.clamp_(min=0.0)
    z0.grad = None
    loss.backward()
    weight.data.clamp_(max=0.5)
    z0.data.add_(z0.grad, alpha=-1e-3)
"""

# Writes that often find nothing to do.
_MAY_DO_NOTHING = frozenset(
    {"clamp", "clip", "clamp_min", "clamp_max", "relu", "nan_to_num", "masked_fill", "setitem"}
)
_MOST_LATER = 4


def check(view: View) -> Iterator[Draft]:
    """A draft for each line that wrote to what an op on the leaf's way needs for its backward."""
    passed = view.passed
    if passed is None or passed.raised is not None:
        return
    by_line: dict[tuple[bool, str], list[Uncounted]] = {}
    for one in uncounted(view.data, view.flow, passed):
        at = view.place_of(one.write)
        if at is not None:
            by_line.setdefault((not _is_wrong(view, one), at.place), []).append(one)
    known: set[str] = set()
    for (doubtful, place), same in sorted(by_line.items()):
        if place not in known:
            known.add(place)
            known.update(frame.place for one in same for frame in _frames(view, one.later))
            yield _draft(view, same, wrong=not doubtful)


def _draft(view: View, same: Sequence[Uncounted], wrong: bool) -> Draft:
    first = same[0]
    at, saved = view.place_of(first.write), view.place_of(first.saver)
    assert at is not None
    others = [f for f in _frames(view, first.later) if f.place != at.place]
    related = tuple(Related("written again", frame) for frame in others[:_MOST_LATER])
    return Draft(
        at=at,
        op=first.write,
        opened_by=saved,
        severity="error" if wrong else "note",
        certainty="proven" if first.changed and _is_exact(first) else "suspected",
        related=related,
        message=_message(view, first),
        fix=_fix(view, first),
        count=len({one.write for one in same}),
    )


def _is_exact(one: Uncounted) -> bool:
    return one.need is Need.VALUE and not one.unseen


def _is_wrong(view: View, one: Uncounted) -> bool:
    """Whether this spoils the gradient, so far as one can tell; else it only may."""
    name = bare(view.trace.ops.callee_of(one.write).name)
    likely = one.changed or name not in _MAY_DO_NOTHING
    return one.need is Need.VALUE and likely


def _message(view: View, one: Uncounted) -> str:
    saver, leaf = view.trace.ops.callee_of(one.saver).name, view.leaf.name
    where = [f"step {step}"] if (step := view.steps.of(one.saver)) is not None else []
    stage = view.stage_at(one.saver)
    where += [stage] if stage is not None else []
    noted = f" ({', '.join(where)})" if where else ""
    how = "had used" if one.need is Need.MAYBE else "had saved for backward"
    did = "changed" if one.changed else "wrote to"
    what = f"{_writer(view, one)} {did} a tensor that {saver} {how}{noted}"
    if one.need is Need.MAYBE:
        return f"{what}: {leaf}'s gradient is wrong if {saver} keeps that"
    if one.need is Need.REGION:
        return f"{what}: {leaf}'s gradient is wrong where an element crossed a threshold of {saver}"
    if one.changed:
        return f"{what}, unseen by its version counter: {leaf}'s gradient is wrong"
    return (
        f"{what}, unseen by its version counter: {leaf}'s gradient is wrong if an element changed"
    )


def _writer(view: View, one: Uncounted) -> str:
    """`Tensor.clamp_ through .data`, or `an assignment to .data`."""
    callee = view.trace.ops.callee_of(one.write)
    if one.unseen:
        return f"code outside of torch, on memory that {callee.name} shares,"
    if callee.kind is Kind.OVERWRITE and callee.name == "Tensor.data":
        return "an assignment to .data"
    through = ".data" if through_data(view.data, one.write) else "shared memory"
    return f"{callee.name} through {through}"


def _fix(view: View, one: Uncounted) -> str:
    if one.unseen:
        return (
            "let the array have a copy (.detach().clone().numpy()), or write to it after backward"
        )
    if view.trace.values.has(one.kept, LEAF | PARAMETER):
        return "call backward before this update, or run the forward again after it"
    return (
        "write to a new tensor here (`x = x.clamp(-1, 1)` for `x.data.clamp_(-1, 1)`), or do it "
        "after backward"
    )


def _frames(view: View, ops: Sequence[int]) -> list[Frame]:
    places = dict.fromkeys(view.place_of(op) for op in ops)
    return [frame for frame in places if frame is not None]
