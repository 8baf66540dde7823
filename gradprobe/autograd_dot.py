"""`make_dot`: the autograd graph node by node, for those who know torchviz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import graphviz

from gradprobe.capture.graph_drawing import GraphDrawing, names_of, outputs_of
from gradprobe.render.digraph import digraph

if TYPE_CHECKING:
    from torch import Tensor


def make_dot(
    var: Tensor | Sequence[Tensor],
    params: Mapping[str, Tensor] | None = None,
    show_attrs: bool = False,
    show_saved: bool = False,
    max_attr_chars: int = 50,
) -> graphviz.Digraph:
    """The autograd graph of `var` as a `graphviz.Digraph`, of any depth and without recursion.

    Arguments, nodes, edges and looks are those of `torchviz.make_dot` (torchviz 0.0.3, MIT
    licence, https://github.com/szagoruyko/pytorchviz). Ops are grey, leaves light blue, saved
    tensors orange, outputs green, and a tensor that an output is a view of is dark green, joined to
    it by a dotted line. Unlike there, labels hold names and values as they are, also with `\\` and
    `&` in them, and a graph whose saved tensors can no longer be read (freed by a backward, or
    overwritten) is drawn without these.

    Args:
        var: the output, or a tuple or list of outputs.
        params: names by which tensors are labelled, such as `dict(model.named_parameters())`.
        show_attrs: list what each node saved, with the values of what is no tensor.
        show_saved: draw the tensors that nodes saved; those of a custom `autograd.Function` always
            are.
        max_attr_chars: how many characters a value takes at most with `show_attrs`.

    Raises:
        NotTensors: `var` is or holds something that is no tensor; as an AttributeError or a
            TypeError it is caught as torchviz's is.
        NotParameters: `params` is no mapping, or a value is no tensor; as an AssertionError or an
            AttributeError it is caught as torchviz's is.

    Nothing of the program is changed, but for one entry: of more than 1 000 nodes each gets a key
    `gradprobe` in its `metadata`, without which torch would crash on freeing a deep graph that was
    looked at.
    """
    outputs, names = outputs_of(var), names_of(params)
    drawing = GraphDrawing(names, attributes=show_attrs, saved=show_saved).draw(outputs)
    return digraph(drawing, max_attr_chars)
