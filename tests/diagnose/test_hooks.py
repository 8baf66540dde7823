"""GP206 in small programs: what is an error, a warning, a note, and nothing at all."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.traced import Traced, trace

START = """
import torch
z0 = torch.randn(4, requires_grad=True)
"""


def run(tmp_path: Path, text: str) -> Traced:
    return trace(tmp_path, START + text)


ERRORS = {
    "zero, a lambda": (
        "zero",
        """
x = z0 * 2
x.register_hook(lambda g: g * 0)  # <- GP206
x.exp().sum().backward()
""",
    ),
    "zero, in place": (
        "zero",
        """
def hook(g):  # <- GP206
    g.zero_()
z0.register_hook(hook)  # <- opens
z0.exp().sum().backward()
""",
    ),
    "zero, a function of torch's own": (
        "zero",
        """
x = z0 * 2
x.register_hook(torch.zeros_like)  # <- GP206
x.exp().sum().backward()
""",
    ),
    "zero, a decorated method": (
        "zero",
        """
import functools
def plain(f):
    @functools.wraps(f)
    def inner(*args):
        return f(*args)
    return inner
class Gate:
    @plain
    def close(self, g):  # <- GP206
        return torch.zeros_like(g)
x = z0 * 2
x.register_hook(Gate().close)  # <- opens
x.exp().sum().backward()
""",
    ),
    "zero, a callable object": (
        "zero",
        """
class Gate:
    def __call__(self, g):  # <- GP206
        return torch.zeros_like(g)
x = z0 * 2
x.register_hook(Gate())  # <- opens
x.exp().sum().backward()
""",
    ),
    "nonfinite, on a node": (
        "nonfinite",
        """
def hook(given, got):  # <- GP206
    return (given[0] / 0,)
x = z0.exp()
x.grad_fn.register_hook(hook)  # <- opens
x.sum().backward()
""",
    ),
    "zero, on a module": (
        "zero",
        """
def hook(module, given, got):  # <- GP206
    return tuple(torch.zeros_like(g) for g in given)
block = torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.SiLU())
block[0].register_full_backward_hook(hook)  # <- opens
block(z0 * 2).sum().backward()
""",
    ),
    "zero, on all modules": (
        "zero",
        """
from torch.nn.modules import module
def hook(module, got):  # <- GP206
    return tuple(torch.zeros_like(g) for g in got)
handle = module.register_module_full_backward_pre_hook(hook)  # <- opens
block = torch.nn.SiLU()
block(z0 * 2).sum().backward()
handle.remove()
""",
    ),
    "zero, when .grad was written": (
        "zero",
        """
def hook(p):  # <- GP206
    p.grad.zero_()
z0.register_post_accumulate_grad_hook(hook)  # <- opens
z0.exp().sum().backward()
""",
    ),
    "dropped, when .grad was written": (
        "broken",
        """
def hook(p):  # <- GP206
    p.grad = None
z0.register_post_accumulate_grad_hook(hook)  # <- opens
z0.exp().sum().backward()
""",
    ),
}


@pytest.mark.parametrize(("verdict", "text"), ERRORS.values(), ids=ERRORS)
def test_the_hook_and_its_registration_are_named(verdict: str, text: str, tmp_path: Path) -> None:
    seen = run(tmp_path, text)
    assert seen.raised is None
    first = seen.first
    assert (first.code, first.severity, seen.report.verdict) == ("GP206", "error", verdict)
    assert seen.is_at(first.at, "GP206"), first.at
    if "# <- opens" in text:
        assert seen.is_at(first.opened_by, "opens"), first.opened_by
    else:
        assert first.opened_by is None
    assert first.certainty == ("suspected" if verdict == "broken" else "proven")
    assert len(seen.report.findings) == 1
    assert seen.report.leaves[0].layers.healthy.answer == "no"


def test_a_gradient_lost_on_one_of_two_ways_is_a_warning(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
x = z0 * 2
x.register_hook(lambda g: g * 0)  # <- GP206
(x.exp() + z0).sum().backward()
""",
    )
    assert (seen.first.code, seen.first.severity) == ("GP206", "warning")
    assert seen.is_at(seen.first.at, "GP206")
    assert seen.report.verdict == "partial"


CHANGES = {
    "clip": "x.register_hook(lambda g: g.clamp(-0.1, 0.1))",
    "normalise": "x.register_hook(lambda g: g / g.norm())",
    "scale": "z0.register_hook(lambda g: g * 1024)",
    "a mask": "x.register_hook(lambda g: g * torch.tensor([1.0, 0.0, 1.0, 1.0]))",
    "a guard": "(x * 1).register_hook(torch.nan_to_num); x.register_hook(lambda g: g + 1)",
    "in place, when .grad was written": (
        "z0.register_post_accumulate_grad_hook(lambda p: (p.grad.clamp_(-1, 1), None)[1])"
    ),
}


@pytest.mark.parametrize("hook", CHANGES.values(), ids=CHANGES)
def test_a_gradient_that_a_hook_only_shapes_is_a_note(hook: str, tmp_path: Path) -> None:
    seen = run(tmp_path, f"x = z0 * 2\n{hook}  # <- hook\nx.exp().sum().backward()\n")
    assert seen.report.verdict == "flows"
    (note,) = seen.report.findings
    assert (note.code, note.severity, note.certainty) == ("GP206", "note", "proven")
    assert seen.is_at(note.at, "hook")


def test_repeats_of_one_hook_are_one_note(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
x = z0
for _ in range(5):
    x = x * 1.5
    x.register_hook(lambda g: g.clamp(-0.1, 0.1))  # <- hook
x.exp().sum().backward()
""",
    )
    (note,) = seen.report.findings
    assert (note.severity, seen.report.verdict) == ("note", "flows")
    assert note.count > 1


SILENT = {
    "looks": "norms = []\nx.register_hook(lambda g: norms.append(g.norm()))",
    "a guard with nothing to do": "x.register_hook(torch.nan_to_num)",
    "the optimiser in backward": """
optimizer = torch.optim.Adam([z0])
def step(p):
    optimizer.step()
    optimizer.zero_grad()
z0.register_post_accumulate_grad_hook(step)""",
    "offloaded": """
kept = []
def keep(p):
    kept.append(p.grad.to("cpu", copy=True))
    p.grad = None
z0.register_post_accumulate_grad_hook(keep)""",
    "on another leaf": """
w = torch.ones(4, requires_grad=True)
x = x * w
w.register_hook(lambda g: g * 0)""",
    "removed": "x.register_hook(lambda g: g * 0).remove()",
}


@pytest.mark.parametrize("hook", SILENT.values(), ids=SILENT)
def test_what_changes_nothing_of_the_leaf_is_not_told_of(hook: str, tmp_path: Path) -> None:
    seen = run(tmp_path, f"x = z0 * 2\n{hook}\nx.exp().sum().backward()\n")
    assert seen.raised is None
    assert [f for f in seen.report.findings if f.code == "GP206" and f.leaf == "z0"] == []
    leaf = next(leaf for leaf in seen.report.leaves if leaf.name == "z0")
    assert leaf.verdict == "flows"


def test_a_guard_that_mends_a_gradient_is_a_note(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
with torch.no_grad():
    z0[0] = 0.0
x = z0 * 1.0
x.register_hook(torch.nan_to_num)  # <- hook
(x * x).sqrt().sum().backward()
""",
    )
    assert seen.report.verdict == "flows"
    (note,) = seen.report.findings
    assert (note.code, note.severity) == ("GP206", "note")
    assert seen.is_at(note.at, "hook")
