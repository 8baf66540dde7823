"""How a program that failed is shown: as Python alone would have shown it."""

from __future__ import annotations

import importlib
import os
import sys
from pathlib import Path
from types import TracebackType

import gradprobe
from gradprobe.records.report import Report
from gradprobe.records.source import Frame
from gradprobe.target import Outcome

OURS = str(Path(gradprobe.__file__).parent) + os.sep
IMPORTERS = (str(importlib.__file__), "<frozen importlib.")


def show(outcome: Outcome) -> None:
    """Print to standard error what Python prints for the exception that ended the program."""
    error = outcome.exception
    if isinstance(error, SystemExit):
        if error.code is not None and not isinstance(error.code, int):
            print(error.code, file=sys.stderr)
    elif error is not None:
        clean(error)
        try:
            sys.excepthook(type(error), error, error.__traceback__)
        except (Exception, SystemExit):  # the program's own hook, and broken
            sys.__excepthook__(type(error), error, error.__traceback__)


def sentence(outcome: Outcome) -> str:
    """One line that says how the program failed."""
    error = outcome.exception
    if error is None or isinstance(error, SystemExit):
        return f"the program exited with code {outcome.exit_code}"
    return f"the program raised {type(error).__name__}"


def diagnosis(report: Report, base: str) -> str | None:
    """One line of the finding that explains why the program failed; None where none does."""
    if report.verdict not in ("error", "broken") or report.worst() != "error":
        return None
    found = next(f for f in report.findings if f.severity == "error" and not f.allowed)
    return f"{found.code} {found.name} at {_near(found.at, base)}: {found.message}"


def _near(frame: Frame, base: str) -> str:
    """A place as it is typed in the directory where the trace was asked for."""
    inside = frame.place.startswith(base + os.sep)
    return frame.place.removeprefix(base + os.sep) if inside else frame.place


def clean(error: BaseException) -> None:
    """Take gradprobe's own frames out of the traceback, and out of those chained to it."""
    todo, done = [error], set[int]()
    while todo:
        one = todo.pop()
        if id(one) in done:
            continue
        done.add(id(one))
        one.__traceback__ = _without_ours(one.__traceback__)
        todo += [other for other in (one.__cause__, one.__context__) if other is not None]
        if isinstance(one, BaseExceptionGroup):
            todo += one.exceptions


def _without_ours(traceback: TracebackType | None) -> TracebackType | None:
    kept: list[TracebackType] = []
    leading = True  # between our call and the program's first frame there is only the importer
    after_ours = False
    while traceback is not None:
        file = traceback.tb_frame.f_code.co_filename
        if file.startswith(OURS):
            while kept and _hands_over(kept[-1]):
                kept.pop()
            after_ours = True
        elif not (leading and file.startswith(IMPORTERS)):
            # A function of torch that offers itself to the probe is called a second time by it:
            # plain Python would show it once.
            if after_ours and kept and kept[-1].tb_frame.f_code is traceback.tb_frame.f_code:
                kept.pop()
            kept.append(traceback)
            leading = after_ours = False
        traceback = traceback.tb_next
    chain = None
    for entry in reversed(kept):
        chain = TracebackType(chain, entry.tb_frame, entry.tb_lasti, entry.tb_lineno)
    return chain


def _hands_over(entry: TracebackType) -> bool:
    code = entry.tb_frame.f_code
    return code.co_name == "handle_torch_function" and code.co_filename.endswith("overrides.py")
