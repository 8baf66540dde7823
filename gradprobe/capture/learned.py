"""What the hot path wants to know of a torch function, looked up once."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from gradprobe.capture.op_table import DRAWN_FROM, FILLS, FIRST_ONLY, ONE_EACH
from gradprobe.records.op import Kind

WRITES = frozenset({Kind.WRITE, Kind.OVERWRITE, Kind.RANDOM})


class Learned:
    """What is known of one function: resolved once, read at each of its calls."""

    __slots__ = (
        "accesses_grad",
        "apart",
        "attribute",
        "copies",
        "drawn_from",
        "each",
        "exits",
        "fills",
        "first_only",
        "foreign",
        "hooks",
        "indexes",
        "kind",
        "leaf",
        "mutated",
        "number",
        "plain",
        "quiet",
        "rebinds",
        "sets_items",
        "writes",
    )

    def __init__(
        self,
        number: int,
        kind: Kind,
        attribute: str,
        mutated: tuple[tuple[int, str], ...] = (),
    ) -> None:
        """`mutated`: of an op that is not torch's own, the arguments that it writes to."""
        self.mutated = mutated
        self.foreign = kind is Kind.UNSEEN  # until a node of its own shows it has a formula
        self.number = number
        self.kind = kind
        self.attribute = attribute
        self.first_only = attribute in FIRST_ONLY
        self.fills = attribute in FILLS
        # Read at every call: looking up members of an enumeration there is not cheap.
        self.quiet = kind is Kind.QUIET
        self.leaf = kind is Kind.LEAF
        # `normal_` writes its argument, `randn_like` does not.
        self.writes = kind in WRITES and (kind is not Kind.RANDOM or attribute.endswith("_"))
        self.drawn_from = attribute in DRAWN_FROM
        self.each = attribute in ONE_EACH
        self.sets_items = attribute == "__setitem__"
        self.apart = self.leaf or self.writes  # something is done before the call
        self.exits = False  # where what leaves torch is followed
        self.accesses_grad = attribute.startswith("grad.")
        self.copies = attribute == "__deepcopy__"
        self.hooks = attribute.startswith("register_")
        self.plain = kind in (Kind.COMPUTE, Kind.SELECT)
        self.indexes = attribute == "__getitem__"  # `x[1:]` is a view, `x[order]` is none
        self.rebinds = attribute in ("data.__set__", "set_")

    def carriers(self, inputs: list[int], args: tuple[Any, ...]) -> list[int]:
        """Those inputs whose values reach the result."""
        if self.fills:
            return inputs[bool(args) and isinstance(args[0], Tensor) :]
        if self.kind is Kind.SHAPE_ONLY or self.kind is Kind.RANDOM:
            return inputs[self.writes :] if self.drawn_from else []
        if self.first_only:
            return inputs[:1]
        own = self.kind is Kind.OVERWRITE or self.kind is Kind.COPY
        if own and args and isinstance(args[0], Tensor):  # `x.copy_(y)`, `x.new_tensor(y)`
            return inputs[1:]
        return inputs
