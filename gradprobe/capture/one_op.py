"""A call that was not looked into, as one op from its arguments to its results."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from gradprobe.capture.function_mode import SeeingMode
from gradprobe.capture.torch_internals import has_history, is_grad_enabled, node_counter
from gradprobe.records.op import GRAD_OFF, INFERENCE
from gradprobe.records.tensor import CONNECTED, DERIVED, REQUIRES_GRAD


def as_one_op(
    mode: SeeingMode, name: str, place: int, inputs: Sequence[int], outputs: Sequence[Tensor]
) -> tuple[int, ...]:
    """Record it; returns the values of its results. What came in and goes out stays what it was."""
    journal = mode.journal
    flags = 0
    for value in inputs:
        flags |= journal.flags[value]
    given: list[int] = []
    made: list[int] = []
    for tensor in outputs:
        ref = journal.identity.table.get(id(tensor))
        if ref is not None:
            given.append(ref.value)
            continue
        kept = flags & DERIVED
        if has_history(tensor):
            kept = flags & (DERIVED | CONNECTED) | REQUIRES_GRAD
        value = journal.new_value(tensor, kept)
        journal.identity.add(tensor, value)
        given.append(value)
        made.append(value)
    if made:
        circumstances = region = 0
        if not is_grad_enabled():
            circumstances = GRAD_OFF | (INFERENCE if torch.is_inference_mode_enabled() else 0)
            region = mode.grad_mode.region
        callee = journal.unseen(name)
        used = list(dict.fromkeys(inputs))
        journal.row(callee, circumstances, region, place, node_counter(), used, made)
    return tuple(given)
