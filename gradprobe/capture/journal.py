"""The hot path's data layout: flat columns that each op appends to."""

from __future__ import annotations

from array import array
from typing import Any

import torch
from torch import Tensor

from gradprobe.capture.call_stack import CallStack
from gradprobe.capture.identity import Identity, TensorRef
from gradprobe.capture.torch_internals import has_history
from gradprobe.records.op import Callee
from gradprobe.records.tensor import (
    CONNECTED,
    DERIVED,
    LEAF,
    MET,
    PARAMETER,
    REQUIRES_GRAD,
    TensorMeta,
)


class Journal:
    """Columns of ops and values while they are being written (see `records.op.OpTable`)."""

    __slots__ = (
        "callee_of",
        "callees",
        "flags",
        "head",
        "identity",
        "inputs",
        "inputs_end",
        "last_device",
        "last_dtype",
        "last_meta",
        "last_shape",
        "made_at",
        "meta",
        "meta_of",
        "metas",
        "outputs",
        "outputs_end",
        "sequence",
        "site",
        "stack",
    )

    def __init__(self) -> None:
        self.stack = CallStack()
        self.identity = Identity()
        self.head = array("q")
        self.site = array("i")
        self.sequence = array("q")
        self.inputs = array("i")
        self.inputs_end = array("i")
        self.outputs = array("i")
        self.outputs_end = array("i")
        self.meta = array("i")
        self.flags = bytearray()
        self.made_at = array("i")
        self.metas: list[TensorMeta] = []
        self.meta_of: dict[tuple[torch.Size, torch.dtype, torch.device], int] = {}
        self.last_shape: torch.Size | None = None
        self.last_dtype: torch.dtype | None = None
        self.last_device: torch.device | None = None
        self.last_meta = 0
        self.callees: list[Callee] = []
        self.callee_of: dict[Callee, int] = {}

    def callee(self, callee: Callee) -> int:
        number = self.callee_of.get(callee)
        if number is None:
            number = self.callee_of[callee] = len(self.callees)
            self.callees.append(callee)
        return number

    def new_value(self, tensor: Tensor, flags: int) -> int:
        """A number for the value that `tensor` holds now."""
        # Runs of ops over one shape are the rule: comparing with the last is half of a look-up.
        shape, dtype, device = tensor.shape, tensor.dtype, tensor.device
        if shape != self.last_shape or dtype is not self.last_dtype or device != self.last_device:
            self.last_shape, self.last_dtype, self.last_device = shape, dtype, device
            key = (shape, dtype, device)
            meta = self.meta_of.get(key)
            self.last_meta = self.learn(key) if meta is None else meta
        value = len(self.flags)
        self.flags.append(flags)
        self.meta.append(self.last_meta)
        self.made_at.append(len(self.head))
        return value

    def learn(self, key: tuple[torch.Size, torch.dtype, torch.device]) -> int:
        shape, dtype, device = key
        number = self.meta_of[key] = len(self.metas)
        self.metas.append(
            TensorMeta(
                shape=tuple(int(n) for n in shape),
                dtype=str(dtype).removeprefix("torch."),
                device=str(device),
                differentiable=dtype.is_floating_point or dtype.is_complex,
            )
        )
        return number

    def meet(self, tensor: Tensor) -> TensorRef:
        """Enter a tensor that no op was seen to make."""
        flags = MET
        if tensor.requires_grad:
            flags |= REQUIRES_GRAD
            if not has_history(tensor):
                flags |= LEAF
        if isinstance(tensor, torch.nn.Parameter):
            flags |= PARAMETER
        elif flags & REQUIRES_GRAD:
            flags |= DERIVED | CONNECTED
        value = self.new_value(tensor, flags)
        self.made_at[value] = -1
        return self.identity.add(tensor, value)

    def row(
        self,
        callee: int,
        circumstances: int,
        region: int,
        place: int,
        sequence: int,
        inputs: list[int],
        outputs: list[int],
    ) -> int:
        """Append one op; returns its index. `sequence` 0: no call, the counter is where it was."""
        index = len(self.head)
        if not sequence and index:
            sequence = self.sequence[-1]
        self.head.append(callee | circumstances << 16 | region << 24)
        self.site.append(place)
        self.sequence.append(sequence)
        self.inputs.extend(inputs)
        self.inputs_end.append(len(self.inputs))
        self.outputs.extend(outputs)
        self.outputs_end.append(len(self.outputs))
        return index

    def record_bytes(self) -> int:
        """Memory of the columns, in bytes."""
        columns: tuple[Any, ...] = (
            self.head,
            self.site,
            self.sequence,
            self.inputs,
            self.inputs_end,
            self.outputs,
            self.outputs_end,
            self.meta,
            self.made_at,
        )
        size: int = sum(len(c) * c.itemsize for c in columns)
        return size + len(self.flags)
