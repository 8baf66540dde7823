"""Copies lie in one piece of memory, the same for each pass."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from gradprobe.capture.shelf import Shelf

LAYOUT = (
    ((2, 3), torch.float32),
    ((), torch.bfloat16),
    ((0, 4), torch.float32),
    ((5,), torch.int8),
)


def given(seed: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randint(-9, 9, shape, generator=generator).to(dtype) for shape, dtype in LAYOUT]


def test_each_copy_has_its_own_place_and_the_next_pass_writes_it_again() -> None:
    shelf = Shelf(LAYOUT)
    addresses = []
    for seed in (1, 2):
        tensors = given(seed)
        copies = [shelf.copy(number, tensor) for number, tensor in enumerate(tensors)]
        for copy, tensor in zip(copies, tensors, strict=True):
            assert copy is not None
            assert torch.equal(copy, tensor)
            assert copy.untyped_storage().data_ptr() != tensor.untyped_storage().data_ptr()
        addresses.append([copy.data_ptr() for copy in copies if copy is not None and copy.numel()])
    assert addresses[0] == addresses[1]
    assert len({one.untyped_storage().data_ptr() for one in copies if one is not None}) == 1
    assert all(address % 64 == addresses[0][0] % 64 for address in addresses[0])


def test_a_copy_is_of_the_elements_alone() -> None:
    shelf = Shelf((((3, 2), torch.float32),))
    leaf = torch.ones(2, requires_grad=True)
    turned = (leaf * torch.arange(6.0).reshape(3, 2).T.contiguous().T).expand(3, 2)
    copy = shelf.copy(0, turned)
    assert copy is not None
    assert torch.equal(copy, turned)
    assert (copy.requires_grad, copy.is_contiguous()) == (False, True)
    before = turned._version
    copy.zero_()
    assert turned.detach().abs().sum() > 0
    assert turned._version == before


class Wrapping(Tensor):
    """Counts what is asked of it."""

    asked = 0

    @classmethod
    def __torch_function__(
        cls, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: Any = None
    ) -> Any:
        Wrapping.asked += 1
        return super().__torch_function__(func, types, args, kwargs)


@pytest.mark.parametrize(
    "other",
    [
        torch.ones(2, dtype=torch.float64),
        torch.ones(2, device="meta"),
        torch.ones(2).to_sparse(),
        torch.ones(2).as_subclass(Wrapping),
    ],
    ids=["dtype", "device", "layout", "class"],
)
def test_what_is_no_plain_tensor_of_that_type_is_not_copied(other: Tensor) -> None:
    Wrapping.asked = 0
    assert Shelf((((2,), torch.float32),)).copy(0, other) is None
    assert Wrapping.asked == 0


def test_a_default_device_of_the_program_does_not_move_it() -> None:
    with torch.device("meta"):
        shelf = Shelf((((2,), torch.float32),))
    copy = shelf.copy(0, torch.ones(2))
    assert copy is not None
    assert copy.tolist() == [1.0, 1.0]
