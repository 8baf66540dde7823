"""The examples for continuous integration are what their readers take, and their commands run."""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from pre_commit.clientlib import load_config

ROOT = Path(__file__).resolve().parents[1]
WORKFLOW = ROOT / "examples" / "ci" / "gradient-flow.yml"
HOOKS = ROOT / "examples" / "ci" / "pre-commit-config.yaml"
BROKEN = """\
import torch

z0 = torch.ones(3, requires_grad=True)
x = (z0 * 2.0).detach()
(x * z0).sum().backward()
x.requires_grad_()
loss = x.square().sum()
loss.backward()
"""


def steps() -> list[dict[str, Any]]:
    workflow = yaml.safe_load(WORKFLOW.read_text(encoding="utf-8"))
    found: list[dict[str, Any]] = workflow["jobs"]["trace"]["steps"]
    return found


def commands() -> list[str]:
    hook = load_config(HOOKS)["repos"][0]["hooks"][0]
    runs = [step["run"] for step in steps() if step.get("run", "").startswith("gradprobe ")]
    return [*runs, hook["entry"]]


def test_the_workflow_follows_github_s_schema() -> None:
    line = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", "vendor.github-workflows"]
    done = subprocess.run([*line, str(WORKFLOW)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_what_is_uploaded_is_what_was_written() -> None:
    (run,) = [step["run"] for step in steps() if step.get("run", "").startswith("gradprobe ")]
    uploaded = [step["with"] for step in steps() if "upload" in step.get("uses", "")]
    assert [each.get("sarif_file") or each["path"] for each in uploaded] == [
        name for flag, name in zip(run.split(), run.split()[1:], strict=False) if flag == "-o"
    ]


@pytest.mark.parametrize("command", commands())
def test_each_command_fails_on_a_lost_gradient_and_names_its_line(
    command: str, tmp_path: Path
) -> None:
    (tmp_path / "check_gradient.py").write_text(BROKEN)
    program, *arguments = shlex.split(command)
    line = [sys.executable, "-m", program, *arguments, "--fail-on", "warning"]
    line.insert(line.index("trace") + 1, line.pop())
    line.insert(line.index("trace") + 1, line.pop())
    done = subprocess.run(line, capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 1, done.stderr
    assert "check_gradient.py" in done.stdout
    assert "GP101" in done.stdout
    sarif = tmp_path / "gradprobe.sarif"
    if str(sarif.name) in command:
        results = json.loads(sarif.read_text())["runs"][0]["results"]
        assert {result["ruleId"] for result in results} == {"GP101"}
