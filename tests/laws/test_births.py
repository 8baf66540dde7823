"""The truth of tests/cases/anomaly, by plain torch: where Inf and NaN are born, and the write."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.laws.cases import Case, Place, judged

CASES = [case for case in judged() if case.program.parent.name == "anomaly"]
NONFINITE = [case for case in CASES if case.truth and case.truth["expect"] == "nan"]
IN_PLACE = [case for case in CASES if case.truth and case.truth["expect"] == "error"]


def python(*arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def skip_without(case: Case) -> None:
    if case.missing:
        pytest.skip(f"needs {case.missing}: see requirements/samplers.txt")


@pytest.mark.parametrize("case", NONFINITE, ids=lambda case: case.name)
def test_inf_or_nan_is_born_on_the_guilty_line(case: Case) -> None:
    skip_without(case)
    ran = python(Path(__file__).with_name("births.py"), case.program)
    assert ran.returncode == 0, ran.stderr
    birth = json.loads(ran.stdout.splitlines()[-1])
    assert birth is not None
    guilty = case.places()[0]
    assert Place(guilty.file, birth["line"]) == guilty, birth
    assert birth["file"].endswith(f"/{guilty.file}")


@pytest.mark.parametrize("case", IN_PLACE, ids=lambda case: case.name)
def test_without_the_write_backward_runs(case: Case, tmp_path: Path) -> None:
    skip_without(case)
    assert case.truth is not None
    lines = case.program.read_text(encoding="utf-8").splitlines()
    guilty = lines[case.truth["line"] - 1]
    lines[case.truth["line"] - 1] = guilty[: len(guilty) - len(guilty.lstrip())] + "pass"
    program = tmp_path / "healed.py"
    folder = str(case.program.parent)
    program.write_text(f"import sys; sys.path.insert(0, {folder!r})\n" + "\n".join(lines))
    broken, whole = python(case.program), python(program)
    assert "modified by an inplace operation" in broken.stderr
    assert whole.returncode == 0, whole.stderr


@pytest.mark.parametrize("case", IN_PLACE, ids=lambda case: case.name)
def test_the_line_that_saved_is_the_marked_line(case: Case) -> None:
    assert case.truth is not None
    saved = case.truth["saved"]
    line = case.program.read_text(encoding="utf-8").splitlines()[saved["line"] - 1]
    assert line.strip().startswith(saved["source"])
    assert line.endswith("# SAVED")
