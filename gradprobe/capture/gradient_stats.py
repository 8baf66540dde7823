"""Six numbers of a gradient, computed where it is: what is measured at each leaf and stage."""

from __future__ import annotations

import math
import weakref
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradprobe.capture import torch_internals
from gradprobe.records.report import GradStats

# On the host at once, or a tensor of six where the gradient is.
Numbers = tuple[float, ...] | Tensor

_UNKNOWN = (math.nan,) * 6
_PIECE = 1 << 19  # elements whose magnitudes are held at a time


def statistics(grad: Tensor) -> Numbers:
    """Six numbers of a gradient: norm, abs mean, max, min, zero fraction, nonfinite.

    No temporary of the gradient's own size is made but one byte an element (on the CPU none while
    all are finite, and 2 MiB more), and no device is waited for: that is `as_stats`, once, after
    the pass.
    """
    if type(grad).__torch_dispatch__ is not Tensor.__torch_dispatch__:
        return _UNKNOWN  # it wraps others, and each op on it would run code of the program's
    if grad.layout is not torch.strided:
        grad = grad.detach().to_dense()
    count = grad.numel()
    if not count:
        return (0.0,) * 6
    dtype = torch.promote_types(grad.dtype, torch.float32)
    if count <= _PIECE and torch_internals.at_hand(grad) and not grad.is_complex():
        return _at_once(grad.detach(), dtype)
    grad = grad.detach()
    norm = torch.linalg.vector_norm
    largest, smallest, nonfinite = _extremes(grad, dtype)
    nonzero = torch.count_nonzero(grad).to(largest.dtype)
    return torch.stack(
        (
            norm(grad, 2, dtype=dtype),
            norm(grad, 1, dtype=dtype) / count,
            largest,
            smallest,
            1 - nonzero / count,
            nonfinite.to(largest.dtype),
        )
    )


class _Last:
    """What was measured last, while its gradient is there as it was.

    Two hooks on one node are given the same gradient, one after the other.
    """

    def __init__(self) -> None:
        self._seen: tuple[weakref.ref[Tensor], int, Numbers] | None = None

    def statistics(self, grad: Tensor) -> Numbers:
        """Those of `grad`, as the function of this name gives them."""
        now = torch_internals.version(grad)
        if now is None:
            return statistics(grad)
        if self._seen is not None:
            ref, then, numbers = self._seen
            if then == now and ref() is grad:
                return numbers
        numbers = statistics(grad)
        self._seen = weakref.ref(grad), now, numbers
        return numbers


# For hooks of ours that sit beside each other on nodes; a write through `.data` goes unseen.
statistics_at_node = _Last().statistics


def as_stats(numbers: Numbers, arrived: Mapping[int, list[float]] | None = None) -> GradStats:
    """Those numbers on the host; `arrived` holds what was copied there before (see `on_host`)."""
    row: Sequence[float]
    if isinstance(numbers, Tensor):
        row = numbers.tolist() if arrived is None else arrived[id(numbers)]
    else:
        row = numbers
    norm, mean, largest, smallest, zeros, nonfinite = map(float, row)
    # NaN: of a tensor that wraps others, which is not asked for its numbers.
    count = 0 if math.isnan(nonfinite) else int(nonfinite)
    return GradStats(norm, mean, largest, smallest, zeros, count)


def _is_plain(grad: Tensor) -> bool:
    """Whether its elements lie in a row where Python runs, and are real."""
    return torch_internals.at_hand(grad) and not grad.is_complex() and grad.is_contiguous()


def _at_once(grad: Tensor, dtype: torch.dtype) -> tuple[float, ...]:
    """The same six numbers of a real tensor of one piece, in half the calls.

    A long loop asks for them at each stage of each turn, and of a small latent they are all that
    a stage costs.
    """
    sizes = grad.abs()
    least, most = (end.item() for end in sizes.aminmax())
    count = grad.numel()
    norm = torch.linalg.vector_norm(sizes, 2, dtype=dtype).item()
    mean = sizes.sum(dtype=dtype).item() / count
    if not math.isfinite(most):
        bad = int((~torch.isfinite(grad)).sum())
        return norm, mean, most, least, 1 - int(torch.count_nonzero(sizes)) / count, bad
    zeros = 0.0 if least else 1 - int(torch.count_nonzero(sizes)) / count
    return norm, mean, most, least, zeros, 0


def _extremes(grad: Tensor, dtype: torch.dtype) -> tuple[Tensor, Tensor, Tensor]:
    """The largest and smallest magnitude, and how many elements are not finite.

    On the CPU a norm of infinity takes ten times as long as the extremes of what it compares.
    """
    if not _is_plain(grad):
        norm = torch.linalg.vector_norm
        largest = norm(grad, float("inf"), dtype=dtype)
        return largest, norm(grad, -float("inf"), dtype=dtype), (~torch.isfinite(grad)).sum()
    flat = grad.view(-1)
    found = [flat[i : i + _PIECE].abs().aminmax() for i in range(0, flat.numel(), _PIECE)]
    largest = torch.stack([piece.max for piece in found]).amax().to(dtype)
    smallest = torch.stack([piece.min for piece in found]).amin().to(dtype)
    if largest.isfinite():
        return largest, smallest, torch.zeros((), dtype=dtype)
    return largest, smallest, (~torch.isfinite(grad)).sum()
