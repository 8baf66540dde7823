"""`gradprobe trace` runs a program again where a gradient is zero or not finite, and only there."""

from __future__ import annotations

import json
import textwrap
from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import Run

CLIPPED = """
import os, sys
from pathlib import Path
import torch

log = Path(__file__).with_name("runs.log")
with log.open("a") as file:
    print(os.getcwd(), sys.argv[1:], os.environ.get("CHANGED"), file=file)
os.environ["CHANGED"] = "by the program"
os.chdir("/")
print("on standard output")
z0 = torch.full((4,), START, requires_grad=True)
x = (z0 * 80.0).clamp(-1.0, 1.0)
loss = (x - 0.25).pow(2).mean()
loss.backward()
"""


def write(folder: Path, text: str, **names: str) -> str:
    for name, value in names.items():
        text = text.replace(name, value)
    (folder / "run.py").write_text(textwrap.dedent(text).lstrip(), encoding="utf-8")
    return "run.py"


def runs(folder: Path) -> list[str]:
    return (folder / "runs.log").read_text().splitlines()


def line_of(text: str, part: str) -> int:
    return 1 + next(n for n, line in enumerate(text.lstrip().splitlines()) if part in line)


def report(process: Run, *arguments: str, **options: Any) -> tuple[dict[str, Any], int, str]:
    done = process("trace", "--format", "json", *arguments, **options)
    return json.loads(done.stdout), done.returncode, done.stderr


def test_a_zero_gradient_is_traced_to_its_op_by_a_second_run(here: Path, process: Run) -> None:
    program = write(here, CLIPPED, START="2.0")
    told, code, stderr = report(process, program, "--steps", "4")
    first = told["findings"][0]
    assert (first["code"], first["at"]["line"]) == ("GP303", line_of(CLIPPED, ".clamp("))
    assert (told["verdict"], code) == ("zero", 1)
    # Each began as the first one did, and what the second printed was thrown away.
    assert runs(here) == [f"{here} ['--steps', '4'] None"] * 2
    assert stderr.count("on standard output") == 1
    assert "z0's gradient is exactly zero: running the program again to find the op" in stderr
    assert told["environment"]["command"] == [program, "--steps", "4"]


def test_a_gradient_that_is_not_finite_is_traced_too(here: Path, process: Run) -> None:
    text = """
    import torch
    z0 = torch.zeros(4, requires_grad=True)
    loss = (z0 * z0).sum().sqrt()
    loss.backward()
    """
    told, code, stderr = report(process, write(here, text))
    first = told["findings"][0]
    assert (first["code"], first["at"]["line"], code) == ("GP302", 3, 1)
    assert "z0's gradient is not finite: running the program again" in stderr


@pytest.mark.parametrize(
    ("numerics", "code"), [("stages", "GP114"), ("nodes", "GP303")], ids=["stages", "nodes"]
)
def test_one_run_is_enough_where_it_was_asked_for(
    numerics: str, code: str, here: Path, process: Run
) -> None:
    told, _, stderr = report(process, "--numerics", numerics, write(here, CLIPPED, START="2.0"))
    assert told["findings"][0]["code"] == code
    assert len(runs(here)) == 1
    assert "again" not in stderr


def test_a_healthy_program_runs_once(here: Path, process: Run) -> None:
    told, code, _ = report(process, write(here, CLIPPED, START="0.001"))
    assert (told["verdict"], code) == ("flows", 0)
    assert len(runs(here)) == 1


def test_a_project_can_ask_for_one_run(here: Path, process: Run) -> None:
    (here / "pyproject.toml").write_text('[tool.gradprobe]\nnumerics = "stages"\n')
    told, _, _ = report(process, write(here, CLIPPED, START="2.0"))
    assert told["findings"][0]["code"] == "GP114"
    assert len(runs(here)) == 1


def test_a_program_that_does_otherwise_the_second_time_keeps_its_first_report(
    here: Path, process: Run
) -> None:
    start = "(0.001 if len(log.read_text().splitlines()) > 1 else 2.0)"
    told, code, _ = report(process, write(here, CLIPPED, START=start))
    assert (told["verdict"], told["findings"][0]["code"], code) == ("zero", "GP114", 1)
    assert any("ended otherwise (flows): give it a fixed seed" in said for said in told["unseen"])


def test_a_launcher_s_process_is_not_run_alone(
    here: Path, process: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "7")
    told, _, _ = report(process, write(here, CLIPPED, START="2.0"))
    assert len(runs(here)) == 1
    assert any("a launcher started this process" in sentence for sentence in told["unseen"])


def test_a_module_and_a_function_run_again_as_they_were_named(here: Path, process: Run) -> None:
    write(here, CLIPPED, START="2.0")
    told, _, _ = report(process, "-m", "run")
    assert told["findings"][0]["code"] == "GP303"
    (here / "other.py").write_text(
        "import torch\ndef main():\n    z0 = torch.full((4,), 2.0, requires_grad=True)\n"
        "    z0.mul(80).clamp(-1, 1).sum().backward()\n"
    )
    told, _, _ = report(process, "other.py:main")
    first = told["findings"][0]
    assert (first["code"], first["at"]["line"]) == ("GP303", 4)


HELD = """
import sys
from pathlib import Path
import numpy as np
import torch

with Path(__file__).with_name("runs.log").open("a") as file:
    print("ran", file=file)
torch.manual_seed(0)
z0 = torch.randn(4, requires_grad=True)
x = z0 * 80.0
LINE
loss = x.pow(2).mean()
loss.backward()
"""
COMES_BACK = {
    "number": "x = x * (0.8 / x.std().item() + 0.2)",
    "NumPy's number": "s = np.median(x.detach().numpy()) + 1.0; x = x * s",
    "array": "x = torch.from_numpy(np.append(x.detach().numpy(), 1.0)) * 2",
    "array of the same shape": "x = torch.from_numpy(x.detach().numpy() * 2)",
}


@pytest.mark.parametrize("line", COMES_BACK.values(), ids=COMES_BACK)
def test_what_may_have_come_back_is_followed_by_a_second_run(
    line: str, here: Path, process: Run
) -> None:
    told, _, stderr = report(process, write(here, HELD, LINE=line))
    first = told["findings"][0]
    assert (first["code"], first["certainty"]) == ("GP104", "proven")
    assert first["at"]["line"] == line_of(HELD, "LINE")
    assert told["verdict"] == ("partial" if "x = x *" in line else "broken")
    assert len(runs(here)) == 2
    assert "values of z0 left torch: running the program again" in stderr


STAYS_OUT = {
    "logged": "print(x.std().item(), x.detach().numpy().max()); x = x * 0.18215 + torch.tensor(3)",
    "known again": "x = x / x.std().item()",
    "lost for another reason": "x = x.detach() * 2; print(x.std().item())",
}


@pytest.mark.parametrize("line", STAYS_OUT.values(), ids=STAYS_OUT)
def test_one_run_is_enough_where_following_tells_nothing_more(
    line: str, here: Path, process: Run
) -> None:
    _, _, stderr = report(process, write(here, HELD, LINE=line))
    assert len(runs(here)) == 1
    assert "again" not in stderr


@pytest.mark.parametrize(("option", "certainty"), [("on", "proven"), ("off", "suspected")])
def test_following_can_be_asked_for_or_not(
    option: str, certainty: str, here: Path, process: Run
) -> None:
    line = COMES_BACK["array of the same shape"]
    program = write(here, HELD, LINE=line)
    told, _, _ = report(process, "--follow-host", option, program)
    assert told["findings"][0]["certainty"] == certainty
    (here / "pyproject.toml").write_text(f'[tool.gradprobe]\nfollow-host = "{option}"\n')
    told, _, _ = report(process, program)
    assert told["findings"][0]["certainty"] == certainty
    assert len(runs(here)) == 2


def test_one_second_run_serves_both_aims(here: Path, process: Run) -> None:
    line = "x = (x * (1 + x.std().item())).clamp(-1e-9, 1e-9)"
    told, _, _ = report(process, write(here, HELD, LINE=line))
    assert told["verdict"] == "zero"
    assert {"GP104", "GP303"} == {found["code"] for found in told["findings"]}
    assert len(runs(here)) == 2


def test_what_is_followed_to_no_return_is_said(here: Path, process: Run) -> None:
    line = (
        "import json; text = json.dumps(x.tolist()); "
        "x = torch.from_numpy(np.array(json.loads(text), np.float32) * 2)"
    )
    told, _, _ = report(process, write(here, HELD, LINE=line))
    assert told["findings"][0]["certainty"] == "suspected"
    assert "what left torch was followed in a second run, to no return" in told["unseen"]
    assert len(runs(here)) == 2


def test_a_loss_at_random_keeps_its_first_report(here: Path, process: Run) -> None:
    line = (
        "n = len(Path(__file__).with_name('runs.log').read_text().splitlines()); "
        "x = torch.from_numpy(x.detach().numpy() * 2) if n == 1 else x / 2"
    )
    told, _, _ = report(process, write(here, HELD, LINE=line))
    assert (told["verdict"], told["findings"][0]["certainty"]) == ("broken", "suspected")
    assert any("ended otherwise (flows)" in said for said in told["unseen"])
    assert any("--follow-host on" in said for said in told["unseen"])
