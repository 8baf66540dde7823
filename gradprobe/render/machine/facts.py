"""What a report knows of one thing, as flat keys and plain values: never NaN or Infinity."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from gradprobe.records.report import BackwardPass, DenoiserCall, Finding, Leaf, Report
from gradprobe.render.machine.places import encodable
from gradprobe.render.plain import place, tensor, visible

Fact = str | int | float | bool
Facts = dict[str, Fact]

_ELSEWHERE = ("name", "file", "line", "col", "function")  # told as a title and a place


def shown(text: str) -> str:
    """On one line, in characters that any encoding of Unicode has."""
    return encodable(visible(text))


def plain(value: Fact) -> Fact:
    """`value` as JSON can hold it: `nan`, `inf` and `-inf` are words."""
    if isinstance(value, str):
        return shown(value)
    return value if isinstance(value, bool) or math.isfinite(value) else str(value)


def of_run(report: Report) -> Facts:
    """The diagnosis, the versions, and what is counted once for the run."""
    told = report.environment
    return _known(
        {
            "verdict": report.verdict,
            "headline": report.headline,
            "root": None if report.root is None else report.root.name,
            "gradprobe": told.gradprobe,
            "torch": told.torch,
            "python": told.python,
            "devices": ", ".join(told.devices),
            "command": " ".join(told.command),
            "ops": report.counts.ops,
            "autograd_nodes": report.counts.nodes,
            "saved_bytes": report.counts.saved_bytes,
            "not_seen": " ".join(report.unseen) or None,
        }
    )


def of_records(report: Report, base: str | None) -> list[Facts]:
    """Of each hook record, in order, under the keys that `Report.table` has."""
    rows = []
    for stage, row in zip(report.stages, report.table(), strict=True):
        rest = {key: value for key, value in row.items() if key not in _ELSEWHERE}
        at = None if stage.at is None else place(stage.at, base)
        rows.append(_known({"at": at, **rest}))
    return rows


def of_leaf(leaf: Leaf, base: str | None) -> Facts:
    layers = leaf.layers
    return _known(
        {
            "verdict": leaf.verdict,
            "at": None if leaf.at is None else place(leaf.at, base),
            "tensor": tensor(leaf.dtype, leaf.shape),
            "device": leaf.device,
            "connected": f"{layers.connected.answer}: {layers.connected.sentence}",
            "complete": f"{layers.complete.answer}: {layers.complete.sentence}",
            "healthy": f"{layers.healthy.answer}: {layers.healthy.sentence}",
            "grad_norm": None if leaf.grad is None else leaf.grad.norm,
        }
    )


def of_call(call: DenoiserCall, base: str | None) -> Facts:
    return _known(
        {
            "step": call.step,
            "call": call.call,
            "sigma": call.sigma,
            "at": None if call.at is None else place(call.at, base),
            "entered": call.entered,
            **{f"left_{leaf}": answer for leaf, answer in call.left.items()},
        }
    )


def of_pass(told: BackwardPass, base: str | None) -> Facts:
    norms = {
        f"norm_{leaf}": "no gradient" if grad is None else grad.norm
        for leaf, grad in told.reached.items()
    }
    at = None if told.at is None else place(told.at, base)
    return _known({"how": told.how, "at": at, "kept": told.kept, "raised": told.raised, **norms})


def of_finding(finding: Finding, base: str | None) -> Facts:
    """`at` is the line to blame, `lost_at` the op where that is another."""
    return _known(
        {
            "severity": finding.severity,
            "certainty": finding.certainty,
            "leaf": finding.leaf,
            "at": place(finding.cause, base),
            "source": finding.cause.source.strip(),
            "lost_at": place(finding.at, base) if finding.cause != finding.at else None,
            "message": finding.message,
            "fix": finding.fix,
            "stage": finding.stage,
            "step": finding.step,
            "count": finding.count,
            "verified": finding.verified,
            "accepted": (finding.reason or True) if finding.allowed else None,
        }
    )


def _known(found: Mapping[str, Fact | None]) -> Facts:
    pairs: Iterable[tuple[str, Fact | None]] = found.items()
    return {shown(key): plain(value) for key, value in pairs if value is not None}
