"""The live autograd graph below tensors, written down row by row for a drawing.

The rows and their order are those of torchviz's `make_dot`. Nodes are named by their `id()`, so
that everything met is kept alive until the last row is written: no number is given out twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from torch import Tensor

from gradprobe.capture import saved_values
from gradprobe.capture.deep_release import free_one_by_one
from gradprobe.capture.saved_values import SavedValues
from gradprobe.capture.torch_internals import aside, base_of_view, history
from gradprobe.errors import NotParameters, NotTensors
from gradprobe.records.drawing import Drawing, DrawnEdge, DrawnKind, DrawnNode


def outputs_of(var: object) -> list[Tensor]:
    """`var` as a list of tensors. Raises `NotTensors` if it is neither a tensor nor some."""
    given = var if isinstance(var, tuple | list) else [var]
    for tensor in given:
        if not isinstance(tensor, Tensor):
            raise NotTensors(tensor)
    return list(given)


def names_of(params: object) -> dict[int, str]:
    """Names by the `id()` of their tensors. Raises `NotParameters` if `params` holds others."""
    if params is None:
        return {}
    if not isinstance(params, Mapping):
        raise NotParameters(f"params is a {type(params).__name__}")
    for name, tensor in params.items():
        if not isinstance(tensor, Tensor):
            raise NotParameters(f"params[{name!r}] is a {type(tensor).__name__}, not a tensor")
    return {id(tensor): str(name) for name, tensor in params.items()}


class GraphDrawing:
    """One drawing; `names` is that of `names_of`, `attributes` and `saved` say what to show."""

    def __init__(self, names: Mapping[int, str], *, attributes: bool, saved: bool) -> None:
        self.rows: Drawing = []
        self._names = names
        self._attributes = attributes
        self._saved = saved
        self._values = SavedValues()
        self._seen: set[int] = set()
        self._alive: list[Any] = []
        self._nodes: list[Any] = []

    def draw(self, outputs: Sequence[Tensor]) -> Drawing:
        """The rows of all that is below `outputs`, each node once."""
        with aside():
            try:
                for tensor in outputs:
                    self._output(tensor, "output")
            finally:
                free_one_by_one(self._nodes)
        return self.rows

    def _output(self, tensor: Tensor, kind: DrawnKind) -> None:
        if not self._is_new(tensor):
            return
        self._tensor(tensor, kind)
        node, base = history(tensor), base_of_view(tensor)
        if node is not None:
            self._below(node)
            self._edge(node, tensor)
        if base is not None:  # which is no view itself
            self._output(base, "base")
            self.rows.append(DrawnEdge(str(id(base)), str(id(tensor)), "view"))

    def _below(self, root: Any) -> None:
        """A node and all that come after it, depth first, by a stack of our own."""
        stack = [(root, self._begin(root))] if self._is_new(root) else []
        while stack:
            node, following = stack[-1]
            for other, _ in following:
                if other is None:
                    continue
                self._edge(other, node)
                if self._is_new(other):
                    stack.append((other, self._begin(other)))
                    break
            else:
                stack.pop()
                for tensor in saved_values.custom(node):
                    self._is_new(tensor)
                    self.rows.append(DrawnEdge(str(id(tensor)), str(id(node)), "saved"))
                    self._tensor(tensor, "saved")

    def _begin(self, node: Any) -> Iterator[tuple[Any, int]]:
        """The rows of one node alone; the nodes after it."""
        self._nodes.append(node)
        shown = self._values.named(node) if self._saved or self._attributes else []
        if self._saved:
            for name, value in shown:
                self._saved_value(node, name, value)
        variable = getattr(node, "variable", None)
        if isinstance(variable, Tensor):
            self._is_new(variable)
            self._tensor(variable, "leaf")
            self._edge(variable, node)
        words = ((name, saved_values.words(value)) for name, value in shown)
        attributes = tuple(words) if self._attributes else ()
        title = type(node).__name__
        self.rows.append(DrawnNode(str(id(node)), "node", title, None, attributes))
        return iter(node.next_functions)

    def _saved_value(self, node: Any, name: str, value: Any) -> None:
        self._is_new(value)
        for title, tensor in saved_values.tensors(name, value):
            self.rows.append(DrawnEdge(str(id(node)), str(id(tensor)), "saved"))
            self._tensor(tensor, "saved", title)

    def _tensor(self, tensor: Tensor, kind: DrawnKind, title: str = "") -> None:
        title = title or self._names.get(id(tensor), "")
        self.rows.append(DrawnNode(str(id(tensor)), kind, title, tuple(tensor.size())))

    def _edge(self, tail: Any, head: Any) -> None:
        self.rows.append(DrawnEdge(str(id(tail)), str(id(head))))

    def _is_new(self, thing: Any) -> bool:
        """Whether it was not met before; from now on it was."""
        if id(thing) in self._seen:
            return False
        self._seen.add(id(thing))
        self._alive.append(thing)
        return True
