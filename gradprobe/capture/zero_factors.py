"""Why a factor is zero: `noise_scale = 0 because s_churn = 0`, read from source and variables."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping, Sequence

from gradprobe.capture.source_map import SourceMap
from gradprobe.records.numerics import ZeroFactor
from gradprobe.records.source import Frame

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_DEEPEST = 6  # assignments on the way back from a factor to its reason


def zero_factor(
    frame: Frame | None, numbers: Mapping[str, float], sources: SourceMap
) -> ZeroFactor | None:
    """The zero among the operands of an op, and the variable that made it zero.

    `numbers` are what the variables of the function held when the op ran. None where no variable
    that is zero stands in the expression or in what its variables were computed from.
    """
    if frame is None:
        return None
    path = sources.path_to(frame, whole=True)
    scope = next((n for n in reversed(path) if isinstance(n, (*_FUNCTIONS, ast.Module))), None)
    if not path or scope is None:
        return None
    operands = list(_operands(path[-1]))
    direct = [n for n in operands if numbers.get(n) == 0]
    chain = _back(direct or operands, scope, frame.line, numbers)
    zeros = [(name, at) for name, at in chain if numbers.get(name) == 0]
    if not zeros:
        return None
    name = direct[0] if direct else zeros[0][0]
    reason = zeros[-1][0]
    line = next((at for _, at in reversed(zeros) if at is not None), None)
    at = None if line is None else _line(frame, line, sources)
    return ZeroFactor(name, None if reason == name else reason, at)


def _operands(node: ast.AST) -> Iterator[str]:
    """The variables in an expression; of calls the arguments, not what is called."""
    if isinstance(node, ast.Name):
        yield node.id
        return
    for child in ast.iter_child_nodes(node):
        if isinstance(node, ast.Call) and child is node.func and isinstance(child, ast.Name):
            continue
        yield from _operands(child)


def _back(
    names: Sequence[str], scope: ast.AST, before: int, numbers: Mapping[str, float]
) -> list[tuple[str, int | None]]:
    """The variables that `names` were computed from, nearest first, each with its assignment."""
    found: list[tuple[str, int | None]] = []
    seen: set[str] = set()
    waiting = [(name, before, 0) for name in names]
    while waiting:
        name, line, depth = waiting.pop(0)
        if name in seen:
            continue
        seen.add(name)
        assigned = _assignment(name, scope, line)
        found.append((name, None if assigned is None else assigned.lineno))
        if assigned is not None and depth < _DEEPEST:
            within = list(dict.fromkeys(_operands(assigned.value)))
            # Of several variables that are zero one is as good; else all are followed.
            zero = [n for n in within if numbers.get(n) == 0]
            waiting += [(n, assigned.lineno + 1, depth + 1) for n in zero or within]
    return found


def _assignment(name: str, scope: ast.AST, before: int) -> ast.Assign | None:
    """The last plain assignment to a variable above a line."""
    last: ast.Assign | None = None
    for node in ast.walk(scope):
        if not isinstance(node, ast.Assign) or node.lineno >= before:
            continue
        named = any(
            isinstance(n, ast.Name) and n.id == name for t in node.targets for n in _parts(t)
        )
        if named and (last is None or node.lineno > last.lineno):
            last = node
    return last


def _parts(target: ast.expr) -> list[ast.expr]:
    return list(target.elts) if isinstance(target, (ast.Tuple, ast.List)) else [target]


def _line(near: Frame, line: int, sources: SourceMap) -> Frame:
    text = sources.line(near.file, line)
    start = len(text) - len(text.lstrip())
    return Frame(near.file, line, line, start, len(text), near.function, text)
