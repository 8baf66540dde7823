"""GP201 and GP204: the line that wrote, and the line that had kept what was written."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from tests.traced import Traced, trace

# Each program raises in backward: the write is marked, and the op that had kept the tensor.
SPOILED = {
    "a result, by an operator": """
        z0 = torch.randn(4, requires_grad=True)
        h = torch.tanh(z0)  # <- saved
        h += z0  # <- write
        h.sum().backward()
    """,
    "an input": """
        z0 = torch.randn(4, requires_grad=True)
        x = z0 * 2
        y = x.pow(2)  # <- saved
        x.add_(1)  # <- write
        y.sum().backward()
    """,
    "a constant factor": """
        z0 = torch.randn(4, requires_grad=True)
        scale = torch.ones(4)
        y = z0 * scale  # <- saved
        scale.zero_()  # <- write
        y.sum().backward()
    """,
    "a buffer that every step uses again": """
        z0 = torch.randn(4, requires_grad=True)
        buffer = torch.empty(4)
        x = z0
        for _ in range(3):
            buffer.copy_(torch.full((4,), 0.5))  # <- write
            x = x * buffer  # <- saved
        x.sum().backward()
    """,
    "one element": """
        z0 = torch.randn(4, requires_grad=True)
        h = torch.exp(z0)  # <- saved
        h[0] = 0.0  # <- write
        h.sum().backward()
    """,
    "by a module that works in place": """
        z0 = torch.randn(4, requires_grad=True)
        h = torch.sigmoid(z0)  # <- saved
        h = torch.nn.functional.relu(h, inplace=True)  # <- write
        h.sum().backward()
    """,
    "through a view": """
        z0 = torch.randn(2, 3, requires_grad=True)
        h = z0.exp()  # <- saved
        h.t().mul_(2)  # <- write
        h.sum().backward()
    """,
    "a view that is gone": """
        z0 = torch.randn(6, requires_grad=True)
        x = z0 * 2
        y = x.view(2, 3).exp2().sum() + x.view(3, 2).pow(3).sum()  # <- saved
        x.mul_(2)  # <- write
        y.backward()
    """,
    "through a detached alias": """
        z0 = torch.randn(4, requires_grad=True)
        x = z0 * 2
        y = x.sin()  # <- saved
        alias = x.detach()
        alias.fill_(0.0)  # <- write
        y.sum().backward()
    """,
    "the leaf itself, updated too early": """
        z0 = torch.randn(4, requires_grad=True)
        y = z0.pow(3)  # <- saved
        with torch.no_grad():
            z0.sub_(0.1)  # <- write
        y.sum().backward()
    """,
    "a weight, by an optimiser's step": """
        z0 = torch.randn(2, 3, requires_grad=True)
        model = torch.nn.Linear(3, 3)
        optimiser = torch.optim.Adam(model.parameters())
        first = model(z0).pow(2).sum()
        first.backward(retain_graph=True)
        again = model(model(z0)).sum()  # <- saved
        optimiser.step()  # <- write
        again.backward()
    """,
    "a weight that is not square": """
        z0 = torch.randn(2, 5, 3, requires_grad=True)
        model = torch.nn.Linear(3, 4)
        optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
        model(z0).pow(2).sum().backward()
        again = model(z0).sum()  # <- saved
        optimiser.step()  # <- write
        again.backward()
    """,
    "what a custom Function kept": """
        class Square(torch.autograd.Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x * x

            @staticmethod
            def backward(ctx, grad):
                (x,) = ctx.saved_tensors
                return 2 * x * grad

        z0 = torch.randn(4, requires_grad=True)
        x = z0 + 1
        y = Square.apply(x)  # <- saved
        x.mul_(0.5)  # <- write
        y.sum().backward()
    """,
    "an index": """
        z0 = torch.randn(4, requires_grad=True)
        order = torch.tensor([1, 0])
        y = z0[order]  # <- saved
        order += 1  # <- write
        y.sum().backward()
    """,
    "in bfloat16": """
        z0 = torch.randn(4, 3, requires_grad=True)
        layer = torch.nn.Linear(3, 3)
        with torch.autocast("cpu", torch.bfloat16):
            h = torch.tanh(layer(z0))  # <- saved
            h += 1  # <- write
        h.float().sum().backward()
    """,
    "in complex numbers": """
        z0 = torch.randn(8, requires_grad=True)
        f = torch.fft.fft(z0)
        size = f.abs()  # <- saved
        f *= 2  # <- write
        size.sum().backward()
    """,
    "a mask": """
        z0 = torch.randn(8, requires_grad=True)
        mask = z0 > 0
        y = torch.where(mask, z0, z0 * 2)  # <- saved
        mask.logical_not_()  # <- write
        y.sum().backward()
    """,
    "a part of a buffer, by a later step": """
        z0 = torch.randn(3, 4, requires_grad=True)
        history = torch.zeros(3, 4)
        total = 0.0
        for step in range(3):
            history[step] = z0[step] * 2  # <- write
            total = total + (history * history).sum()  # <- saved
        total.backward()
    """,
    "a slice": """
        z0 = torch.randn(2, 8, requires_grad=True)
        x = z0 * 3
        a, b = x[:1], x[1:]
        y = a.exp() * b.cos()  # <- saved
        b.add_(1.0)  # <- write
        y.sum().backward()
    """,
    "asked for by autograd.grad": """
        z0 = torch.randn(4, requires_grad=True)
        h = torch.sigmoid(z0)  # <- saved
        h *= 2  # <- write
        torch.autograd.grad(h.sum(), z0)
    """,
    "with harmless writes before and elsewhere": """
        z0 = torch.randn(4, requires_grad=True)
        x = z0 * 2
        x += 1
        other = z0 * 3
        other -= 1
        y = x.sin()  # <- saved
        other += x
        x += 1  # <- write
        z = other.cos()
        (y.sum() + z.sum()).backward()
    """,
}


def run(folder: Path, text: str) -> Traced:
    return trace(folder, "import torch\n\n" + textwrap.dedent(text))


@pytest.mark.parametrize("text", SPOILED.values(), ids=SPOILED)
def test_both_lines_of_a_spoiled_tensor_are_named(tmp_path: Path, text: str) -> None:
    seen = run(tmp_path, text)
    assert isinstance(seen.raised, RuntimeError)
    assert "modified by an inplace operation" in str(seen.raised)
    first = seen.first
    assert (first.code, first.severity, seen.report.verdict) == ("GP201", "error", "error")
    assert seen.is_at(first.at, "write"), (first.at, first.message)
    assert first.related[0].word == "saved by"
    assert seen.is_at(first.related[0].at, "saved"), (first.related, first.message)
    assert first.certainty == "proven"
    assert [f.code for f in seen.report.findings if f.severity == "error"] == ["GP201"]


def test_the_finding_says_versions_ops_and_steps(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
        class Denoiser(torch.nn.Module):
            def forward(self, x, sigma):
                h = torch.tanh(x * 0.5)
                h += x
                return h

        z0 = torch.randn(1, 3, 8, 8, requires_grad=True)
        model, x, sigmas = Denoiser(), z0 * 10.0, [10.0, 5.0, 1.0, 0.5]
        for now, after in zip(sigmas, sigmas[1:]):
            d = (x - model(x, now)) / now
            x = x + d * (after - now)
        x.pow(2).mean().backward()
        """,
    )
    first = seen.first
    assert first.message == (
        "Tensor.add_ changed a tensor that torch.tanh had saved for backward (step 2, denoiser): "
        "version 0 was expected, 1 was found"
    )
    assert (first.step, first.stage) == (2, "denoiser")


def test_every_further_write_is_listed(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        h = torch.exp(z0)
        h += 1  # <- first
        h *= 2  # <- second
        h[0] = 0.0  # <- third
        h.sum().backward()
        """,
    )
    assert seen.is_at(seen.first.at, "first")
    assert [place.word for place in seen.first.related[1:]] == ["written again"] * 2
    second, third = seen.first.related[1:]
    assert seen.is_at(second.at, "second")
    assert seen.is_at(third.at, "third")


def test_of_two_writes_that_fit_the_one_is_suspected(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        a = torch.exp(z0)
        a += 1
        b = torch.exp(z0 * 2)
        b += 1  # <- write
        (a + b).sum().backward()
        """,
    )
    assert (seen.first.code, seen.first.certainty) == ("GP201", "suspected")
    assert seen.is_at(seen.first.at, "write")


def test_where_no_write_was_seen_nothing_is_made_up(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        other = z0 * 3
        other += 1
        h = torch.exp(z0)
        with torch._C.DisableTorchFunction():
            h.add_(1)
        (h + other).sum().backward()
        """,
    )
    assert isinstance(seen.raised, RuntimeError)
    assert seen.first.code == "GP114"


REFUSED = {
    "an operator": ("z0 += 1.0", "Tensor.add_ writes z0 in place"),
    "an element": ("z0[0] = 1.0", "Tensor.__setitem__ writes a view of z0 in place"),
    "a view": ("z0.view(2, 2).mul_(2)", "Tensor.mul_ writes a view of z0 in place"),
    "relu": (
        "torch.nn.functional.relu(z0, inplace=True)",
        "torch.nn.functional.relu writes z0 in place",
    ),
    "many": ("torch._foreach_add_([x, z0], 1.0)", "torch._foreach_add_ writes z0 in place"),
    "by another leaf": ("z0.mul_(w)", "Tensor.mul_ writes z0 in place"),
}


@pytest.mark.parametrize(("line", "message"), REFUSED.values(), ids=REFUSED)
def test_a_write_to_a_leaf_is_named(tmp_path: Path, line: str, message: str) -> None:
    seen = run(
        tmp_path,
        f"""
        z0 = torch.randn(4, requires_grad=True)
        w = torch.randn(4, requires_grad=True)
        x = torch.randn(4)
        {line}  # <- write
        (z0 * w).sum().backward()
        """,
    )
    assert "leaf Variable that requires grad" in str(seen.raised)
    assert [f.code for f in seen.report.findings] == ["GP204"]
    assert seen.is_at(seen.first.at, "write")
    assert seen.first.message == f"{message}: z0 is a leaf that requires grad"
    assert (seen.report.verdict, seen.first.severity) == ("error", "error")


def test_a_refused_write_that_the_program_caught_is_no_finding(tmp_path: Path) -> None:
    seen = run(
        tmp_path,
        """
        z0 = torch.randn(4, requires_grad=True)
        try:
            z0 += 1.0
        except RuntimeError:
            pass
        z0.pow(2).sum().backward()
        """,
    )
    assert (seen.report.verdict, seen.report.findings) == ("flows", ())
