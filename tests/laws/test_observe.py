"""Observe, never alter: a run under the probe is the run without it, in all that it can see."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.laws.cases import Case, everything
from tests.laws.conftest import Nursery
from tests.thorough import some

_VERSION = re.compile(r" version=\d+")


def without_innermost_frame(text: str) -> list[object]:
    """The lines of a program's output, but for where it says that an exception came from.

    The probe's frame is the innermost one of a traceback that starts in a traced call: the only
    thing that a program can see of it. The cases that look print a JSON object.
    """
    lines: list[object] = []
    for line in text.splitlines():
        told = json.loads(line) if line.startswith('{"case"') else line
        if isinstance(told, dict) and "raised" in told:
            told = {key: value for key, value in told.items() if key not in ("at", "source")}
        lines.append(told)
    return lines


MEASURED = some(everything())
RUNS = [
    pytest.param(case, mode, id=f"{case.name}-{mode}")
    for case in everything()
    for mode in ("probed", "measured")
    if mode == "probed" or (not case.hides and case in MEASURED)
    # Compiled code runs eagerly under the probe, and overridable functions ask torch: other frames
    # are on the stack than without it.
    if not (case.truth or {}).get("other_frames")
]


# In these something leaves torch and goes on to a number, an array or a picture.
_HOST = ("import numpy", "import math", "PIL", ".item()", ".tolist()")
EXITS = [c for c in everything() if any(text in c.program.read_text() for text in _HOST)]


@pytest.mark.parametrize("case", EXITS, ids=lambda case: case.name)
def test_a_run_whose_values_are_followed_is_the_plain_run(nursery: Nursery, case: Case) -> None:
    test_a_probed_run_is_the_plain_run(nursery, case, "followed")


@pytest.mark.parametrize(("case", "mode"), RUNS)
def test_a_probed_run_is_the_plain_run(nursery: Nursery, case: Case, mode: str) -> None:
    plain = nursery.run(case, "plain")
    probed = nursery.run(case, mode)
    for part, expected in plain.items():
        seen = probed[part]
        if part == "tensors" and mode == "measured":
            # With a hook on a node the engine adds gradients up in new memory, not in place.
            expected, seen = ([_VERSION.sub("", t) for t in part] for part in (expected, seen))
        if part == "stdout":
            expected, seen = without_innermost_frame(expected), without_innermost_frame(seen)
        assert seen == expected, f"{part} differs under the probe"


IMPORTED = """
import sys
sys.path.insert(0, {folder!r})
import numpy, torch._dynamo, torch.utils.checkpoint, fingerprint
before, states = fingerprint.surface(), fingerprint.random_states()
import gradprobe.probe, gradprobe.render.json
print(fingerprint.changed(before, fingerprint.surface()))
print(states == fingerprint.random_states())
"""


def test_to_import_gradprobe_changes_nothing_of_torch() -> None:
    program = IMPORTED.format(folder=str(Path(__file__).parent))
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.splitlines() == ["[]", "True"]
