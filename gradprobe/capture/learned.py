"""What the hot path wants to know of a torch function, looked up once."""

from __future__ import annotations

from gradprobe.capture.op_table import FIRST_ONLY
from gradprobe.records.op import Kind

WRITES = frozenset({Kind.WRITE, Kind.OVERWRITE, Kind.RANDOM})


class Learned:
    """What is known of one function: resolved once, read at each of its calls."""

    __slots__ = (
        "accesses_grad",
        "apart",
        "attribute",
        "copies",
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
        # Read at every call: looking up members of an enumeration there is not cheap.
        self.quiet = kind is Kind.QUIET
        self.leaf = kind is Kind.LEAF
        self.apart = self.leaf or kind in WRITES  # something is done before the call
        self.accesses_grad = attribute.startswith("grad.")
        self.copies = attribute == "__deepcopy__"
        self.hooks = attribute.startswith("register_")
        self.plain = kind in (Kind.COMPUTE, Kind.SELECT)
        self.indexes = attribute == "__getitem__"  # `x[1:]` is a view, `x[order]` is none
        self.rebinds = attribute in ("data.__set__", "set_")
