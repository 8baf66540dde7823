"""Numbers of values: torch's own, and nothing that the program could see."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

from gradprobe.capture import value_stats
from gradprobe.capture.value_stats import Held, as_number, as_value_stats, on_host, values_of
from gradprobe.records.report import ValueStats


def stats(x: Tensor) -> ValueStats:
    values = values_of(x)
    assert values is not None
    return as_value_stats(values, {})


def same(a: float, b: float, within: float) -> bool:
    return (math.isnan(a) and math.isnan(b)) or math.isclose(
        a, b, rel_tol=within, abs_tol=within * 1e-2
    )


FLOATS = {
    torch.float64: 1e-9,
    torch.float32: 1e-5,
    torch.float16: 1e-5,
    torch.bfloat16: 1e-5,
    torch.float8_e4m3fn: 1e-5,
}


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(list(FLOATS)),
    st.integers(1, 40),
    st.lists(st.sampled_from([math.nan, math.inf, -math.inf, 0.0]), max_size=3),
    st.integers(0, 2**31),
)
def test_they_are_torch_s_own(dtype: torch.dtype, count: int, odd: list[float], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    drawn = torch.randn(count, generator=generator, dtype=torch.float64).tolist()
    x = torch.tensor([*odd, *drawn], dtype=torch.float32).to(dtype).reshape(-1, 1)
    exact = x.double()
    found = stats(x)
    assert same(found.mean, exact.mean().item(), FLOATS[dtype])
    assert same(found.std, exact.std(correction=0).item(), FLOATS[dtype])
    assert same(found.abs_max, exact.abs().max().item(), 0.0)
    assert found.nonfinite == int((~torch.isfinite(exact)).sum())


def test_a_large_tensor_of_low_precision_is_widened_by_pieces(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    x = (torch.randn(7, 9, generator=torch.Generator().manual_seed(1)) * 100 + 300).half()
    whole = stats(x)
    monkeypatch.setattr(value_stats, "_PIECE", 10)
    pieces = stats(x)
    assert same(pieces.mean, whole.mean, 1e-6)
    assert same(pieces.std, whole.std, 1e-6)
    assert (pieces.abs_max, pieces.nonfinite) == (whole.abs_max, 0)
    x[3, 3], x[6, 8] = math.nan, math.inf
    assert stats(x).nonfinite == 2
    assert math.isnan(stats(x).abs_max)
    x[3, 3] = -math.inf
    assert stats(x).abs_max == math.inf


def test_a_transposed_or_expanded_tensor_is_read_as_it_is() -> None:
    x = torch.randn(3, 4).half()
    assert stats(x.t()).abs_max == stats(x).abs_max
    assert stats(torch.tensor([2.0]).expand(1000, 1000)) == ValueStats(2.0, 0.0, 2.0, 0)


def sharded() -> Tensor:
    x = torch.ones(4)
    x.untyped_storage().resize_(0)
    return x


UNDEFINED: dict[str, Callable[[], Tensor]] = {
    "integers": lambda: torch.arange(3),
    "booleans": lambda: torch.ones(3, dtype=torch.bool),
    "complex": lambda: torch.ones(3, dtype=torch.complex64),
    "empty": lambda: torch.empty(0, 3),
    "sparse": lambda: torch.ones(3, 3).to_sparse(),
    "meta": lambda: torch.ones(3, device="meta"),
    "fake": lambda: FakeTensorMode().from_tensor(torch.ones(3)),
    "nested": lambda: torch.nested.nested_tensor(
        [torch.ones(2), torch.ones(3)], layout=torch.jagged
    ),
    "emptied": sharded,
}


@pytest.mark.parametrize("name", UNDEFINED)
def test_what_has_none(name: str) -> None:
    assert values_of(UNDEFINED[name]()) is None


def test_tensors_of_a_transform_have_none() -> None:
    seen: list[Any] = []
    outside = torch.ones(3)

    def f(x: Tensor) -> Tensor:
        seen.extend((values_of(x), values_of(outside), as_number(outside[:1])))
        return x.sum()

    torch.func.grad(f)(torch.ones(3))
    torch.func.vmap(f)(torch.ones(2, 3))
    assert seen == [None] * 6


def test_nothing_of_the_tensor_changes() -> None:
    torch.manual_seed(0)
    x = torch.randn(5, requires_grad=True) * 2
    version, state, node = x._version, torch.get_rng_state(), x.grad_fn
    counter = torch._C._autograd._get_sequence_nr()
    stats(x)
    as_number(x[:1])
    assert torch._C._autograd._get_sequence_nr() == counter + 1  # of `x[:1]`, this test's own
    assert (x._version, x.grad_fn, x.requires_grad) == (version, node, True)
    assert torch.equal(torch.get_rng_state(), state)


@pytest.mark.parametrize(
    ("make", "most"),
    [
        (lambda: torch.ones(3_000_000), 1_000),
        (lambda: torch.ones(1000, 3000).t(), 1_000),
        (lambda: torch.ones(3_000_000).half(), 4_200_000),
        (lambda: torch.full((3_000_000,), math.inf), 3_001_000),
    ],
    ids=["plain", "transposed", "half", "nonfinite"],
)
def test_little_memory_is_taken(make: Callable[[], Tensor], most: int) -> None:
    x = make()
    with torch.profiler.profile(profile_memory=True) as profile:
        values_of(x)
    result = profile.profiler.kineto_results if profile.profiler is not None else None
    assert result is not None
    taken = peak = 0
    events = [event for event in result.events() if event.name() == "[memory]"]
    for event in sorted(events, key=lambda event: event.start_ns()):
        taken += event.nbytes()
        peak = max(peak, taken)
    assert 0 < peak <= most


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode, torch.enable_grad])
def test_in_every_grad_mode(context: Callable[[], Any]) -> None:
    with context():
        x = torch.tensor([1.0, 3.0])
        assert stats(x) == ValueStats(2.0, 1.0, 3.0, 0)
    assert stats(x) == ValueStats(2.0, 1.0, 3.0, 0)


def test_no_mode_of_the_program_sees_it() -> None:
    seen: list[Any] = []

    class Functions(TorchFunctionMode):
        def __torch_function__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    class Dispatches(TorchDispatchMode):
        def __torch_dispatch__(
            self, func: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            seen.append(func)
            return func(*args, **(kwargs or {}))

    x = torch.tensor([1.0, math.inf])
    with Functions(), Dispatches():
        values_of(x)
        as_number(x)
    assert seen == []


@pytest.mark.filterwarnings("ignore:`torch.jit:DeprecationWarning")
def test_a_traced_function_records_nothing_of_it() -> None:
    def f(x: Tensor) -> Tensor:
        assert values_of(x) is None
        assert as_number(x) is None
        return x * 2

    graph = str(torch.jit.trace(f, (torch.ones(3),), check_trace=False).graph)
    assert graph.count("aten::") == 1


@pytest.mark.parametrize(
    ("value", "number"),
    [
        (3, 3.0),
        (0.5, 0.5),
        (np.float32(0.25), 0.25),
        (torch.tensor(7), 7.0),
        (torch.tensor([0.5]), 0.5),
        (torch.tensor([[[0.5]]]), 0.5),
        (torch.tensor([0.5, 0.75]), 0.5),
        (torch.full((3, 1, 1, 1), 2.0, requires_grad=True), 2.0),
        (True, None),
        (torch.tensor(True), None),
        (torch.tensor(1j), None),
        (10**400, None),
        (torch.ones(2, 2), None),
        (torch.empty(0), None),
        (torch.ones((), device="meta"), None),
        ("3", None),
        (None, None),
    ],
)
def test_a_noise_level_is_one_number(value: object, number: float | None) -> None:
    assert as_number(value) == number


def test_what_a_device_held_is_copied_together() -> None:
    held = [torch.tensor([1.0, 2.0, 3.0, 0.0]), torch.tensor(5.0), torch.ones(4), torch.tensor(6)]
    assert on_host(held) == {
        id(held[0]): [1.0, 2.0, 3.0, 0.0],
        id(held[1]): [5.0],
        id(held[2]): [1.0] * 4,
        id(held[3]): [6],
    }
    two = torch.tensor([1.0, 0.0, 1.0, 0.0, 3.0, 0.0, 3.0, 1.0])
    elements = value_stats._PIECE * 2
    both = as_value_stats(Held(two, elements), on_host([two]))
    assert both == ValueStats(2.0, 1.0, 3.0, 1)
