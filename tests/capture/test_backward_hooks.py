"""Statistics of gradients against plain formulas, and the passes that a program makes."""

from __future__ import annotations

import math
import threading
from pathlib import Path

import pytest
import torch
from torch import Tensor

import gradprobe
from gradprobe.capture.gradient_stats import as_stats, statistics
from gradprobe.capture.torch_internals import has_number, has_numbers
from gradprobe.records.report import GradStats
from tests.traced import trace

DTYPES = [
    torch.float16,
    torch.bfloat16,
    torch.float32,
    torch.float64,
    torch.complex64,
    torch.complex128,
]


def plainly(grad: Tensor) -> GradStats:
    """The same six numbers, written out over a list in double precision."""
    sizes = [abs(complex(n)) for n in grad.detach().to(torch.complex128).flatten().tolist()]
    return GradStats(
        norm=math.sqrt(sum(n * n for n in sizes)),
        abs_mean=sum(sizes) / len(sizes),
        abs_max=max(sizes),
        abs_min=min(sizes),
        zero_fraction=sum(n == 0 for n in sizes) / len(sizes),
        nonfinite=sum(not math.isfinite(n) for n in sizes),
    )


def assert_close(seen: GradStats, expected: GradStats, rel: float = 1e-4) -> None:
    for name in ("norm", "abs_mean", "abs_max", "abs_min", "zero_fraction"):
        assert getattr(seen, name) == pytest.approx(getattr(expected, name), rel=rel, abs=1e-7)
    assert seen.nonfinite == expected.nonfinite


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("shape", [(), (1,), (7,), (3, 5), (2, 3, 4)], ids=str)
def test_statistics_are_the_plain_formulas(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    generator = torch.Generator().manual_seed(3)
    grad = torch.randn(shape, dtype=torch.float64, generator=generator).to(dtype)
    if grad.dim():
        grad.view(-1)[::3] = 0
    assert_close(as_stats(statistics(grad)), plainly(grad))
    if grad.dim() > 1:
        turned = grad.transpose(0, -1)[..., 1:]
        assert_close(as_stats(statistics(turned)), plainly(turned))


def test_sums_in_half_precision_do_not_overflow() -> None:
    grad = torch.full((70_000,), 3.0, dtype=torch.float16)
    stats = as_stats(statistics(grad))
    assert stats.norm == pytest.approx(3.0 * math.sqrt(70_000))
    assert stats.abs_mean == pytest.approx(3.0)
    assert stats.nonfinite == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_counted(value: float) -> None:
    grad = torch.ones(5)
    grad[1] = grad[3] = value
    stats = as_stats(statistics(grad))
    assert stats.nonfinite == 2
    assert stats.zero_fraction == 0
    assert not math.isfinite(stats.norm)


def test_an_empty_gradient_and_a_sparse_one() -> None:
    assert as_stats(statistics(torch.empty(0, 3))) == GradStats(0, 0, 0, 0, 0, 0)
    dense = torch.tensor([[0.0, 2.0], [0.0, -1.0]])
    assert as_stats(statistics(dense.to_sparse())) == as_stats(statistics(dense))


def test_a_leaf_s_statistics_are_those_of_a_hand_put_hook(tmp_path: Path) -> None:
    caught: list[Tensor] = []
    run = trace(
        tmp_path,
        """
        import torch
        z0 = torch.randn(4, 5, requires_grad=True)
        z0.register_hook(caught.append)
        loss = ((z0 * 80.0).tanh().pow(2) / 3.0).sum()
        loss.backward()
        """,
        given={"caught": caught},
    )
    (leaf,) = run.report.leaves
    assert len(caught) == 1
    assert leaf.grad == as_stats(statistics(caught[0]))
    assert torch.equal(run.names["z0"].grad, caught[0])
    assert_close(leaf.grad, plainly(caught[0]))


def test_gradients_are_bit_for_bit_those_without_a_probe(tmp_path: Path) -> None:
    text = """
    import torch
    torch.manual_seed(1)
    z0 = torch.randn(6, 7, requires_grad=True)
    model = torch.nn.Sequential(torch.nn.Linear(7, 9), torch.nn.SiLU(), torch.nn.Linear(9, 7))
    x = z0
    for sigma in (1.0, 0.5, 0.1):
        x = x + sigma * (model(x) - x)
    loss = x.pow(2).mean()
    loss.backward()
    """
    run = trace(tmp_path, text)
    names: dict[str, Tensor] = {}
    exec(compile(run.text, "<plain>", "exec"), names)
    assert torch.equal(run.names["z0"].grad, names["z0"].grad)
    assert torch.equal(run.names["loss"], names["loss"])


def test_each_pass_is_recorded_with_what_it_reached(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        import torch
        a = torch.ones(3, requires_grad=True)
        b = torch.ones(3, requires_grad=True)
        loss = (a * 2.0).sum()
        loss.backward(retain_graph=True)  # <- first
        torch.autograd.grad(loss, a)  # <- second
        other = (a * b).sum()
        other.backward(inputs=[b])  # <- third
        """,
    )
    assert run.raised is None
    passes = run.trace.passes
    assert [p.how for p in passes] == ["backward", "grad", "backward"]
    for seen, mark in zip(passes, ("first", "second", "third"), strict=True):
        assert run.is_at(seen.at, mark)
    value = {leaf.name: leaf.values[0] for leaf in run.trace.leaves}
    reached = [{v for v, stats in p.reached.items() if stats is not None} for p in passes]
    assert reached == [{value["a"]}, {value["a"]}, {value["b"]}]
    assert passes[2].inputs == (value["b"],)
    assert passes[0].grad_fn == "SumBackward0"


def test_a_pass_that_raises_says_what_torch_said(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        import torch
        z0 = torch.ones(3, requires_grad=True)
        loss = z0.exp().sum()
        loss.backward()
        loss.backward()  # <- again
        """,
    )
    assert isinstance(run.raised, RuntimeError)
    first, second = run.trace.passes
    assert first.raised is None
    assert second.raised == str(run.raised)
    assert run.report.verdict == "error"
    assert run.is_at(run.first.at, "again")


def test_what_runs_in_another_thread_is_said_not_guessed() -> None:
    with gradprobe.Probe() as probe:
        z0 = torch.ones(3, requires_grad=True)
        loss = (z0 * 2.0).sum()
        thread = threading.Thread(target=loss.backward)
        thread.start()
        thread.join()
    assert z0.grad is not None
    report = probe.report()
    assert "a backward pass ran in another thread: it was not seen" in report.unseen
    assert report.verdict == "no-root"


def test_a_function_applied_in_another_thread_is_said_too() -> None:
    class Double(torch.autograd.Function):
        @staticmethod
        def forward(ctx: object, x: Tensor) -> Tensor:
            return x * 2.0

        @staticmethod
        def backward(ctx: object, grad: Tensor) -> Tensor:
            return grad * 2.0

    found: list[Tensor] = []
    with gradprobe.Probe() as probe:
        z0 = torch.ones(3, requires_grad=True)
        thread = threading.Thread(target=lambda: found.append(Double.apply(z0)))
        thread.start()
        thread.join()
        loss = found[0].sum()
        loss.backward()
    said = probe.report().unseen
    assert "a custom autograd.Function ran in another thread: it was not seen" in said
    assert torch.equal(z0.grad, torch.full((3,), 2.0))
    (leaf,) = probe.report().leaves
    assert leaf.layers.connected.answer == "yes"


def test_second_order_gradients_are_followed(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        import torch
        z0 = torch.ones(3, requires_grad=True)
        energy = z0.pow(3).sum()
        force, = torch.autograd.grad(energy, z0, create_graph=True)
        loss = force.pow(2).sum()
        loss.backward()
        """,
    )
    assert run.report.verdict == "flows"
    assert run.flow("z0").reaches
    assert run.report.findings == ()


def test_numbers_are_not_computed_inside_of_a_transform() -> None:
    asked: list[bool] = []

    def loss(x: Tensor) -> Tensor:
        asked.append(has_numbers(torch.ones(2)) or has_number(torch.ones(())))
        return x.square().sum()

    torch.func.grad(loss)(torch.ones(3))
    torch.vmap(loss)(torch.ones(2, 3))
    assert asked == [False, False]
    assert has_numbers(torch.ones(2))
    assert has_number(torch.ones(()))
