"""GP203: the second backward, the one that freed its graph, and the value that links them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.traced import Traced, trace

MADE, AGAIN = "made before both", "used again"

# What both backward passes go through is made on the line `made` and used again on `again`.
BREAKS = {
    "an addition beside it": """
        z0 = torch.randn(4, requires_grad=True)
        harmless = z0 + 1
        start = (z0 * 2).tanh()  # <- made
        (start * 3).sum().backward()  # <- opens
        loss = (
            harmless + start.exp()  # <- again
        ).sum()
        loss.backward()  # <- GP203
    """,
    "kept, then freed": """
        z0 = torch.randn(4, requires_grad=True)
        start = z0.exp()  # <- made
        start.sum().backward(retain_graph=True)
        start.pow(2).sum().backward()  # <- opens
        loss = start.pow(3).sum()  # <- again
        loss.backward()  # <- GP203
    """,
    "torch.autograd.grad frees the way to its inputs alone": """
        z0 = torch.randn(4, requires_grad=True)
        c = torch.randn(4, requires_grad=True)
        h, k = z0.exp(), c.exp()
        torch.autograd.grad((h * k).sum(), c)
        torch.autograd.grad(h.sum(), z0)  # <- opens
        again = h * 2.0
        torch.autograd.grad(again.sum(), z0)  # <- GP203
    """,
    "another result of the same op": """
        z0 = torch.randn(2, 4, requires_grad=True)
        out, (h, c) = torch.nn.LSTM(4, 4)(z0)  # <- made
        out.sum().backward()  # <- opens
        loss = c.sum()
        loss.backward()  # <- GP203
    """,
    "a second-order gradient": """
        z0 = torch.randn(4, requires_grad=True)
        h = z0.exp()  # <- made
        (slope,) = torch.autograd.grad(h.pow(3).sum(), z0, create_graph=True)
        slope.pow(2).sum().backward()  # <- opens
        loss = h.sum()  # <- again
        loss.backward()  # <- GP203
    """,
    "a checkpoint": """
        from torch.utils.checkpoint import checkpoint
        z0 = torch.randn(4, requires_grad=True)
        h = checkpoint(torch.exp, z0, use_reentrant=True)  # <- made
        h.sum().backward()  # <- opens
        loss = h.mean()  # <- again
        loss.backward()  # <- GP203
    """,
}


def assert_freed(run: Traced) -> None:
    first = run.first
    assert (first.code, first.severity, first.certainty) == ("GP203", "error", "proven")
    assert run.is_at(first.at, "GP203"), first.at
    assert run.is_at(first.opened_by, "opens"), first.opened_by
    assert run.report.verdict == "error"
    assert len(run.report.findings) == 1


@pytest.mark.parametrize("text", BREAKS.values(), ids=BREAKS)
def test_both_lines_are_named_and_what_links_them(text: str, tmp_path: Path) -> None:
    run = trace(tmp_path, text)
    assert isinstance(run.raised, RuntimeError)
    assert "through the graph a second time" in str(run.raised)
    assert_freed(run)
    if "# <- made" in text:
        said = [(related.word, related.at.line) for related in run.first.related]
        used = [(AGAIN, run.line("again"))] if "# <- again" in text else []
        assert said == [(MADE, run.line("made")), *used]


def test_a_root_asked_twice_is_the_link_itself(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        loss = z0.exp().sum()  # <- made
        loss.backward()  # <- opens
        loss.backward()  # <- GP203
        """,
    )
    assert_freed(run)
    assert run.first.message == "an earlier backward already freed the graph of loss"
    assert [(r.word, r.at.line) for r in run.first.related] == [(MADE, run.line("made"))]
    assert "one way" not in run.report.leaves[0].layers.complete.sentence


def test_one_line_in_a_loop_is_said_to_be_so(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        start = z0.exp()
        for _ in range(3):
            loss = start.pow(2).sum()
            try:
                loss.backward()  # <- GP203
            except RuntimeError:
                pass
        """,
    )
    assert run.raised is None
    assert run.is_at(run.first.at, "GP203")
    assert run.first.opened_by == run.first.at
    assert run.first.message == (
        f"the result of Tensor.exp at {run.path.name}:2 feeds loss again, but an earlier call of "
        "this very line freed its graph"
    )
    text = run.report.render("text")
    assert "cause -->" not in text
    assert "lost at" not in text


def test_a_backward_that_was_not_seen_is_suspected(tmp_path: Path) -> None:
    z0 = torch.randn(4, requires_grad=True)
    start = z0.exp()
    start.sum().backward()
    text = """
        loss = (start * z0).sum()
        loss.backward()  # <- GP203
    """
    run = trace(tmp_path, text, given={"start": start, "z0": z0})
    first = run.first
    assert (first.code, first.certainty, first.opened_by) == ("GP203", "suspected", None)
    assert run.is_at(first.at, "GP203")
    assert first.related == ()


HEALTHY = {
    "kept": """
        z0 = torch.randn(4, requires_grad=True)
        start = z0.exp()
        start.sum().backward(retain_graph=True)
        start.pow(2).sum().backward()
    """,
    "an addition saves nothing": """
        z0 = torch.randn(4, requires_grad=True)
        start = z0 + 1
        for _ in range(2):
            start.pow(2).sum().backward()
    """,
    "made anew": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(2):
            z0.exp().sum().backward()
    """,
    "a way that was not run is not freed": """
        z0 = torch.randn(4, requires_grad=True)
        c = torch.randn(4, requires_grad=True)
        h, k = z0.exp(), c.exp()
        torch.autograd.grad((h * k).sum(), c)
        h.sum().backward()
    """,
}


@pytest.mark.parametrize("text", HEALTHY.values(), ids=HEALTHY)
def test_what_is_kept_or_made_anew_is_no_finding(text: str, tmp_path: Path) -> None:
    run = trace(tmp_path, text)
    assert run.raised is None
    assert run.report.findings == ()
    assert run.report.verdict == "flows"
