"""Which tensor is which: numbers that hold while a tensor lives, and memory that overlaps."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Callable
from itertools import product

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gradprobe.capture.identity import Identity, overlap, storage_of

quick = settings(max_examples=300, deadline=None, derandomize=True, database=None)
BASE = torch.arange(120.0)

View = Callable[[Tensor], Tensor]


def elements(tensor: Tensor) -> set[int]:
    """The bytes of a tensor's storage that it covers, by their offsets."""
    width = tensor.element_size()
    places = [
        tensor.storage_offset() + sum(i * s for i, s in zip(index, tensor.stride(), strict=True))
        for index in product(*(range(n) for n in tensor.shape))
    ]
    return {place * width + byte for place in places for byte in range(width)}


@st.composite
def slices(draw: st.DrawFn) -> Tensor:
    """What slicing, selecting, splitting and transposing make of a 4 x 5 x 6 tensor."""
    tensor = BASE.view(4, 5, 6)
    for _ in range(draw(st.integers(0, 4))):
        if not tensor.dim():
            break
        dim = draw(st.integers(0, tensor.dim() - 1))
        size = tensor.shape[dim]
        how = draw(st.sampled_from(["narrow", "step", "select", "transpose", "unsqueeze", "chunk"]))
        if how == "narrow":
            start = draw(st.integers(0, size))
            tensor = tensor.narrow(dim, start, draw(st.integers(0, size - start)))
        elif how == "step" and size:
            first, step = draw(st.integers(0, size - 1)), draw(st.integers(1, 3))
            tensor = tensor.transpose(0, dim)[first::step].transpose(0, dim)
        elif how == "select" and size:
            tensor = tensor.select(dim, draw(st.integers(0, size - 1)))
        elif how == "transpose":
            tensor = tensor.transpose(dim, draw(st.integers(0, tensor.dim() - 1)))
        elif how == "chunk" and size:
            parts = tensor.chunk(2, dim)
            tensor = parts[draw(st.integers(0, len(parts) - 1))]
        elif how == "unsqueeze":
            tensor = tensor.unsqueeze(dim)
    return tensor


@st.composite
def strided(draw: st.DrawFn) -> Tensor:
    """Anything that `as_strided` can make of the first elements."""
    strides = draw(st.lists(st.integers(0, 9), max_size=3))
    shape = [draw(st.integers(1, 4)) for _ in strides]
    return torch.as_strided(BASE, shape, strides, draw(st.integers(0, 40)))


@quick
@given(slices() | strided(), slices() | strided())
def test_shared_memory_is_never_denied(a: Tensor, b: Tensor) -> None:
    if elements(a) & elements(b):
        assert overlap(a, b)
        assert overlap(b, a)


@quick
@given(slices(), slices())
def test_views_of_one_tensor_are_told_apart_exactly(a: Tensor, b: Tensor) -> None:
    assert overlap(a, b) == bool(elements(a) & elements(b))


def test_parts_of_one_tensor_do_not_overlap() -> None:
    x = torch.zeros(2, 4, 6)
    for dim in range(3):
        parts = [*x.chunk(2, dim), x]
        assert not overlap(parts[0], parts[1])
        assert overlap(parts[0], x)
    assert not overlap(x[..., ::2], x[..., 1::2])
    assert overlap(x.view(torch.int32)[1], x[1])
    assert not overlap(x[:0], x)


def test_a_value_s_number_stays_with_its_tensor_until_it_dies() -> None:
    identity = Identity()
    tensors = [torch.zeros(2) for _ in range(5)]
    refs = [identity.add(tensor, number) for number, tensor in enumerate(tensors)]
    assert [identity.table[id(t)].value for t in tensors] == [0, 1, 2, 3, 4]
    assert all(ref() is tensor for ref, tensor in zip(refs, tensors, strict=True))
    gone = id(tensors.pop(2))
    assert gone not in identity.table
    assert [identity.table[id(t)].value for t in tensors] == [0, 1, 3, 4]


def test_a_tensor_at_a_dead_one_s_address_is_another() -> None:
    identity = Identity()
    seen: set[int] = set()
    reused = 0
    for number in range(2_000):
        tensor = torch.empty(3)
        assert id(tensor) not in identity.table
        reused += id(tensor) in seen
        seen.add(id(tensor))
        assert identity.add(tensor, number).value == number
        del tensor
    assert reused > 1_000  # or this has tested nothing
    assert identity.table == {}


def test_the_entry_of_a_successor_survives_the_death_of_its_predecessor() -> None:
    identity = Identity()
    first, second = torch.zeros(2), torch.zeros(2)
    ref = identity.add(first, 1)
    other = identity.add(second, 2)
    identity.table[ref.key] = other  # as if the address had been given away already
    del first
    assert identity.table[ref.key] is other


def test_nothing_is_kept_alive() -> None:
    identity = Identity()
    base = torch.zeros(4, 4)
    view = base[1:]
    for number, tensor in enumerate((base, view)):
        identity.share(tensor, identity.add(tensor, number))
    storage = storage_of(base)
    assert len(identity.by_storage[storage]) == 2
    alive = [weakref.ref(base), weakref.ref(view)]
    gc.disable()
    try:
        del base, view, tensor
        assert [ref() for ref in alive] == [None, None]
    finally:
        gc.enable()
    assert identity.by_storage == {}
    assert identity.table == {}


def test_sharing_names_the_live_aliases_that_overlap() -> None:
    identity = Identity()
    base = torch.zeros(4, 4)
    parts = list(base.chunk(2))
    refs = [identity.add(t, n) for n, t in enumerate((base, *parts))]
    for tensor, ref in zip((base, *parts), refs, strict=True):
        identity.share(tensor, ref)
    assert [other.value for other in identity.sharing(parts[0], refs[1])] == [0]
    assert [other.value for other in identity.sharing(base, refs[0])] == [1, 2]
    identity.part(refs[1])
    assert [other.value for other in identity.sharing(base, refs[0])] == [2]
    assert list(identity.sharing(parts[0], refs[1])) == []


def test_a_tensor_without_a_storage_shares_nothing() -> None:
    sparse = torch.eye(3).to_sparse()
    identity = Identity()
    identity.share(sparse, identity.add(sparse, 0))
    assert storage_of(sparse) == 0
    assert identity.by_storage == {}
    assert identity.same_storage(sparse) is None
