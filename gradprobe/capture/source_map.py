"""From `(code, lasti)` to file, line and column; only `build` asks for it."""

from __future__ import annotations

import ast
import dis
import linecache
import re
from collections.abc import Iterator
from types import CodeType
from typing import Any

from gradprobe.capture.remarks import remarks_in
from gradprobe.records.source import Frame, Remark

# Whether a line begins a statement of a module: what closes or goes on with one does not.
_BEGINS = re.compile(r"(?!(?:else|elif|except|finally)\b)[^\s#)\]}]").match


class SourceMap:
    """Frames of places in code, and the syntax around them. Files are read and parsed once."""

    def __init__(self) -> None:
        self._positions: dict[int, list[tuple[int | None, ...]]] = {}
        self._loops: dict[int, list[tuple[int, int]]] = {}
        self._trees: dict[str, ast.Module | None] = {}
        self._parts: dict[tuple[str, int, int], ast.Module | None] = {}
        self._files: dict[str, None] = {}  # those that a frame was made of, in order

    def frame(self, code: CodeType, lasti: int) -> Frame:
        """The span of source of one instruction."""
        positions = self._positions.get(id(code))
        if positions is None:
            positions = self._positions[id(code)] = list(code.co_positions())
        line, end_line, col, end_col = positions[lasti // 2]
        start = line or code.co_firstlineno
        self._files[code.co_filename] = None
        text = linecache.getline(code.co_filename, start).rstrip("\r\n")
        last = text if end_line in (None, start) else self.line(code.co_filename, end_line or start)
        return Frame(
            file=code.co_filename,
            line=start,
            end_line=end_line or start,
            col=_characters(text, col or 0),
            end_col=_characters(last, end_col) if end_col is not None else len(text),
            function=code.co_qualname,
            source=text,
        )

    def decorator(self, code: CodeType, by: str) -> Frame:
        """The decorator of a function that switches gradient off, e.g. `@torch.no_grad()`.

        Where several stand above the function, it is the one that names the context manager;
        else the first, which is where the function's code begins.
        """
        line = code.co_firstlineno
        short = by.removeprefix("torch.").split("(")[0]
        for node in self._functions_at(code):
            for decorator in node.decorator_list:
                if short in ast.unparse(decorator):
                    line = decorator.lineno
                    break
        self._files[code.co_filename] = None
        text = self.line(code.co_filename, line)
        start = len(text) - len(text.lstrip())
        return Frame(
            file=code.co_filename,
            line=line,
            end_line=line,
            col=start,
            end_col=len(text),
            function=code.co_qualname,
            source=text,
        )

    def definition(self, code: CodeType) -> Frame:
        """Where a function is defined: from its `def` to the end of that line, or the lambda."""
        if code.co_name == "<lambda>":
            inside = {(p[0], p[2]) for p in code.co_positions() if p[0] and p[3]}
            for node in ast.walk(self.tree(code.co_filename) or ast.Module([], [])):
                if isinstance(node, ast.Lambda) and inside <= _starts(node.body):
                    return self._span(code, node.lineno, node.col_offset, node)
        for function in self._functions_at(code):
            return self._span(code, function.lineno, function.col_offset, None)
        return self.frame(code, 0)

    def _span(self, code: CodeType, line: int, col: int, node: ast.expr | None) -> Frame:
        self._files[code.co_filename] = None
        text = self.line(code.co_filename, line)
        end = (node.end_lineno or line) if node is not None else line
        last = self.line(code.co_filename, end)
        end_col = node.end_col_offset if node is not None else None
        return Frame(
            file=code.co_filename,
            line=line,
            end_line=end,
            col=_characters(text, col),
            end_col=len(last.rstrip()) if end_col is None else _characters(last, end_col),
            function=code.co_qualname,
            source=text,
        )

    def loops(self, code: CodeType, lasti: int) -> tuple[tuple[int, int], ...]:
        """First and last instruction of each loop around one, innermost first."""
        loops = self._loops.get(id(code))
        if loops is None:
            loops = self._loops[id(code)] = [
                (instruction.argval, instruction.offset)
                for instruction in dis.get_instructions(code)
                if instruction.opname.startswith("JUMP_BACKWARD")
            ]
        around = [loop for loop in loops if loop[0] <= lasti <= loop[1]]
        widest: dict[int, tuple[int, int]] = {}  # a `continue` jumps back too: one loop a start
        for loop in sorted(around, key=lambda loop: loop[1]):
            widest[loop[0]] = loop
        return tuple(sorted(widest.values(), key=lambda loop: loop[1] - loop[0]))

    def remarks(self) -> Iterator[Remark]:
        """The comments to gradprobe in the files of all frames so far."""
        for file in self._files:
            yield from remarks_in(file, linecache.getlines(file))

    def line(self, file: str, number: int) -> str:
        return linecache.getline(file, number).rstrip("\r\n")

    def tree(self, file: str) -> ast.Module | None:
        """The file's syntax tree, or None where it cannot be read or parsed."""
        if file not in self._trees:
            text = "".join(linecache.getlines(file))
            try:
                self._trees[file] = ast.parse(text) if text else None
            except (SyntaxError, ValueError):
                self._trees[file] = None
        return self._trees[file]

    def path_to(self, frame: Frame, *, whole: bool = False) -> list[ast.AST]:
        """The syntax nodes that contain a frame's span, outermost first.

        The first is the module: with that statement of it alone, or `whole`.
        """
        node: ast.AST | None = self.tree(frame.file) if whole else self._around(frame)
        start = (frame.line, _bytes(frame.source, frame.col))
        found: list[ast.AST] = []
        while node is not None:
            found.append(node)
            node = next((c for c in ast.iter_child_nodes(node) if _holds(c, start, frame)), None)
        return found

    def _around(self, frame: Frame) -> ast.Module | None:
        """The tree of the module's statement that a frame lies in, at its place in the file.

        A library's file may have thousands of lines, of which one function is looked at. Where the
        statement cannot be told by its indentation, as in a text without any, it is the whole file.
        """
        lines = linecache.getlines(frame.file)
        if not 0 < frame.line <= len(lines) or frame.file in self._trees:
            return self.tree(frame.file)
        first = last = frame.line
        while first > 1 and not _BEGINS(lines[first - 1]):
            first -= 1
        while last < len(lines) and (last < frame.end_line or not _BEGINS(lines[last])):
            last += 1
        key = (frame.file, first, last)
        if key not in self._parts:
            text = "\n" * (first - 1) + "".join(lines[first - 1 : last])
            try:
                self._parts[key] = ast.parse(text)
            except (SyntaxError, ValueError):
                self._parts[key] = self.tree(frame.file)
        return self._parts[key]

    def _functions_at(self, code: CodeType) -> list[ast.FunctionDef | ast.AsyncFunctionDef]:
        tree = self.tree(code.co_filename)
        if tree is None:
            return []
        return [
            node
            for node in ast.walk(tree)
            if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))
            and node.name == code.co_name
            and code.co_firstlineno in (node.lineno, *(d.lineno for d in node.decorator_list))
        ]


def _starts(node: ast.expr) -> set[tuple[int | None, int | None]]:
    """Where the expressions in one begin: there are no others that its instructions come from."""
    return {(n.lineno, n.col_offset) for n in ast.walk(node) if isinstance(n, ast.expr)}


def _holds(node: ast.AST, start: tuple[int, int], frame: Frame) -> bool:
    line = getattr(node, "lineno", None)
    if line is None:  # operators, contexts, arguments: no place of their own
        return any(_holds(child, start, frame) for child in ast.iter_child_nodes(node))
    decorators = getattr(node, "decorator_list", ())
    # ast.AST does not declare places; a node that has a line has all four.
    places = [_place(node), *(_place(d) for d in decorators)]
    first = min(begin for begin, _ in places)
    last = places[0][1]
    # Columns of the last line of a longer span are taken as they are: good but for non-ASCII there.
    end = _bytes(frame.source, frame.end_col) if frame.end_line == frame.line else frame.end_col
    return first <= start and (frame.end_line, end) <= last


def _place(node: Any) -> tuple[tuple[int, int], tuple[int, int]]:
    return (node.lineno, node.col_offset), (node.end_lineno, node.end_col_offset)


def _characters(text: str, offset: int) -> int:
    """Python counts columns in bytes of UTF-8; people and editors count characters."""
    if text.isascii():
        return offset
    return len(text.encode()[:offset].decode(errors="ignore"))


def _bytes(text: str, column: int) -> int:
    return column if text.isascii() else len(text[:column].encode())
