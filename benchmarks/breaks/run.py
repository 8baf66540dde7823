"""Runs a script in this process: plainly, or traced as `gradprobe trace` would."""

from __future__ import annotations

import builtins
import contextlib
import gc
import io
import linecache
import signal
import sys
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

import torch
from torch import Tensor

from benchmarks.breaks.operators import GATE
from benchmarks.breaks.overlay import overlaid, path_of
from benchmarks.breaks.sites import WATCH
from gradprobe.cli.progress import ProgressLine
from gradprobe.cli.second_run import SecondRun
from gradprobe.probe import Probe
from gradprobe.records.report import Report
from gradprobe.target import parse, run

LIMIT = 60  # seconds that a plain run may take; the healthy ones take less than one


@dataclass(frozen=True)
class Changed:
    """A script and, by module, the changed texts of its library with the functions concerned."""

    script: str
    modules: dict[str, tuple[str, set[str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Ended:
    """What plain torch left: z0's gradient, the losses of a descent, what was raised."""

    grad: Tensor | None
    losses: list[float]
    raised: BaseException | None


class Stage:
    """A folder in which one changed program stands, as files that can be shown."""

    def __init__(self, folder: Path, changed: Changed) -> None:
        self.script = folder / "program.py"
        self._changed = changed
        self._folder = folder
        folder.mkdir(parents=True)
        self.script.write_text(changed.script, encoding="utf-8")
        (folder / "gate.py").write_text(GATE, encoding="utf-8")

    def file(self, module: str) -> Path:
        """Where a module's text stands; the script's for ''. The ending is the installed one's."""
        if not module:
            return self.script
        parts = module.split(".")
        return self._folder.joinpath("site-packages", *parts[:-1], path_of(module).name)

    def plain(self) -> Ended:
        with self._set_up():
            seen = _Watcher()
            with _limited():
                outcome = run(parse(str(self.script)), within=seen)
        return Ended(seen.grad, seen.losses, outcome.exception)

    def traced(self, leaf: str | None = None) -> Report:
        """The report that `gradprobe trace program.py` gives, its second run included."""
        asked = {} if leaf is None else {"leaves": (leaf,)}
        command = (str(self.script),)
        with self._set_up():
            first, trail_lost = self._once(command, asked)
            again = _Again(command, as_module=False, asked=asked, rerun=self._once)
            more = again.wanted(first, trail_lost)
            return again.improved(first, more) if more else first

    def watched(self, watch: Callable[[int, Any], Any]) -> Ended:
        """As `plain`, with the function that the text calls at its sites."""
        setattr(builtins, WATCH, watch)
        try:
            return self.plain()
        finally:
            delattr(builtins, WATCH)

    def _once(self, command: tuple[str, ...], asked: dict[str, Any]) -> tuple[Report, bool]:
        """The report, and whether what left torch may have come back unseen."""
        probe = Probe(**asked, command=command)
        try:
            run(parse(command[0]), within=probe)
        finally:
            _settle()
        return probe.report(), probe.trail_lost

    @contextmanager
    def _set_up(self) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            for module, (text, functions) in self._changed.modules.items():
                stack.enter_context(overlaid(module, text, self.file(module), functions))
            stack.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
            stack.enter_context(contextlib.redirect_stdout(io.StringIO()))
            stack.enter_context(contextlib.redirect_stderr(io.StringIO()))
            linecache.clearcache()
            try:
                yield
            finally:
                _settle()


@dataclass(frozen=True)
class _Again(SecondRun):
    """gradprobe's own second run, made in this process."""

    rerun: Callable[[tuple[str, ...], dict[str, Any]], tuple[Report, bool]] | None = None

    def _run(self, more: Mapping[str, Any], line: ProgressLine) -> Report | None:
        assert self.rerun is not None
        return self.rerun(self.command, {**self.asked, **more})[0]


class _Watcher(AbstractContextManager["_Watcher"]):
    """Reads the script's own names when it has ended."""

    def __init__(self) -> None:
        self.grad: Tensor | None = None
        self.losses: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        names = vars(sys.modules["__main__"])
        z0 = names.get("z0")
        if isinstance(z0, Tensor) and z0.grad is not None:
            self.grad = z0.grad.detach().clone()
        self.losses = list(names.get("losses", ()))


class Endless(Exception):
    """An adaptive solver may never accept a step again once its state was broken."""


@contextmanager
def _limited() -> Iterator[None]:
    def stop(signal_number: int, frame: FrameType | None) -> None:
        raise Endless(f"not over after {LIMIT} seconds")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(LIMIT)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def _settle() -> None:
    """What a program may leave behind for the next one."""
    torch.set_grad_enabled(True)
    sys.modules.pop("gate", None)
    gc.collect()
