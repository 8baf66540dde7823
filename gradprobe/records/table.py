"""Hook records as flat rows: what a CSV file or a data frame holds."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields

from gradprobe.records.report import GradStats, Stage, ValueStats

Cell = str | int | float | bool | None

_STATISTICS = (("value", ValueStats), ("grad", GradStats))


def table(stages: Iterable[Stage], leaves: Iterable[str]) -> list[dict[str, Cell]]:
    """One row for each record, in order; all rows have the same keys, None is what was not seen.

    A frame becomes `file`, `line`, `col` (from 0) and `function`; `shape` reads `1x4x8x8`, or
    `scalar`. Each leaf has a column `connected_NAME` of `yes`, `no` or `unknown`; each statistic
    has one of its own: `value_mean`, `grad_norm`.
    """
    names = list(dict.fromkeys(leaves))
    return [_row(stage, names) for stage in stages]


def columns(leaves: Iterable[str]) -> list[str]:
    """The keys of such a row, in order; they are there without any record too."""
    return list(_row(_NOTHING, list(dict.fromkeys(leaves))))


def _row(stage: Stage, leaves: Sequence[str]) -> dict[str, Cell]:
    at = stage.at
    return {
        "name": stage.name,
        "step": stage.step,
        "call": stage.call,
        "sigma": stage.sigma,
        "file": at.file if at else None,
        "line": at.line if at else None,
        "col": at.col if at else None,
        "function": at.function if at else None,
        "shape": "x".join(map(str, stage.shape)) or "scalar",
        "dtype": stage.dtype,
        "device": stage.device,
        "requires_grad": stage.requires_grad,
        "is_leaf": stage.is_leaf,
        "grad_fn": stage.grad_fn,
        "version": stage.version,
        "source": stage.source,
        **{f"connected_{leaf}": stage.connected.get(leaf) for leaf in leaves},
        **{
            f"{prefix}_{field.name}": getattr(getattr(stage, prefix), field.name, None)
            for prefix, kind in _STATISTICS
            for field in fields(kind)
        },
    }


_NOTHING = Stage("", None, None, None, (), "", False, None, {})
