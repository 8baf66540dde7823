"""Numbers of a tensor's values, computed where they are and copied to the host once."""

from __future__ import annotations

import math
import numbers
from collections.abc import Iterable, Iterator

import torch
from torch import Tensor

from gradprobe.capture.torch_internals import aside, has_numbers
from gradprobe.records.report import ValueStats

# A noise level: a number, or the one element that another device holds.
Number = float | Tensor

_EXACT = (torch.float32, torch.float64)
_PIECE = 1 << 20  # elements of a low precision that are widened at a time


def values_of(x: Tensor) -> Tensor | None:
    """Four numbers of a tensor of any shape, on its device: mean, std, abs max, nonfinite.

    The standard deviation is the population's. None where they are not defined (integers, complex
    numbers, no element) or cannot be computed unseen. What is allocated meanwhile is one byte an
    element, and none on the CPU as long as all are finite; half precision takes 4 MiB more.
    """
    with aside():
        if not x.dtype.is_floating_point or not x.numel() or not has_numbers(x):
            return None
        x = x.detach()
        wide = torch.float32 if x.device.type == "mps" else torch.float64
        parts = [_part(piece, wide) for piece in _pieces(x)]
        if len(parts) == 1:
            return parts[0][1]
        counts = torch.tensor([float(n) for n, _ in parts], dtype=wide, device=x.device)
        means, stds, largest, nonfinite = torch.stack([numbers for _, numbers in parts], 1)
        mean = (means * counts).sum() / x.numel()
        variance = ((stds.square() + (means - mean).square()) * counts).sum() / x.numel()
        return torch.stack((mean, variance.sqrt(), largest.amax(), nonfinite.sum()))


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


def _part(x: Tensor, wide: torch.dtype) -> tuple[int, Tensor]:
    std, mean = torch.std_mean(x, correction=0)
    largest = torch.linalg.vector_norm(x, float("inf"))  # NaN if there is one
    if x.device.type == "cpu" and math.isfinite(largest.item()):
        nonfinite = torch.zeros((), dtype=wide)
    else:
        nonfinite = sum(
            (torch.count_nonzero(x == bad) for bad in (math.inf, -math.inf)),
            start=torch.count_nonzero(x != x),
        )
    return x.numel(), torch.stack([n.to(wide) for n in (mean, std, largest, nonfinite)])


def as_value_stats(four: list[float]) -> ValueStats:
    """Those numbers on the host."""
    mean, std, largest, nonfinite = four
    return ValueStats(mean, std, largest, int(nonfinite))


def as_number(value: object) -> Number | None:
    """A noise level: a number, or a tensor's first element, which stands for the batch.

    What lies on another device stays there, so that nothing waits for it. None of anything else.
    """
    if isinstance(value, Tensor):
        with aside():
            return _first(value)
    if isinstance(value, numbers.Real) and not isinstance(value, bool):
        try:
            return float(value)
        except OverflowError:
            return None
    return None


def _first(x: Tensor) -> Number | None:
    batch = x.shape[0] if x.ndim else 1
    if x.numel() != batch or not batch or x.dtype is torch.bool or x.dtype.is_complex:
        return None
    if not has_numbers(x):
        return None
    first = x.detach()[(0,) * x.ndim]
    return float(first) if x.device.type == "cpu" else first.clone()


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
