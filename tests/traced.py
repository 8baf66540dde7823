"""Small programs, each run from a file of its own under a probe in this process."""

from __future__ import annotations

import textwrap
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import torch

from gradprobe.capture.build import build
from gradprobe.graph.dataflow import dataflow
from gradprobe.graph.flow import Flow, flow
from gradprobe.probe import Probe
from gradprobe.records.numerics import Numerics
from gradprobe.records.report import Finding, FindStages, Report
from gradprobe.records.source import Frame
from gradprobe.records.trace import Trace

_numbers = count()


@dataclass(frozen=True)
class Traced:
    """A program that ran under a probe: its text, what it raised, the names it left."""

    path: Path
    text: str
    probe: Probe
    raised: Exception | None
    names: dict[str, Any] = field(default_factory=dict)

    @property
    def report(self) -> Report:
        return self.probe.report()

    @property
    def trace(self) -> Trace:
        return build(self.probe._recorder)

    @property
    def first(self) -> Finding:
        assert self.report.findings, self.report.headline
        return self.report.findings[0]

    def line(self, mark: str) -> int:
        """The number of the one line that ends with the comment `# <- mark`."""
        return marked(self.text, mark)

    def is_at(self, frame: Frame | None, mark: str) -> bool:
        """Whether a frame is the marked line of this very program, with its text."""
        if frame is None or (frame.file, frame.line) != (str(self.path), self.line(mark)):
            return False
        return frame.source == self.text.splitlines()[frame.line - 1]

    def flow(self, leaf: str) -> Flow:
        """Where the values of a leaf go on their way to the last root."""
        trace = self.trace
        mark = next(mark for mark in trace.leaves if mark.name == leaf)
        roots = trace.passes[-1].roots
        return flow(dataflow(trace), mark, frozenset(mark.values), roots)


def marked(text: str, mark: str) -> int:
    """The number of the one line of a text that ends with the comment `# <- mark`."""
    found = [n for n, line in enumerate(text.splitlines(), 1) if line.endswith(f"# <- {mark}")]
    assert len(found) == 1, f"{len(found)} lines are marked {mark}"
    return found[0]


def trace(
    folder: Path,
    text: str,
    *,
    leaves: Sequence[str] = (),
    root: str | None = None,
    raw: bool = False,
    denoiser: str | None = None,
    stages: Mapping[str, str] | None = None,
    find_stages: FindStages = "auto",
    numerics: Numerics = "stages",
    follow_host: bool = False,
    file: str | None = None,
    given: dict[str, Any] | None = None,
    forgets: bool = True,
    terms: Mapping[str, Any] | None = None,
) -> Traced:
    """Run a program's text under a probe; what it raises is kept, its warnings are its own.

    `forgets` False keeps the records of all iterations of a loop. `terms` are the probe's arguments
    for what becomes of findings: `allow`, `select`, `ignore`, `baseline`.
    """
    text = textwrap.dedent(text).lstrip("\n")
    path = folder / (file or f"program_{next(_numbers)}.py")
    path.write_text(text, encoding="utf-8")
    names = {"__name__": "__main__", "torch": torch, **(given or {})}
    raised: Exception | None = None
    torch.manual_seed(0)
    probe = Probe(
        leaves=leaves,
        root=root,
        raw=raw,
        denoiser=denoiser,
        stages=stages or {},
        find_stages=find_stages,
        numerics=numerics,
        follow_host=follow_host,
        **(terms or {}),
    )
    probe._recorder.iterations.forgets = forgets
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        code = compile(text, str(path), "exec")
        with probe:
            try:
                exec(code, names)
            except Exception as error:
                raised = error
    return Traced(path, text, probe, raised, names)
