"""A closer look at one gradient: its largest magnitude, and what its node had saved.

Numbers are read at once only on the CPU. What another device holds is copied after the pass, so
that nothing waits for it; there nobody can know in time which node is worth a closer look.
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence
from functools import cache
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture import torch_internals
from gradprobe.capture.torch_internals import has_numbers
from gradprobe.records.numerics import Saved, Witness

_WIDEST = 1 << 26  # elements of a saved tensor that are looked at


def magnitude(grad: Tensor) -> float | Tensor | None:
    """The largest absolute value, NaN if there is one; what another device holds, as a tensor of
    its two ends, which `largest` makes one when they are on the host.

    None where it cannot be computed: a meta or fake tensor, one of a running transform.
    """
    grad = grad.detach()
    if grad.layout is not torch.strided:
        grad = grad.coalesce().values() if grad.layout is torch.sparse_coo else grad.to_dense()
    if not grad.numel():
        return 0.0
    if not has_numbers(grad):
        return None
    if grad.is_complex():
        grad = torch.view_as_real(grad.resolve_conj())
    low, high = torch.aminmax(grad)
    if torch_internals.at_hand(grad):
        return largest(low.item(), high.item())
    return torch.stack((low, high))


def largest(low: float, high: float) -> float:
    """The largest absolute value of what lies between two ends, NaN if one is."""
    return math.nan if math.isnan(low) or math.isnan(high) else max(abs(low), abs(high))


def witness(
    node: Any,
    went: Sequence[float | None],
    gave: Sequence[Tensor | None],
    came: Sequence[Tensor | None],
) -> Witness | None:
    """What stood at the element where a gradient stopped being finite, or why it is all zero."""
    bad = [n for n, size in enumerate(went) if size is not None and not math.isfinite(size)]
    edge = (bad or [n for n, size in enumerate(went) if size == 0])[0]
    grad = gave[edge]
    if grad is None or node is None or not torch_internals.at_hand(grad):
        return None
    element = _first_bad(grad) if bad else None
    arrived = next((g for g in came if g is not None), None)
    return Witness(
        edge=edge,
        saved=tuple(_saved(node, element, grad)),
        element=element,
        came=_at(arrived, element, grad),
        went=_at(grad, element, grad),
    )


def _first_bad(grad: Tensor) -> tuple[int, ...] | None:
    """The first infinite element, of a gradient without one the first NaN."""
    if grad.layout is not torch.strided or grad.is_complex():
        return None
    for wrong in (torch.isinf(grad), torch.isnan(grad)):
        places = torch.nonzero(wrong)
        if len(places):
            return tuple(int(n) for n in places[0])
    return None


def _saved(node: Any, element: tuple[int, ...] | None, grad: Tensor) -> list[Saved]:
    found = []
    kind: Any = type(node)
    for attribute in _saved_names(kind):
        try:
            value = getattr(node, attribute)
        except RuntimeError:
            continue  # freed or overwritten since, or within a checkpoint: unpacked only once
        name = attribute.removeprefix("_saved_")
        if isinstance(value, Tensor):
            one = _range(name, value, element, grad)
            if one is not None:
                found.append(one)
        elif isinstance(value, (int, float)) and not isinstance(value, bool):
            found.append(Saved(name, float(value), float(value)))
    return found


def _range(name: str, x: Tensor, element: tuple[int, ...] | None, grad: Tensor) -> Saved | None:
    if not has_numbers(x) or x.is_complex() or not 0 < x.numel() <= _WIDEST:
        return None
    if not torch_internals.at_hand(x):
        return None
    x = x.detach()
    low, high = torch.aminmax(x.to(torch.uint8) if x.dtype is torch.bool else x)
    shape = tuple(x.shape)
    return Saved(name, float(low), float(high), shape, _at(x, element, grad))


def _at(x: Tensor | None, element: tuple[int, ...] | None, grad: Tensor) -> float | None:
    """The element of `x` that is broadcast to `element` of a gradient."""
    if x is None or element is None or x.ndim > grad.ndim or x.is_complex():
        return None
    trailing = element[len(element) - x.ndim :]
    sizes = grad.shape[grad.ndim - x.ndim :]
    if any(have not in (1, want) for have, want in zip(x.shape, sizes, strict=True)):
        return None
    place = tuple(0 if have == 1 else at for have, at in zip(x.shape, trailing, strict=True))
    return float(x.detach()[place])


@cache
def _saved_names(kind: Hashable) -> tuple[str, ...]:
    """Attributes of a kind of node that hold what it saved, but for sizes and the like."""
    names = (name for name in dir(kind) if name.startswith("_saved_"))
    return tuple(n for n in names if not n.endswith(("_sizes", "_sym_sizes", "_options", "_dim")))
