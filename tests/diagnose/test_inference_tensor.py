"""GP205: the op that was refused, and the inference scope in which its tensor was made."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.traced import trace

BREAKS = {
    "a decorated function, and views of what it gave": """
        z0 = torch.randn(4, requires_grad=True)

        @torch.inference_mode()  # <- opens
        def encode():
            return torch.ones(4) * 3  # <- made

        embedding = encode().view(4)[:]
        loss = (z0 * embedding).sum()  # <- GP205
    """,
    "weights made in inference mode": """
        z0 = torch.randn(1, 4, requires_grad=True)
        with torch.inference_mode():  # <- opens
            net = torch.nn.Linear(4, 4)  # <- made
        loss = net(z0 * 3).sum()  # <- GP205
    """,
    "a write": """
        z0 = torch.randn(4, requires_grad=True)
        with torch.inference_mode():  # <- opens
            buffer = torch.zeros(4)  # <- made
        buffer.add_(z0)  # <- GP205
    """,
    "a leaf that had its gradient before, and does not feed the op": """
        z0 = torch.randn(4, requires_grad=True)
        weight = torch.nn.Parameter(torch.ones(4))
        z0.pow(2).sum().backward()
        with torch.inference_mode():  # <- opens
            embedding = torch.ones(4)  # <- made
        loss = (weight * embedding).sum()  # <- GP205
    """,
}


@pytest.mark.parametrize("text", BREAKS.values(), ids=BREAKS)
def test_the_op_and_the_scope_are_named(text: str, tmp_path: Path) -> None:
    run = trace(tmp_path, text)
    assert isinstance(run.raised, RuntimeError)
    first = run.first
    assert (first.code, first.severity, first.certainty) == ("GP205", "error", "proven")
    assert run.is_at(first.at, "GP205"), first.at
    assert run.is_at(first.opened_by, "opens"), first.opened_by
    assert [(r.word, r.at.line) for r in first.related] == [
        ("made in inference mode", run.line("made"))
    ]
    assert run.report.verdict == "error"


def test_a_write_is_said_to_be_one(tmp_path: Path) -> None:
    run = trace(tmp_path, BREAKS["a write"])
    assert run.first.message == (
        "a tensor made inside `with torch.inference_mode()` is written in place by Tensor.add_ "
        "outside of it"
    )


def test_a_tensor_made_before_the_probe_has_no_scope(tmp_path: Path) -> None:
    with torch.inference_mode():
        embedding = torch.ones(4)
    text = """
        z0 = torch.randn(4, requires_grad=True)
        loss = (z0 * embedding).sum()  # <- GP205
    """
    run = trace(tmp_path, text, given={"embedding": embedding})
    assert run.is_at(run.first.at, "GP205")
    assert (run.first.certainty, run.first.opened_by) == ("proven", None)
    assert run.first.message == (
        "Tensor.mul must save a tensor made in inference mode for backward, and autograd refuses "
        "that"
    )


def test_of_the_leafs_own_values_no_clone_is_advised(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        weight = torch.nn.Parameter(torch.ones(4))
        with torch.inference_mode():  # <- opens
            x = z0 * 3  # <- made
        loss = (x * weight).sum()  # <- GP205
        """,
    )
    assert [f.code for f in run.report.findings] == ["GP205", "GP103"]
    assert run.first.fix == "leave inference mode before z0's values are used"


@pytest.mark.parametrize("healed", ["weight * embedding.clone()", "weight + embedding"])
def test_a_clone_or_an_addition_is_no_finding(healed: str, tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        f"""
        z0 = torch.randn(4, requires_grad=True)
        weight = torch.nn.Parameter(torch.ones(4))
        with torch.inference_mode():
            embedding = torch.ones(4)
        loss = (z0 * ({healed})).sum()
        loss.backward()
        """,
    )
    assert run.raised is None
    assert run.report.findings == ()
