"""What healthy programs do on purpose is no break; beside each, the break that looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.traced import Traced, trace

TURNS = """
    z0 = torch.randn(4, requires_grad=True)
    w = torch.randn(4, requires_grad=True)
    for _ in range(3):
        z0.requires_grad_(False)
        (z0 * w).sum().backward()
        z0.requires_grad_(True)
        w.requires_grad_(False)
        (z0 * w).pow(2).sum().backward()
        w.requires_grad_(True)
"""
DETACHED = """
    z0 = torch.randn(4, requires_grad=True)
    w = torch.randn(4, requires_grad=True)
    for _ in range(2):
        fake = z0 * 2
        of_judge = (fake.detach() * w).sum()  # <- GP101
        of_judge.backward()
        loss = fake.pow(2).sum()
        loss.backward()
"""
HINGE = """
    z0 = torch.ones(4, requires_grad=True)
    optimizer = torch.optim.SGD([z0], lr=0.5)
    for _ in range(6):
        optimizer.zero_grad()
        loss = (z0.relu() + FLOOR).sum()
        loss.backward()
        optimizer.step()
"""
LABEL = """
    z0 = torch.randn(1, 4, requires_grad=True)
    predicted = z0.argmax(-1).tolist()
    target = torch.tensor([2])
    loss = torch.nn.functional.cross_entropy(z0, target)
    loss.backward()
"""
HOOKED = """
    class Block(torch.nn.Module):
        def forward(self, x, t):
            return x * t.cos()

    block = Block()
    block.register_full_backward_pre_hook(lambda module, got: None)
    block.register_full_backward_hook(lambda module, given, got: None)
    z0 = torch.randn(4, requires_grad=True)
    loss = block(z0, torch.ones(4)).sum()
    loss.backward()
"""
LATER = """
    z0 = torch.randn(4, requires_grad=True)
    loss = z0.pow(2).sum()
    loss.backward()
    again = torch.randn(4, requires_grad=True)
    print(again.pow(2).sum().item())
"""
LOADED = """
    import io
    file = io.BytesIO()
    z0 = torch.randn(4, requires_grad=True)
    torch.save({"z0": z0, "mask": torch.ones(4)}, file)
    file.seek(0)
    saved = torch.load(file)
    loss = (saved["mask"] * z0).sum()
    loss.backward()
"""
LAZY = """
    net = torch.nn.LazyLinear(2)
    z0 = torch.randn(4, requires_grad=True)
    loss = net(z0).sum()
    loss.backward()
"""
HEALTHY = {
    "two optimisers freeze what is not theirs": TURNS,
    "a discriminator sees a detached image": DETACHED,
    "a hinge loss is satisfied": HINGE.replace("FLOOR", "0"),
    "a bound is reached at a loss that is not 0": HINGE.replace("FLOOR", "1"),
    "a label has the shape of a predicted one": LABEL,
    "hooks on a module with a constant argument": HOOKED,
    "a leaf is made after the last backward": LATER,
    "a file holds an earlier leaf": LOADED,
    "a layer that learns its size": LAZY,
}


def loud(traced: Traced) -> list[str]:
    found = traced.report.findings
    return [f"{f.code} {f.leaf}: {f.message}" for f in found if f.severity != "note"]


@pytest.mark.parametrize("name", HEALTHY)
def test_a_healthy_program_is_called_so(tmp_path: Path, name: str) -> None:
    traced = trace(tmp_path, HEALTHY[name])
    assert traced.raised is None
    assert traced.report.verdict == "flows", traced.report.headline
    assert not loud(traced)
    assert not traced.report.unseen


def test_a_pass_that_is_another_leafs_turn_is_noted(tmp_path: Path) -> None:
    traced = trace(tmp_path, DETACHED)
    (note,) = traced.report.findings
    assert (note.code, note.severity, note.leaf) == ("GP101", "note", "z0")
    assert traced.is_at(note.at, "GP101")
    assert "of_judge seems not meant for it" in note.message


def test_convergence_is_said_with_the_last_gradient_that_was(tmp_path: Path) -> None:
    report = trace(tmp_path, HINGE.replace("FLOOR", "0")).report
    (leaf,) = report.leaves
    assert leaf.grad is not None
    assert leaf.grad.norm == pytest.approx(2.0)
    assert leaf.layers.healthy.answer == "yes"
    assert "nothing was left to improve" in leaf.layers.healthy.sentence


BREAKS = {
    "frozen in every pass": (
        """
        z0 = torch.randn(4, requires_grad=True)
        w = torch.randn(4, requires_grad=True)
        z0.requires_grad_(False)  # <- guilty
        for _ in range(3):
            (z0 * w).sum().backward()
        """,
        "broken",
        "GP108",
    ),
    "detached from the second turn of one loop on": (
        """
        z0 = torch.randn(4, requires_grad=True)
        w = torch.randn(4, requires_grad=True)
        x = z0
        for _ in range(3):
            loss = (x * w).sum()
            loss.backward()
            x = (z0 * 2).detach()  # <- guilty
        """,
        "broken",
        "GP101",
    ),
    "lost without a detach in one of two backwards": (
        """
        z0 = torch.randn(4, requires_grad=True)
        w = torch.randn(4, requires_grad=True)
        z0.pow(2).sum().backward()
        with torch.no_grad():
            x = z0 * 2  # <- guilty
        (x * w).sum().backward()
        """,
        "broken",
        "GP102",
    ),
    "zero from the first pass on": (
        """
        z0 = -torch.ones(4)
        z0.requires_grad_()
        for _ in range(3):
            loss = z0.relu().sum()
            loss.backward()  # <- guilty
        """,
        "zero",
        "GP114",
    ),
    "zero where the loss is higher than it was": (
        """
        z0 = torch.zeros(4, requires_grad=True)
        for _ in range(3):
            loss = z0.clamp(max=1.0).sum()
            loss.backward()  # <- guilty
            with torch.no_grad():
                z0 += 2
        """,
        "zero",
        "GP114",
    ),
    "a predicted label comes back by itself": (
        """
        z0 = torch.randn(1, 4, requires_grad=True)
        codes = torch.randn(4, 3, requires_grad=True)
        label = z0.argmax(-1).numpy()  # <- guilty
        loss = codes[torch.from_numpy(label)].sum()
        loss.backward()
        """,
        "broken",
        "GP104",
    ),
    "a hooked module that detaches": (
        """
        class Block(torch.nn.Module):
            def forward(self, x, t):
                return x + (x * t).detach()  # <- guilty

        block = Block()
        block.register_full_backward_hook(lambda module, given, got: None)
        z0 = torch.randn(4, requires_grad=True)
        loss = block(z0, torch.ones(4)).sum()
        loss.backward()
        """,
        "partial",
        "GP101",
    ),
}


@pytest.mark.parametrize("name", BREAKS)
def test_the_break_that_looks_like_it_is_found(tmp_path: Path, name: str) -> None:
    text, verdict, code = BREAKS[name]
    traced = trace(tmp_path, text)
    assert traced.report.verdict == verdict, traced.report.headline
    assert (traced.first.code, traced.first.leaf) == (code, "z0")
    assert traced.is_at(traced.first.at, "guilty"), traced.first.at


def test_a_loaded_leaf_that_is_used_is_a_leaf(tmp_path: Path) -> None:
    file = tmp_path / "noise.pt"
    torch.save(torch.randn(4, requires_grad=True), file)
    text = """
        z0 = torch.load(file)
        w = torch.randn(4, requires_grad=True)
        loss = (z0.detach() * w).sum()  # <- guilty
        loss.backward()
    """
    traced = trace(tmp_path, text, given={"file": file})
    assert traced.report.verdict == "broken"
    assert (traced.first.code, traced.first.leaf) == ("GP101", "z0")
    assert traced.is_at(traced.first.at, "guilty")
