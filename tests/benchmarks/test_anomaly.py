"""The comparison with anomaly mode: what is read from either tool, and the rows made of it."""

from __future__ import annotations

import pytest

from benchmarks.anomaly import (
    PAGE,
    PROGRAMS,
    Named,
    Row,
    compare,
    first_line,
    forward_line,
    markdown,
    programs,
)
from tests.laws.cases import Case, judged
from tests.thorough import some

WARNED = """\
/lib/site-packages/torch/autograd/graph.py:8: UserWarning: Error detected in DivBackward0. \
Traceback of forward call that caused the error:
  File "/home/a/run.py", line 20, in <module>
    loss_of(z0).backward()
  File "/home/a/run.py", line 15, in loss_of
    unit = torch.nn.functional.normalize(x, dim=1, eps=0)
  File "/lib/python3.11/site-packages/torch/nn/functional.py", line 6101, in normalize
    return input / denom
 (Triggered internally at python_anomaly_mode.cpp:122.)
  return Variable._execution_engine.run_backward(
Traceback (most recent call last):
  File "/home/a/run.py", line 21, in <module>
    loss_of(z0).backward()
RuntimeError: Function 'DivBackward0' returned nan values in its 0th output.
"""


def test_anomaly_mode_names_the_last_frame_outside_of_torch() -> None:
    assert forward_line(WARNED) == Named("run.py", 15)


def test_a_run_without_its_warning_names_nothing() -> None:
    assert forward_line("Traceback (most recent call last):\n  File 'run.py', line 21\n") is None


def test_a_finding_names_a_line_unless_it_is_a_note_or_unexplained() -> None:
    def finding(code: str, severity: str, line: int) -> dict[str, object]:
        return {"code": code, "severity": severity, "at": {"file": "/a/run.py", "line": line}}

    note, write = finding("GP101", "note", 3), finding("GP201", "error", 7)
    assert first_line({"findings": [note, write]}) == Named("run.py", 7)
    assert first_line({"findings": [finding("GP114", "error", 9)]}) is None
    assert first_line({"findings": [note]}) is None


def test_a_row_marks_what_is_right() -> None:
    here, there = Named("run.py", 2), Named("run.py", 3)
    row = Row("a program", "what it does", here, there, here)
    assert "| a program | run.py:2 | run.py:3 | run.py:2 **right** |" in markdown([row])
    well = Row("a program", "what it does", None, there, None)
    assert "| a program | nothing | run.py:3 | nothing **right** |" in markdown([well])


IN_PLACE = [case for case in judged() if case.program.stem.startswith("inplace_")]


@pytest.mark.parametrize("case", some(IN_PLACE, of=2), ids=lambda case: case.name)
def test_of_a_write_anomaly_mode_names_what_had_saved_and_gradprobe_the_write(case: Case) -> None:
    if case.missing:
        pytest.skip(f"needs {case.missing}")
    assert case.truth is not None
    row = compare(case.program)
    file, saved = case.truth["file"], case.truth["saved"]["line"]
    assert row.truth == row.gradprobe == Named(file, case.truth["line"])
    assert row.anomaly == Named(file, saved)
    assert "| " + " | ".join(row.cells(" **right**")) + " |" in PAGE.read_text(encoding="utf-8")


def test_the_page_has_a_row_for_every_program() -> None:
    assert len(IN_PLACE) == 4
    assert {path.parent for path in programs()} == {PROGRAMS}
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    for program in programs():
        name = program.stem.replace("_", " ")
        assert sum(line.startswith(f"| {name} |") for line in lines) == 1
