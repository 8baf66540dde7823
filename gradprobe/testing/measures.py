"""What a test can ask of the numbers and the ways of a gradient, one stage or one call at a time.

Each raises `GradientLost`, which is an `AssertionError`, as those of `assertions` do.
"""

from __future__ import annotations

import math
from pathlib import Path

from gradprobe.errors import GradientLost
from gradprobe.records.report import Finding, Leaf, Report, Stage
from gradprobe.testing.assertions import assert_records, bounded, flows, leaves_of
from gradprobe.testing.diagnosis import UNEXPLAINED, diagnosis, lost, record_of

# Codes of ops that cut the way itself; of GP2 and GP3 only a flat op takes all that there is.
_CUTS = ("GP1", "GP301")


def assert_no_cut(report: Report, leaf: str = "z0", *, picture_dir: Path | None = None) -> None:
    """Pass if autograd connects the root to the leaf along every way that its values take.

    It says nothing of the numbers: a gradient that is zero or NaN all the way passes. Raises
    `GradientLost` with code, file and line of the cut; also where part of the way was not seen, or
    where findings of a cut were left out by `select` or `ignore`.
    """
    __tracebackhide__ = True
    for seen in leaves_of(report, leaf):
        layers = seen.layers
        if layers.connected.answer != "yes" or seen.verdict in ("error", "broken", "no-root"):
            raise GradientLost("\n".join(lost(report, seen, picture_dir)))
        cut = [f for f in report.findings if f.leaf == leaf and _cuts(f, seen)]
        first = next((f for f in cut if not f.allowed), None)
        accepted = bool(cut) or flows(report, seen)
        if first is not None or (layers.complete.answer == "no" and not accepted):
            lines = diagnosis(report, leaf, picture_dir, first)
            raise GradientLost("\n".join([f"a way from {leaf} to the root is cut", *lines]))
        hidden = [one for one in report.left_out if one.code.startswith(_CUTS)]
        if any(one.severity != "note" for one in hidden):
            codes = ", ".join(sorted({one.code for one in hidden}))
            raise GradientLost(f"{codes} was found and left out (select, ignore): not judged")
        if layers.complete.answer == "unknown":
            raise GradientLost(
                f"whether a way from {leaf} is cut is not known: {layers.complete.sentence}"
            )


def assert_reaches(
    report: Report, stage: str, step: int | None = None, *, picture_dir: Path | None = None
) -> None:
    """Pass if a gradient that is not all zero arrived at the stage, at that step or at every one.

    Raises `GradientLost` with stage, step, file and line of each record that it did not reach.
    """
    __tracebackhide__ = True
    missed = [
        f"{record_of(record)}: {why}"
        for record in _at(report, stage, step)
        if (why := _unreached(record))
    ]
    _fail(report, missed, picture_dir)


def assert_grad_norm(
    report: Report,
    stage: str,
    between: tuple[float, float],
    *,
    step: int | None = None,
    picture_dir: Path | None = None,
) -> None:
    """Pass if the norm of the gradient at the stage lies in `between`, both ends included.

    `stage` may be a leaf's name. Without `step` every record of the stage must hold. Raises
    `GradientLost` with stage, step, place and norm of each record that does not; `ValueError` for
    a range without a number in it.
    """
    __tracebackhide__ = True
    low, high = between
    if not low <= high:
        raise ValueError(f"between=({low}, {high}) holds no number: the lower end comes first")
    outside = []
    for record in _at(report, stage, step):
        if record.grad is None:
            outside.append(f"{record_of(record)}: no gradient arrived")
        elif not low <= record.grad.norm <= high:  # also NaN
            outside.append(
                f"{record_of(record)}: the norm of its gradient is {record.grad.norm:.6g}, "
                f"not between {low:g} and {high:g}"
            )
    _fail(report, outside, picture_dir)


def assert_finite(report: Report, *stages: str, picture_dir: Path | None = None) -> None:
    """Pass if values and gradients of these stages (without names: of all records) are finite.

    A stage that is named must have had a gradient. Raises `GradientLost` with stage, step and place
    of each record that has a NaN or Inf, and the finding that says where it was born.
    """
    __tracebackhide__ = True
    records = [r for name in stages for r in assert_records(report, name)] or report.stages
    if not any(record.grad is not None for record in records):
        raise GradientLost(f"no gradient arrived anywhere: {report.headline}")
    bad = []
    for record in records:
        for what, seen in (("values", record.value), ("gradient", record.grad)):
            if seen is not None and seen.nonfinite:
                bad.append(
                    f"{record_of(record)}: {seen.nonfinite} elements of its {what} are NaN or Inf"
                )
        grad = record.grad
        if grad is None and stages:
            bad.append(f"{record_of(record)}: no gradient arrived")
        elif grad is not None and not grad.nonfinite and not math.isfinite(grad.norm):
            bad.append(f"{record_of(record)}: the norm of its gradient is not finite")
    _fail(report, bad, picture_dir)


def assert_saved_bytes(report: Report, *, below: int) -> None:
    """Pass if the ops of the run saved fewer than `below` bytes of tensors for backward.

    Raises `GradientLost` with the number; also where it is not known, since nothing is measured
    that would need hooks on saved tensors: with those, torch does not check versions any more.
    """
    __tracebackhide__ = True
    saved = report.counts.saved_bytes
    if saved is None:
        raise GradientLost(
            "how many bytes were saved for backward is not known: this run did not count them"
        )
    if saved >= below:
        raise GradientLost(f"{saved} bytes were saved for backward, not below {below}")


def _cuts(finding: Finding, leaf: Leaf) -> bool:
    # Of a gradient that arrived, what is unexplained are its numbers.
    numbers = finding.code == UNEXPLAINED and leaf.verdict in ("zero", "nonfinite")
    return finding.code.startswith(_CUTS) and finding.severity != "note" and not numbers


def _at(report: Report, stage: str, step: int | None) -> list[Stage]:
    __tracebackhide__ = True
    records = assert_records(report, stage)
    found = [record for record in records if step is None or record.step == step]
    if not found:
        steps = sorted({record.step for record in records if record.step is not None})
        spread = f"{steps[0]} to {steps[-1]}" if steps else "none"
        raise GradientLost(
            f"stage {stage!r} was not recorded at step {step} (steps: {spread}); "
            f"the last is {record_of(records[-1])}"
        )
    return found


def _unreached(record: Stage) -> str | None:
    if record.grad is None:
        return "no gradient arrived"
    return "its gradient is exactly zero" if record.grad.abs_max == 0 else None


def _fail(report: Report, lines: list[str], picture_dir: Path | None) -> None:
    __tracebackhide__ = True
    if lines:
        leaf = report.leaves[0].name if report.leaves else "z0"  # the worst comes first
        told = [*bounded(lines, "records"), *diagnosis(report, leaf, picture_dir)]
        raise GradientLost("\n".join(told))
