"""Where a break can be put: the assignments and returns of a text that hold values on z0's way."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from benchmarks.breaks.places import Span, Text

# `leaf` makes z0; `start` is the first assignment of the script that reads it; `optimizer` makes
# the optimiser and `backward` is the call: they are for breaks that are none of a value's.
Kind = Literal["assign", "augmented", "return", "leaf", "start", "optimizer", "backward"]
VALUE_KINDS = frozenset({"assign", "augmented", "return"})
WATCH = "__watch_site__"


@dataclass(frozen=True, slots=True)
class Site:
    """One statement: `whole` is all of it, `value` the expression whose result it holds.

    `module` is empty for the script itself; `function` is empty at its top level.
    """

    module: str
    function: str
    kind: Kind
    whole: Span
    value: Span


def sites_of(module: str, text: str) -> list[Site]:
    """Every statement of a text that may take a break. Of a library only what functions do."""
    found = list(_visit(module, ast.parse(text), "", not module))
    starts = [site for site in found if site.kind == "start"]
    return [site for site in found if site.kind != "start" or site is starts[0]]


def _visit(module: str, node: ast.AST, function: str, here: bool) -> Iterator[Site]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef)):
            outer = f"{function}.<locals>." if here and function else function and f"{function}."
            yield from _visit(module, child, f"{outer}{child.name}", True)
        elif isinstance(child, ast.ClassDef):
            yield from _visit(module, child, f"{function}.{child.name}".lstrip("."), False)
        elif isinstance(child, ast.Lambda):
            continue
        elif here and (found := _site(module, child, function)) is not None:
            yield found
            if found.kind == "assign" and not function and _reads_leaf(child):
                yield Site(module, function, "start", found.whole, found.value)
        elif not isinstance(child, ast.expr):
            yield from _visit(module, child, function, here)


def _site(module: str, node: ast.AST, function: str) -> Site | None:
    kind: Kind
    value: ast.expr | None
    match node:
        case ast.Assign(targets=[ast.Name(id="z0")], value=value):
            kind = "leaf"
        case ast.Assign(targets=[ast.Name(id="optimizer")], value=value):
            kind = "optimizer"
        case ast.Assign(targets=[ast.Name(id="start")]):
            return None  # of a descent: what z0 began with
        case ast.Assign(targets=[ast.Name() | ast.Attribute()], value=value):
            kind = "assign"
        case ast.AnnAssign(value=value) if value is not None:
            kind = "assign"
        case ast.AugAssign(value=value):
            kind = "augmented"
        case ast.Return(value=value) if value is not None:
            kind = "return"
        case ast.Expr(value=ast.Call(func=ast.Attribute(attr="backward")) as value):
            kind = "backward"
        case _:
            return None
    assert value is not None
    return Site(module, function, kind, _span(node), _span(value))


def _span(node: ast.stmt | ast.expr) -> Span:
    assert node.end_lineno is not None  # as of all that was parsed
    assert node.end_col_offset is not None
    return Span(node.lineno, node.col_offset, node.end_lineno, node.end_col_offset)


def _reads_leaf(node: ast.AST) -> bool:
    return any(isinstance(n, ast.Name) and n.id == "z0" for n in ast.walk(node))


def watched(text: str, sites: Sequence[Site], module: str) -> str:
    """A module's text in which every value goes through `WATCH(number, value)`.

    The number is that of its place in `sites`.
    """
    source = Text(text)
    return source.replaced(
        (site.value, f"{WATCH}({number}, ({source.at(site.value)}))")
        for number, site in enumerate(sites)
        if site.module == module and site.kind in VALUE_KINDS
    )
