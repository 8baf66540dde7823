"""Two runs that must have one gradient: beside another run, or beside what is kept in a file."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from difflib import unified_diff
from pathlib import Path
from typing import Protocol

from gradprobe.errors import GradientLost
from gradprobe.records.report import Report, Stage
from gradprobe.testing.diagnosis import diagnosis
from gradprobe.testing.gradient_structure import structure

Differ = Callable[[object, object], Iterable[str]]  # what tells two values apart, as lines


class Reporting(Protocol):
    """A probe, or a test's."""

    def report(self) -> Report: ...


def difference(left: object, right: object) -> Iterator[str]:
    """Two texts, or two tables from names to values, line by line: `-` left, `+` right."""
    a, b = (_lines(value) for value in (left, right))
    yield from (line for line in unified_diff(a, b, lineterm="", n=1) if line[:3] not in _HEAD)


_HEAD = ("---", "+++")


def _lines(value: object) -> list[str]:
    if isinstance(value, dict):
        return [f"{key}: {one}" for key, one in value.items()]
    return str(value).splitlines()


def assert_same_gradient(
    a: Report | Reporting,
    b: Report | Reporting,
    *,
    rtol: float = 0.0,
    differ: Differ = difference,
) -> None:
    """Pass if two runs have the same records, each with the same gradient.

    Compared are presence, norm, mean, largest and smallest magnitude, and the parts that are zero
    or not finite, by stage, step and call; with `rtol` up to that part of the larger one. Records
    hold no tensors: gradients that differ in the order of their elements alone are the same here
    (`torch.testing.assert_close` compares elements). Raises `GradientLost` with each difference,
    and what either run found.
    """
    __tracebackhide__ = True
    left, right = (one if isinstance(one, Report) else one.report() for one in (a, b))
    before, after = _table(left), _table(right)
    for key in before.keys() & after.keys():
        if _near(before[key], after[key], rtol):
            after[key] = before[key]
    if before == after:
        return
    apart = [key for key in {**before, **after} if before.get(key) != after.get(key)]
    lines = [f"two gradients are not the same: {len(apart)} of {len({**before, **after})} records"]
    lines += [f"first at {apart[0]}"]
    lines += differ(
        {key: before[key] for key in apart if key in before},
        {key: after[key] for key in apart if key in after},
    )
    for which, report in (("first", left), ("second", right)):
        leaf = report.leaves[0].name if report.leaves else "z0"
        lines += [f"{which} run: {line}" for line in diagnosis(report, leaf, None)]
    raise GradientLost("\n".join(lines))


def assert_matches_snapshot(
    report: Report,
    file: str | Path,
    *,
    update: bool = False,
    base: Path | None = None,
    differ: Differ = difference,
    picture_dir: Path | None = None,
) -> None:
    """Pass if the structure of the run's gradient is what `file` holds; see `structure`.

    `update` writes the file instead. Files in it are named from the folder `base` on, by default
    that of `file`. Raises `GradientLost` with the difference and the diagnosis, and where there is
    no such file; `OSError` where it cannot be read or written.
    """
    __tracebackhide__ = True
    path = Path(file)
    made = structure(report, path.parent if base is None else base)
    if update:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(made, encoding="utf-8", newline="\n")
        return
    if not path.exists():
        raise GradientLost(
            f"no snapshot {path}: write it with --gradprobe-update (update=True), and commit it"
        )
    kept = path.read_text(encoding="utf-8")
    if kept != made:
        leaf = report.leaves[0].name if report.leaves else "z0"
        lines = [f"the gradient's structure is not that of {path}", *differ(kept, made)]
        lines += diagnosis(report, leaf, picture_dir)
        lines.append("if that is meant, write it anew: --gradprobe-update (update=True)")
        raise GradientLost("\n".join(lines))


def _table(report: Report) -> dict[str, tuple[float, ...] | None]:
    """The gradient of each record, by a name that is the same in another run."""
    table: dict[str, tuple[float, ...] | None] = {}
    for record in report.stages:
        name = key = _key(record)
        again = 1
        while key in table:
            again += 1
            key = f"{name} ({again})"
        grad = record.grad
        table[key] = None
        if grad is not None:
            sizes = (grad.norm, grad.abs_mean, grad.abs_max, grad.abs_min)
            table[key] = (*sizes, grad.zero_fraction, float(grad.nonfinite))
    return table


def _key(record: Stage) -> str:
    step = "" if record.step is None else f" at step {record.step}"
    return f"{record.name}{step}{f', call {record.call}' if record.call else ''}"


def _near(a: tuple[float, ...] | None, b: tuple[float, ...] | None, rtol: float) -> bool:
    if a is None or b is None:
        return a is b
    return all(
        x == y or (math.isnan(x) and math.isnan(y)) or math.isclose(x, y, rel_tol=rtol)
        for x, y in zip(a, b, strict=True)
    )
