"""Followed numbers and arrays are, but for what they remember, the plain ones."""

from __future__ import annotations

import copy
import json
import math
import operator
import pickle
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gradprobe.capture import host_mode  # makes the types known
from gradprobe.capture.host_array import watched
from gradprobe.capture.host_values import NONE, Origin, followed, lineage_of

assert host_mode

RUN = object()
ONE = frozenset({Origin(0, RUN)})
TWO = frozenset({Origin(1, RUN)})


def alike(seen: Any, expected: Any) -> None:
    """The same value to the bit, of a type of the same name, and shown the same."""
    assert repr(seen) == repr(expected)
    assert str(seen) == str(expected)
    assert repr(type(seen)) == repr(type(expected))
    if isinstance(expected, np.ndarray | np.generic):
        assert (seen.dtype, seen.shape) == (expected.dtype, expected.shape)
        if seen.dtype != np.longdouble:  # has bytes that mean nothing
            assert seen.tobytes() == expected.tobytes()
    elif isinstance(expected, list | tuple):
        for one, other in zip(seen, expected, strict=True):
            alike(one, other)


SCALARS: dict[str, Callable[[float], Any]] = {
    "float": float,
    "float16": np.float16,
    "float32": np.float32,
    "float64": np.float64,
    "longdouble": np.longdouble,
}


@pytest.mark.parametrize("kind", SCALARS)
def test_a_number_is_what_it_is_without_us(kind: str) -> None:
    plain = SCALARS[kind](2.71828)
    mine = followed(plain, ONE)
    assert lineage_of(mine) == ONE
    alike(mine, plain)
    assert isinstance(mine, type(plain))
    assert isinstance(mine, float) == isinstance(plain, float)
    assert mine == plain
    assert hash(mine) == hash(plain)
    assert {mine: 1}[plain] == 1
    assert f"{mine:.3f} {mine!r} {mine}" == f"{plain:.3f} {plain!r} {plain}"
    assert mine > 2
    assert type(mine > 2) is type(plain > 2)
    assert bool(mine) is True
    assert type(int(mine)) is int
    assert type(float(mine)) is float
    loaded = pickle.loads(pickle.dumps(mine))
    assert type(loaded) is type(plain)
    assert loaded == plain
    assert lineage_of(copy.deepcopy([mine])) == ONE


def test_a_float_goes_into_json_as_one() -> None:
    mine = followed([0.1, [0.2, 3]], ONE)
    assert lineage_of(mine[1][0]) == ONE
    assert type(mine[1][1]) is int
    assert json.dumps(mine) == json.dumps([0.1, [0.2, 3]])
    assert json.dumps({"x": mine[0]}, indent=1) == json.dumps({"x": 0.1}, indent=1)


BINARY = [
    operator.add,
    operator.sub,
    operator.mul,
    operator.truediv,
    operator.floordiv,
    operator.mod,
    operator.pow,
    divmod,
]
OTHERS: dict[str, Any] = {
    "int": 3,
    "float": 0.3,
    "float32": np.float32(0.3),
    "float64": np.float64(0.3),
    "int64": np.int64(3),
    "array": np.array([0.5, 2.0], dtype=np.float32),
}


# A plain NumPy scalar on the left of a narrower one takes it for its own and asks no further.
TAKEN = {("float16", "float32"), ("float16", "float64"), ("float32", "float64")}


def first(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


@pytest.mark.parametrize("other", OTHERS)
@pytest.mark.parametrize("kind", SCALARS)
def test_arithmetic_is_that_of_plain_numbers(kind: str, other: str) -> None:
    plain, beside = SCALARS[kind](2.71828), OTHERS[other]
    mine = followed(plain, ONE)
    for apply in BINARY:
        for a, b, c, d in ((mine, beside, plain, beside), (beside, mine, beside, plain)):
            result, expected = apply(a, b), apply(c, d)
            alike(result, expected)
            taken = b is mine and (kind, other) in TAKEN
            assert lineage_of(first(result)) == (NONE if taken else ONE), apply
    result = operator.mul(mine, followed(beside, TWO))
    alike(result, plain * beside)
    assert lineage_of(result) == (ONE if isinstance(beside, int | np.int64) else ONE | TWO)


@pytest.mark.parametrize("kind", SCALARS)
def test_unary_operators_and_rounding(kind: str) -> None:
    plain = SCALARS[kind](-2.71828)
    mine = followed(plain, ONE)
    for apply in (operator.neg, operator.pos, abs, lambda x: round(x, 2)):
        alike(apply(mine), apply(plain))
        assert lineage_of(apply(mine)) == ONE
    alike(round(mine), round(plain))
    assert type(round(mine)) is int
    assert math.floor(mine) == math.floor(plain)


@pytest.mark.parametrize("other", ["x", None, 1 + 2j, [1.0]])
def test_what_a_float_cannot_do_it_refuses_as_a_float(other: Any) -> None:
    mine = followed(2.5, ONE)

    def outcome(number: float) -> str:
        try:
            return repr(number * other)
        except TypeError as error:
            return str(error)

    assert outcome(mine) == outcome(2.5)


ARRAY_WORK: dict[str, Callable[[Any], Any]] = {
    "ufunc": lambda a: np.sqrt(np.abs(a)) * 2 + 1,
    "ufunc with scalar": lambda a: np.maximum(a, 0.5),
    "operators": lambda a: (a - a.mean()) / a.std() @ np.ones((4, 2)),
    "in place": lambda a: operator.iadd(a.copy(), 1),
    "out": lambda a: np.multiply(a, 2, out=np.zeros_like(a)),
    "reduce": lambda a: np.add.reduce(a, axis=0),
    "accumulate": lambda a: np.add.accumulate(a, axis=0),
    "outer": lambda a: np.multiply.outer(a[0], a[1]),
    "method max": lambda a: a.max(),
    "method mean": lambda a: a.mean(axis=1, keepdims=True),
    "methods": lambda a: a.clip(-1, 1).astype(np.uint8).reshape(-1).repeat(2),
    "transpose": lambda a: a.T[1:].transpose(1, 0),
    "index": lambda a: a[1, 2],
    "slices": lambda a: a[:, ::2][1:],
    "mask": lambda a: a[a > 0.5],
    "index by array": lambda a: a[np.argsort(a[:, 0])],
    "ellipsis": lambda a: a[..., None],
    "percentile": lambda a: np.percentile(np.abs(a), 99.5),
    "clip": lambda a: np.clip(a, -0.5, 0.5),
    "where": lambda a: np.where(a > 0, a, 0),
    "stack": lambda a: np.stack([a, a * 2]),
    "concatenate": lambda a: np.concatenate([np.ones((1, 4)), a]),
    "split": lambda a: np.split(a, 3),
    "linalg": lambda a: np.linalg.norm(a, axis=1),
    "svd": lambda a: tuple(np.linalg.svd(a)),
    "einsum": lambda a: np.einsum("ij,kj->ik", a, a),
    "fft": lambda a: np.fft.fft2(a),
    "interp": lambda a: np.interp(a.ravel(), [-3, 3], [0, 1]),
    "tolist": lambda a: a.tolist(),
    "item": lambda a: a[0].item(0),
    "iteration": lambda a: [row.sum() for row in a],
    "float": lambda a: a[0, 0] * 2,
    "broadcast": lambda a: np.broadcast_to(a, (2, 3, 4)) + 1,
    "sort": lambda a: np.sort(a, axis=None),
    "in-place sort": lambda a: (b := a.copy(), b.sort(), b)[2],
    "pad": lambda a: np.pad(a, 1, mode="reflect"),
    "deepcopy": lambda a: copy.deepcopy(a),
    "view": lambda a: a.view(np.int32).view(np.float32),
}


def plain_array() -> Any:
    return np.random.default_rng(0).normal(size=(3, 4)).astype(np.float32)


@pytest.mark.parametrize("work", ARRAY_WORK.values(), ids=ARRAY_WORK)
def test_numpy_does_what_it_does_and_the_lineage_goes_on(work: Callable[[Any], Any]) -> None:
    plain = plain_array()
    mine = followed(plain_array(), ONE)
    result, expected = work(mine), work(plain)
    alike(result, expected)
    assert lineage_of(result) == ONE
    assert mine.tobytes() == plain.tobytes()


NOTHING: dict[str, Callable[[Any], Any]] = {
    "comparison": lambda a: a > 0,
    "isfinite": lambda a: np.isfinite(a),
    "allclose": lambda a: np.allclose(a, a),
    "shape": lambda a: np.shape(a),
    "dtype": lambda a: np.result_type(a, np.float64),
    "zeros_like": lambda a: np.zeros_like(a),
    "count": lambda a: np.count_nonzero(a),
    "text": lambda a: np.array2string(a),
    "pickled": lambda a: pickle.loads(pickle.dumps(a)),
    "bytes": lambda a: np.frombuffer(a.tobytes(), dtype=np.float32),
}


@pytest.mark.parametrize("work", NOTHING.values(), ids=NOTHING)
def test_facts_about_an_array_carry_nothing(work: Callable[[Any], Any]) -> None:
    mine = followed(plain_array(), ONE)
    alike(work(mine), work(plain_array()))
    assert lineage_of(work(mine)) == NONE


def test_a_write_is_seen_in_every_view_of_the_memory() -> None:
    buffer = watched(np.zeros((3, 4), dtype=np.float32))
    assert lineage_of(buffer) == NONE
    row, copied = buffer[1], buffer.copy()
    row[2] = followed(1.5, ONE)
    assert lineage_of(buffer) == ONE
    assert lineage_of(buffer.T) == ONE
    assert lineage_of(copied) == NONE
    assert buffer[1, 2] == 1.5
    np.copyto(buffer, followed(np.ones((3, 4)), TWO))
    assert lineage_of(row) == ONE | TWO


def test_an_array_stays_itself_where_numpy_would_return_it() -> None:
    mine = followed(plain_array(), ONE)
    assert np.multiply(mine, 2, out=mine) is mine
    assert mine.astype(np.float32, copy=False) is mine
    before = mine
    mine += 1
    assert mine is before


def test_torch_takes_them_as_plain_ones() -> None:
    number, array = followed(np.float32(0.5), ONE), followed(plain_array(), ONE)
    for mine, plain in ((number, np.float32(0.5)), (array, plain_array()), ([number], [0.5])):
        made = torch.tensor(mine)
        assert made.dtype == torch.float32
        assert torch.equal(made, torch.tensor(plain))
    assert torch.from_numpy(array).data_ptr() == array.ctypes.data
    x = torch.ones(2)
    for product in (x * number, number * x, x * followed(0.5, ONE), followed(0.5, ONE) * x):
        assert product.tolist() == [0.5, 0.5]


@settings(deadline=None, max_examples=60)
@given(st.data())
def test_a_random_expression_has_the_plain_value_and_all_lineages(data: st.DataObject) -> None:
    numbers = st.floats(0.1, 10.0)
    plain: list[Any] = [data.draw(numbers) for _ in range(3)]
    origins = [frozenset({Origin(n, RUN)}) for n in range(3)]
    mine = [followed(x, origin) for x, origin in zip(plain, origins, strict=True)]
    plain.append(np.array(plain, dtype=np.float32))
    mine.append(followed(plain[3].copy(), origins[0]))
    told = [*origins, origins[0]]
    for _ in range(data.draw(st.integers(1, 6))):
        apply = data.draw(st.sampled_from([*BINARY[:4], np.minimum, np.hypot]))
        a, b = (data.draw(st.integers(0, len(plain) - 1)) for _ in "ab")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                plain.append(apply(plain[a], plain[b]))
            except ZeroDivisionError:  # of a difference that is zero
                with pytest.raises(ZeroDivisionError):
                    apply(mine[a], mine[b])
                continue
            mine.append(apply(mine[a], mine[b]))
        told.append(told[a] | told[b])
        alike(mine[-1], plain[-1])
        assert lineage_of(mine[-1]) == told[-1]


def test_the_power_of_two_plain_floats_is_as_numpy_has_it() -> None:
    mine = np.power(followed(2.0, ONE), followed(0.5, TWO))
    alike(mine, np.power(2.0, 0.5))
    assert lineage_of(mine) == ONE | TWO
