"""Which frame an op is laid to: the user's or a sampler library's, never torch's own."""

from __future__ import annotations

import os
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import gradprobe
from gradprobe.capture.call_stack import PLUMBING, CallStack
from tests.traced import trace

SITE = Path(torch.__file__).parents[1]
STDLIB = Path(sysconfig.get_paths()["stdlib"])
OWN = Path(gradprobe.__file__).parent


@pytest.mark.parametrize(
    "file",
    [
        torch.__file__,
        *(SITE / name / "part" / "file.py" for name in PLUMBING),
        STDLIB / "contextlib.py",
        OWN / "capture" / "recorder.py",
        OWN / "probe.py",
        OWN / "target.py",
        OWN / "stage_marks.py",
        "<frozen runpy>",
        "<eval_with_key>.7",
    ],
)
def test_plumbing(file: str | Path) -> None:
    assert CallStack().is_plumbing(str(file))


@pytest.mark.parametrize(
    "file",
    [
        *(SITE / f"{name}diffeq" / "_impl" / "odeint.py" for name in PLUMBING),
        SITE / "torchsde" / "sdeint.py",
        SITE / "torchvision" / "transforms.py",
        SITE / "k_diffusion" / "sampling.py",
        SITE / "diffusers" / "pipelines" / "pipeline.py",
        SITE / "torch.py",
        STDLIB / "site-packages" / "sampler" / "loop.py",
        OWN / "selftest" / "program.py",
        Path.home() / "torch" / "sampler.py",
        "/somewhere/run.py",
        "<stdin>",
        "<string>",
        "<ipython-input-1>",
    ],
)
def test_a_frame_that_users_think_of_as_theirs(file: str | Path) -> None:
    assert not CallStack().is_plumbing(str(file))


def test_a_place_has_one_number_and_nowhere_has_none() -> None:
    stack = CallStack()
    numbers = set()
    for _ in range(3):
        numbers.add(stack.place(sys._getframe()))
    (number,) = numbers
    assert number > 0
    assert stack.place(sys._getframe()) != number
    assert stack.place(None) == 0
    assert stack.places[0] is None
    code, lasti = stack.places[number] or (None, -1)
    assert code is sys._getframe().f_code
    assert 0 <= lasti < len(sys._getframe().f_code.co_code)


def test_the_stack_is_the_user_s_frames_outermost_first() -> None:
    stack = CallStack()

    def inner() -> list[str]:
        where = stack.stack(sys._getframe())
        found = [stack.places[site] for _, site, _ in where.frames]
        return [place[0].co_name for place in found if place is not None]

    names = inner()
    assert names[-2:] == ["test_the_stack_is_the_user_s_frames_outermost_first", "inner"]


def test_an_op_within_torch_is_laid_to_its_caller(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        import torch
        from torch.utils.checkpoint import checkpoint

        z0 = torch.ones(2, 3, requires_grad=True)
        model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.SiLU())
        loss = model(z0).sum()  # <- model
        torch.optim.SGD([z0], 0.1).step()
        """,
    )
    seen = run.trace
    linear = [op for op in range(len(seen.ops)) if "linear" in seen.ops.callee_of(op).name]
    assert linear
    assert all(run.is_at(seen.frame_of(op), "model") for op in linear)
    for op in range(len(seen.ops)):
        frame = seen.frame_of(op)
        assert frame is not None
        assert not frame.file.startswith(str(SITE / "torch") + os.sep)


def test_a_frame_is_not_taken_for_one_that_returned_at_its_address() -> None:
    """Frames of CPython are freed at once, and the next call mostly gets the same memory."""
    stack = CallStack()

    def inner() -> tuple[int, int]:
        frame = sys._getframe()
        found = stack.stack(frame).frames[-1][0]
        return found, stack.stack(frame).frames[-1][0]

    pairs = []
    for _ in range(20):
        pairs.append(inner())
        stack.stack(sys._getframe())  # what runs between two calls shows that the first is over
    assert all(first == second for first, second in pairs)
    assert len({first for first, _ in pairs}) == 20


def test_a_generator_is_the_same_activation_when_it_goes_on() -> None:
    stack = CallStack()

    def steps() -> Iterator[int]:
        while True:
            yield stack.stack(sys._getframe()).frames[-1][0]

    run = steps()
    seen = []
    for _ in range(3):
        seen.append(next(run))
        stack.stack(sys._getframe())
    assert len(set(seen)) == 1
