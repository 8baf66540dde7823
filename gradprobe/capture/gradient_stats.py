"""Six numbers of a gradient, computed where it is: what is measured at each leaf and stage."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradprobe.capture import torch_internals
from gradprobe.capture.copied import Copied
from gradprobe.records.report import GradStats

# On the host at once, or a tensor of six where the gradient is.
Numbers = tuple[float, ...] | Tensor
Awaited = Numbers | Copied

_UNKNOWN = (math.nan,) * 6
_PIECE = 1 << 19  # elements whose magnitudes are held at a time


def statistics(grad: Tensor) -> Numbers:
    """Six numbers of a gradient: norm, abs mean, max, min, zero fraction, nonfinite.

    No temporary of the gradient's own size is made but one byte an element (on the CPU none while
    all are finite, and 2 MiB more), and no device is waited for: that is `as_stats`, once, after
    the pass.
    """
    if is_one_piece(grad):
        return numbers_at_once(grad.detach())
    if not _is_torch_s_own(grad):
        return _UNKNOWN
    if grad.layout is not torch.strided:
        grad = grad.detach().to_dense()
    count = grad.numel()
    if not count:
        return (0.0,) * 6
    dtype = torch.promote_types(grad.dtype, torch.float32)
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


def is_one_piece(grad: Tensor) -> bool:
    """Whether its numbers are `numbers_at_once`: a small real tensor where Python runs."""
    return (
        _is_torch_s_own(grad)
        and grad.layout is torch.strided
        and 0 < grad.numel() <= _PIECE
        and torch_internals.at_hand(grad)
        and not grad.is_complex()
    )


def _is_torch_s_own(grad: Tensor) -> bool:
    """Not so of one that wraps others: each op on it would run code of the program's."""
    return type(grad).__torch_dispatch__ is Tensor.__torch_dispatch__


def as_stats(numbers: Awaited, arrived: Mapping[int, list[float]] | None = None) -> GradStats:
    """Those numbers on the host; `arrived` holds what was copied there before (see `on_host`)."""
    row: Sequence[float]
    if isinstance(numbers, Copied):
        row = numbers.numbers()
    elif isinstance(numbers, Tensor):
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


def numbers_at_once(grad: Tensor) -> tuple[float, ...]:
    """The six numbers of a real tensor of one piece, in half the calls.

    A long loop asks for them at each stage of each turn, and of a small latent they are all that
    a stage costs.
    """
    dtype = torch.promote_types(grad.dtype, torch.float32)
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
