"""Ops that are not torch's own, or that other code takes part in: what is known of their inside."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradprobe.capture.journal import Journal
from gradprobe.capture.learned import Learned
from gradprobe.capture.memory import Memory
from gradprobe.capture.torch_internals import has_history, has_own_formula
from gradprobe.records.op import Callee, Kind
from gradprobe.records.tensor import DERIVED

_COPY = Callee("copy.deepcopy", Kind.COPY)


def written_by(
    learned: Learned, args: tuple[Any, ...], kwargs: Any, made: list[Tensor]
) -> list[Any]:
    """What an op returned, and the arguments that it wrote to."""
    given = kwargs or {}
    places = learned.mutated
    return [*made, *(args[n] if n < len(args) else given.get(name) for n, name in places)]


def judge(journal: Journal, learned: Learned, made: list[Tensor], index: int) -> None:
    """Whether an op that is not torch's own gave autograd one node with a formula of its own.

    Then its inside needs no look, as with a custom Function. Found out once a function.
    """
    tracked = [tensor for tensor in made if has_history(tensor)]
    if tracked and has_own_formula(tracked[0]):
        learned.foreign = False
        name = journal.callees[learned.number].name
        learned.number = journal.callee(Callee(name, Kind.COMPUTE))
        _becomes(journal, index, learned.number)


def overridden(journal: Journal, learned: Learned, types: Any) -> None:
    """The op that was recorded last may have gone through code of a subclass, unseen."""
    own = next((t for t in types if _has_code_of_its_own(t)), None)
    if own is not None:
        name = f"{journal.callees[learned.number].name} of {own.__name__}"
        _becomes(journal, -1, journal.callee(Callee(name, Kind.UNSEEN)))


def copied(memory: Memory, tensor: Tensor, copy: Tensor, place: int) -> None:
    """`copy.deepcopy` gave a tensor that requires no grad, be it of values that carry a leaf's."""
    journal = memory.journal
    table = journal.identity.table
    ref = table.get(id(tensor))
    if ref is None or not journal.flags[ref.value] & DERIVED or id(copy) in table:
        memory.strangers.clear_of_doubt(copy)
        return
    value = journal.new_value(copy, DERIVED)
    journal.identity.add(copy, value)
    journal.row(journal.callee(_COPY), 0, 0, place, 0, [ref.value], [value])


def _becomes(journal: Journal, index: int, callee: int) -> None:
    journal.head[index] = journal.head[index] >> 16 << 16 | callee


def _has_code_of_its_own(kind: type) -> bool:
    handler = getattr(getattr(kind, "__torch_function__", None), "__func__", None)
    return handler is not None and (handler.__module__ or "").partition(".")[0] != "torch"
