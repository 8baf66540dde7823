"""What the program calls a tensor: read from the source, by the position of the call."""

from __future__ import annotations

import ast
from collections.abc import Sequence
from itertools import pairwise

from gradprobe.capture.source_map import SourceMap
from gradprobe.records.source import Frame

# Calls that hand their argument through: the result is "the same" tensor to a reader.
_WRAPPERS = ("Parameter", "Variable")
_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)


class Naming:
    """Names of tensors after the variables they were assigned to."""

    def __init__(self, sources: SourceMap) -> None:
        self.sources = sources

    def assigned(self, stack: Sequence[Frame]) -> tuple[str, Frame] | None:
        """The variable that the result of the innermost frame's call ends up in.

        `stack` is outermost first. A `return` hands the question to the caller, so that
        `z0 = make_noise()` names what `make_noise` returned.
        """
        for frame in reversed(stack):
            path = self.sources.path_to(frame)
            statement = next((n for n in reversed(path) if isinstance(n, ast.stmt)), None)
            inside = path[path.index(statement) + 1 :] if statement is not None else []
            if any(isinstance(node, ast.Lambda) for node in inside):
                continue
            if isinstance(statement, ast.Return):
                continue
            name = _target(statement, inside)
            if name is None:
                return None
            return name, self._span(statement, frame)
        return None

    def receiver(self, frame: Frame) -> str | None:
        """`x` in `x.requires_grad_()`, `x.backward()` or `x.requires_grad = True`."""
        path = self.sources.path_to(frame)
        for node in reversed(path):
            if isinstance(node, ast.Call):
                if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
                    return _short(node.func.value)
                return _short(node.args[0]) if node.args else None
            if isinstance(node, ast.Attribute):
                return _short(node.value)
        return None

    def operand(self, frame: Frame, position: int) -> str | None:
        """The text of the operand that became the op's argument at `position`."""
        path = self.sources.path_to(frame)
        node = path[-1] if path else None
        if isinstance(node, ast.BinOp):
            # `80.0 * z0` is a reflected call: the tensor comes first although it stands second.
            sides = [node.left, node.right]
            if isinstance(node.left, ast.Constant):
                sides.reverse()
            return _short(sides[position]) if position < 2 else None
        if isinstance(node, ast.Call):
            operands: list[ast.expr] = list(node.args)
            if isinstance(node.func, ast.Attribute) and not _is_module(node.func.value):
                operands.insert(0, node.func.value)
            return _short(operands[position]) if position < len(operands) else None
        if isinstance(node, (ast.Attribute, ast.Subscript)) and position == 0:
            return _short(node.value)
        if isinstance(node, ast.UnaryOp) and position == 0:
            return _short(node.operand)
        return None

    def outermost(self, name: str, stack: Sequence[Frame]) -> str:
        """What the callers call the tensor that the innermost function knows as `name`.

        While `name` is a parameter, the question goes to the caller's argument: z0 of a script is
        `x` inside its sampler.
        """
        for frame, caller in pairwise(reversed(stack)):
            given = self._argument(name, self.sources.path_to(frame), self.sources.path_to(caller))
            if given is None:
                break
            name = given
        return name

    def _argument(self, name: str, path: list[ast.AST], caller: list[ast.AST]) -> str | None:
        function = next((n for n in reversed(path) if isinstance(n, _FUNCTIONS)), None)
        call = caller[-1] if caller else None
        if function is None or not isinstance(call, ast.Call):
            return None
        parameters = [a.arg for a in (*function.args.posonlyargs, *function.args.args)]
        if name not in parameters:
            return None
        keyword = next((k.value for k in call.keywords if k.arg == name), None)
        position = parameters.index(name) - (parameters[0] in ("self", "cls"))
        if keyword is None and 0 <= position < len(call.args):
            keyword = call.args[position]
        return _short(keyword) if isinstance(keyword, (ast.Name, ast.Attribute)) else None

    def _span(self, statement: ast.stmt | None, frame: Frame) -> Frame:
        if statement is None:
            return frame
        return Frame(
            file=frame.file,
            line=statement.lineno,
            end_line=statement.end_lineno or statement.lineno,
            col=statement.col_offset,
            end_col=statement.end_col_offset or 0,
            function=frame.function,
            source=self.sources.line(frame.file, statement.lineno),
        )


def _target(statement: ast.stmt | None, inside: list[ast.AST]) -> str | None:
    """The name a statement gives to the expression that `inside` leads to."""
    walrus = next((n for n in reversed(inside) if isinstance(n, ast.NamedExpr)), None)
    if walrus is not None and _hands_through(inside[inside.index(walrus) + 1 :]):
        return walrus.target.id
    if isinstance(statement, ast.Expr):
        call = statement.value  # `z0.requires_grad_()` on a line of its own
        if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
            return _short(call.func.value) if call.func.attr == "requires_grad_" else None
        return None
    if isinstance(statement, ast.AnnAssign):
        return _short(statement.target) if _hands_through(inside) else None
    if not isinstance(statement, ast.Assign):
        return None
    target = statement.targets[0]
    if isinstance(target, ast.Attribute) and target.attr == "requires_grad":
        return _short(target.value)
    if isinstance(target, ast.Tuple) and isinstance(statement.value, ast.Tuple):
        for name, value in zip(target.elts, statement.value.elts, strict=False):
            if value in inside:
                return _short(name) if _hands_through(inside[inside.index(value) :]) else None
        return None
    if isinstance(target, ast.Tuple):
        return None
    return _short(target) if _hands_through(inside) else None


def _hands_through(inside: list[ast.AST]) -> bool:
    """Whether the assigned value is the innermost call's result, as a reader sees it.

    Method chains and arithmetic keep the name; being an argument of another call does not.
    """
    for outer, inner in pairwise(inside):
        if isinstance(outer, ast.Call) and inner is not outer.func:
            name = ast.unparse(outer.func).rsplit(".", 1)[-1]
            if name not in _WRAPPERS:
                return False
        elif isinstance(outer, (ast.ListComp, ast.Dict, ast.Compare)):
            return False
    return True


def _is_module(node: ast.expr) -> bool:
    text = ast.unparse(node)
    return text in ("torch", "F") or text.startswith(("torch.", "nn."))


def _short(node: ast.expr) -> str:
    text = ast.unparse(node)
    return text if len(text) <= 40 else text[:37] + "..."
