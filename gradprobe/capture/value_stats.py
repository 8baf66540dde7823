"""Numbers of a tensor's values, computed where they are and copied to the host once."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gradprobe.capture import torch_internals
from gradprobe.capture.copied import Copied
from gradprobe.capture.torch_internals import aside, has_number, has_numbers
from gradprobe.records.report import ValueStats

# A noise level: a number, or the one element that another device holds.
Number = float | Tensor


@dataclass(frozen=True, slots=True)
class Held:
    """What another device holds: four numbers for each piece of a tensor with so many elements."""

    numbers: Tensor
    elements: int


Values = tuple[float, ...] | Held | Copied

_EXACT = (torch.float32, torch.float64)
_PIECE = 1 << 19  # elements of a low precision that are widened at a time


def values_of(x: Tensor) -> Values | None:
    """Four numbers of a tensor of any shape: mean, std, abs max, nonfinite.

    The standard deviation is the population's. What another device holds stays there, so that
    nothing waits for it. None where they are not defined (integers, complex numbers, no element) or
    cannot be computed unseen. What is allocated meanwhile is one byte an element, and none on the
    CPU as long as all are finite; a lower precision takes 4 MiB more.
    """
    with aside():
        if not has_numbers(x) or not x.dtype.is_floating_point or not x.numel():
            return None
        if is_exact_piece(x):
            return values_at_once(x.detach())
        parts = [_part(piece) for piece in _pieces(x.detach())]
        if torch_internals.at_hand(x):
            return _together([tuple(n.item() for n in part) for part in parts], x.numel())
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        numbers = torch.stack([n.to(wide) for part in parts for n in part])
        return Held(numbers, x.numel())


def is_exact_piece(x: Tensor) -> bool:
    """Whether its numbers are `values_at_once`: a small tensor where Python runs."""
    return (
        x.dtype in _EXACT
        and 0 < x.numel() <= _PIECE
        and torch_internals.at_hand(x)
        and has_numbers(x)
    )


def _pieces(x: Tensor) -> Iterator[Tensor]:
    """All elements in a precision that sums do not lose: as they are, or widened by pieces."""
    if x.dtype in _EXACT:
        yield x
    elif x.is_contiguous():
        flat = x.view(-1)
        for start in range(0, x.numel(), _PIECE):
            yield flat[start : start + _PIECE].float()
    else:
        yield x.float()


def values_at_once(x: Tensor) -> tuple[float, ...]:
    """The same four numbers, in fewer calls. The variance comes from sums, unless too much of it
    would be lost in their difference.
    """
    low, high = (end.item() for end in x.aminmax())
    largest = max(abs(low), abs(high))
    if not _TINY < largest < _HUGE:
        return tuple(n.item() for n in _part(x))
    mean = x.sum().item() / x.numel()
    square = torch.linalg.vector_norm(x).item() ** 2 / x.numel()
    if square > 2 * mean * mean:
        return mean, math.sqrt(square - mean * mean), largest, 0
    return mean, torch.std(x, correction=0).item(), largest, 0


_TINY, _HUGE = 1e-12, 1e12  # of numbers between them the squares are no less exact in float32


def _part(x: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    mean, std = torch.mean(x), torch.std(x, correction=0)
    # A tenth of the time of a norm of infinity on the CPU; NaN if there is one.
    largest = torch.maximum(x.amax().abs(), x.amin().abs())
    if torch_internals.at_hand(x) and math.isfinite(largest.item()):
        return mean, std, largest, torch.zeros(())
    nonfinite = torch.count_nonzero(x != x)
    for bad in (math.inf, -math.inf):
        nonfinite = nonfinite + torch.count_nonzero(x == bad)
    return mean, std, largest, nonfinite


def _together(parts: Sequence[Sequence[float]], count: int) -> tuple[float, ...]:
    """The four numbers of all pieces of a tensor, each but the last as long as `_PIECE`."""
    if len(parts) == 1:
        return tuple(parts[0])
    shares = [min(_PIECE, count - n * _PIECE) / count for n in range(len(parts))]
    mean = sum(s * part[0] for s, part in zip(shares, parts, strict=True))
    variance = sum(
        s * (part[1] ** 2 + (part[0] - mean) * (part[0] - mean))
        for s, part in zip(shares, parts, strict=True)
    )
    maxima = [part[2] for part in parts]
    largest = math.nan if any(map(math.isnan, maxima)) else max(maxima)
    return mean, math.sqrt(variance), largest, sum(part[3] for part in parts)


def as_value_stats(values: Values, on_host: Mapping[int, list[float]]) -> ValueStats:
    """Those numbers on the host, where `on_host` copied what a device held."""
    if isinstance(values, Copied):
        values = values.numbers()
    elif isinstance(values, Held):
        row = on_host[id(values.numbers)]
        values = _together([row[n : n + 4] for n in range(0, len(row), 4)], values.elements)
    mean, std, largest, nonfinite = values
    return ValueStats(mean, std, largest, int(nonfinite))


def as_number(value: object) -> Number | None:
    """A noise level: a number, or a tensor's first element, which stands for the batch.

    What lies on another device stays there, so that nothing waits for it. None of anything else.
    """
    if isinstance(value, Tensor):
        with aside():
            return first_of(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def first_of(x: Tensor) -> Number | None:
    """A tensor's noise level; for who is `aside` already."""
    if has_number(x):
        number = x.item()  # which tells the kind by less than all that is asked below
        return float(number) if type(number) is float or type(number) is int else None
    if not has_numbers(x) or x.dtype is torch.bool or x.dtype.is_complex:
        return None
    batch = x.shape[0] if x.ndim else 1
    if x.numel() != batch or not batch:
        return None
    if batch == 1 and torch_internals.at_hand(x):
        return float(x.item())
    first = x.detach()[(0,) * x.ndim]
    return float(first) if torch_internals.at_hand(x) else first.clone()


def on_host(tensors: Iterable[Tensor]) -> dict[int, list[float]]:
    """The numbers of each tensor by its `id()`; all of one device are copied at once."""
    alike: dict[tuple[torch.device, torch.dtype, int], list[Tensor]] = {}
    found: dict[int, list[float]] = {}
    with aside():
        for tensor in tensors:
            key = (tensor.device, tensor.dtype, tensor.numel())
            alike.setdefault(key, []).append(tensor)
        for (device, _, _), same in alike.items():
            if device.type == "cuda":
                torch.cuda.synchronize(device)  # they may come from several streams
            rows = torch.stack([t.reshape(-1) for t in same]).tolist()
            found.update((id(t), row) for t, row in zip(same, rows, strict=True))
    return found
