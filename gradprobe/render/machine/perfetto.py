"""The run as a timeline, for Perfetto: steps, stages, denoiser calls, findings.

Format: "Trace Event Format", Google, the JSON object format. A report holds the order of its
records and no times: a record is one millisecond long here, whatever it took.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

from gradprobe.records.report import Finding, Report, Stage
from gradprobe.render.machine import facts
from gradprobe.render.machine.facts import Facts, shown
from gradprobe.render.plain import cropped

_RECORD = 1000  # microseconds, the format's unit
_PROCESS = 1
_WIDEST = 120
_NO_TIMES = "no times, 1 ms = 1 record"
_TRACKS = ("steps and stages", "denoiser calls", "findings", "leaves", "backward passes")
_FIRST = 2  # the track of the process's own number would be its main thread
_RUN, _CALLS, _FINDINGS, _LEAVES, _PASSES = range(_FIRST, _FIRST + len(_TRACKS))

Event = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Perfetto:
    """Paths are relative to `base` (None: the current directory). `indent` as in `json.dumps`."""

    base: str | None = None
    indent: int | None = None

    def render(self, report: Report) -> str:
        """Slices of steps with their stages, and of calls; counters; an instant for a finding."""
        line = _Timeline()
        line.lay(report)
        events = [
            *_names(),
            *self._records(report, line),
            *self._calls(report, line),
            *self._findings(report, line),
            *self._leaves(report, line),
            *self._passes(report, line),
        ]
        told = {"clock": _NO_TIMES, **facts.of_run(report)}
        trace = {"otherData": told, "traceEvents": events}
        # Perfetto joins no surrogate pairs (it shows the escapes, drops the argument or refuses the
        # file), and takes the quote after an escaped backslash for an escaped quote.
        text = json.dumps(trace, indent=self.indent, allow_nan=False, ensure_ascii=False)
        return text.replace("\\\\", "\\u005c") + "\n"

    def _records(self, report: Report, line: _Timeline) -> Iterator[Event]:
        for step, start, length in line.stretches:
            yield _slice(_RUN, "step", f"step {step}", start, length, {"step": step})
        rows = facts.of_records(report, self.base)
        for n, (stage, row) in enumerate(zip(report.stages, rows, strict=True)):
            yield _slice(_RUN, "stage", stage.name, n * _RECORD, _RECORD, row)
            yield from _counters(stage, n * _RECORD)

    def _calls(self, report: Report, line: _Timeline) -> Iterator[Event]:
        for call, (start, length) in zip(report.calls, line.calls, strict=True):
            row = facts.of_call(call, self.base)
            yield _slice(_CALLS, "denoiser", f"{call.name} #{call.call}", start, length, row)

    def _findings(self, report: Report, line: _Timeline) -> Iterator[Event]:
        for finding in report.findings:
            event = _event("i", _FINDINGS, "finding", f"{finding.code} {finding.name}")
            row = facts.of_finding(finding, self.base)
            yield {**event, "ts": line.of(finding, report), "s": "t", "args": row}

    def _leaves(self, report: Report, line: _Timeline) -> Iterator[Event]:
        for leaf in report.leaves:
            row = facts.of_leaf(leaf, self.base)
            yield _slice(_LEAVES, "leaf", f"{leaf.name}: {leaf.verdict}", 0, line.end, row)

    def _passes(self, report: Report, line: _Timeline) -> Iterator[Event]:
        for n, told in enumerate(report.passes):
            row = facts.of_pass(told, self.base)
            name = f"{told.how} {told.index}"
            yield _slice(_PASSES, "backward", name, line.end + n * _RECORD, _RECORD, row)


@dataclass(slots=True)
class _Timeline:
    """Where things stand: a record as long as any, a step from its first record to its last."""

    stretches: list[tuple[int, int, int]] = field(default_factory=list)  # step, start, length
    calls: list[tuple[int, int]] = field(default_factory=list)  # start, length
    end: int = _RECORD

    def lay(self, report: Report) -> None:
        runs = groupby(enumerate(report.stages), key=lambda found: found[1].step)
        for step, run in runs:
            first, *rest = (n for n, _ in run)
            if step is not None:
                self.stretches.append((step, first * _RECORD, (len(rest) + 1) * _RECORD))
        self.end = max(len(report.stages), 1) * _RECORD
        self._lay_calls(report)

    def _lay_calls(self, report: Report) -> None:
        """A step's calls share it evenly; a call of no step that is shown follows the one before.

        None begins before the one before has ended: on one track that would be no order.
        """
        within = {step: (start, length) for step, start, length in reversed(self.stretches)}
        free = 0
        for step, run in groupby(report.calls, key=lambda call: call.step):
            count = len(list(run))
            start, length = (free, count * _RECORD) if step is None else within.get(step, (free, 0))
            each = max(length // count, 1) if length else _RECORD
            free = max(free, start)
            for _ in range(count):
                self.calls.append((free, each))
                free += each
        self.end = max(self.end, free)

    def of(self, finding: Finding, report: Report) -> int:
        """The record of its stage at its step, or where its step begins, or the beginning."""
        if finding.step is not None:
            for n, stage in enumerate(report.stages):
                if (stage.name, stage.step) == (finding.stage, finding.step):
                    return n * _RECORD
            for step, start, _ in self.stretches:
                if step == finding.step:
                    return start
        elif finding.stage is not None:
            for n, stage in enumerate(report.stages):
                if stage.name == finding.stage:
                    return n * _RECORD
        return 0


def _names() -> Iterator[Event]:
    yield _metadata("process_name", 0, {"name": f"gradprobe: {_NO_TIMES}"})
    for number, track in enumerate(_TRACKS, _FIRST):
        yield _metadata("thread_name", number, {"name": track})
        yield _metadata("thread_sort_index", number, {"sort_index": number})


def _counters(stage: Stage, at: int) -> Iterator[Event]:
    """A counter has no gaps, and keeps its value where nothing was measured."""
    measured = {
        "gradient norm": None if stage.grad is None else stage.grad.norm,
        "value std": None if stage.value is None else stage.value.std,
    }
    for what, value in measured.items():
        if value is not None and math.isfinite(value):
            name = _title(stage.name)
            yield {"ph": "C", "pid": _PROCESS, "name": name, "ts": at, "args": {what: value}}


def _slice(track: int, cat: str, name: str, start: int, length: int, args: Facts) -> Event:
    return {**_event("X", track, cat, name), "ts": start, "dur": length, "args": args}


def _event(phase: str, track: int, cat: str, name: str) -> Event:
    return {"ph": phase, "pid": _PROCESS, "tid": track, "cat": cat, "name": _title(name)}


def _metadata(name: str, track: int, args: Mapping[str, str | int]) -> Event:
    return {"ph": "M", "pid": _PROCESS, "tid": track, "name": name, "args": args}


def _title(name: str) -> str:
    return shown(cropped(name, _WIDEST)).strip() or "(no name)"
