"""Places in source: line, column and expression, for any text that Python reads."""

from __future__ import annotations

import ast
import importlib.util
from collections.abc import Sequence
from pathlib import Path
from types import CodeType

import pytest

from gradprobe.capture.source_map import SourceMap
from gradprobe.records.source import Frame
from tests.traced import Traced, trace

PREAMBLE = """
import torch

z0 = torch.ones(3, requires_grad=True)
"""


def frame_of(run: Traced, callee: str) -> Frame:
    """Where the one op of this name was called."""
    seen = run.trace
    (op,) = (n for n in range(len(seen.ops)) if seen.ops.callee_of(n).name == f"Tensor.{callee}")
    frame = seen.frame_of(op)
    assert frame is not None
    return frame


@pytest.mark.parametrize(
    ("line", "expression"),
    [
        ("y = z0.sin()", "z0.sin()"),
        ("y = z0.exp() + z0.sin() * 2", "z0.sin()"),
        ("噪声 = z0; y = 噪声.sin()", "噪声.sin()"),
        ("说明 = '去噪 ✓ 步骤'; y = (z0 + 1).sin()", "(z0 + 1).sin()"),
        ("y = {'é': z0, 'ß': 2}['é'].sin()", "{'é': z0, 'ß': 2}['é'].sin()"),
        ("𐤀 = z0; y = [𐤀.exp(), 𐤀.sin()]", "𐤀.sin()"),
        ("if True: y = z0.sin()  # 🙂 later", "z0.sin()"),
        ("y = (lambda t: t.sin())(z0)", "t.sin()"),
        ("y = [t.sin() for t in (z0,)]", "t.sin()"),
        ("f'{z0.sin()}'", "z0.sin()"),
        ("\ty = z0.sin()", "z0.sin()"),
    ],
)
def test_the_exact_expression_on_a_line(line: str, expression: str, tmp_path: Path) -> None:
    if line.startswith("\t"):
        line = "if True:\n" + line
    run = trace(tmp_path, PREAMBLE + line)
    assert run.raised is None
    frame = frame_of(run, "sin")
    assert frame.expression == expression
    assert frame.line == frame.end_line == len(run.text.splitlines())
    assert frame.source == run.text.splitlines()[-1]
    assert frame.source[frame.col : frame.end_col] == expression
    assert frame.place == f"{run.path}:{frame.line}:{frame.source.index(expression) + 1}"


def test_an_expression_over_several_lines(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        PREAMBLE
        + """
y = 1.0 + (  # 多行
    z0.exp()
    .sin()
    .cos(
    )
)
""",
    )
    sin, cos = frame_of(run, "sin"), frame_of(run, "cos")
    lines = run.text.splitlines()
    # Python places a method call on the line of the method's name.
    named = lines.index("    .sin()") + 1
    assert (sin.line, sin.end_line, sin.col, sin.end_col) == (named, named, 5, 10)
    assert (sin.source, sin.expression) == ("    .sin()", "sin()")
    assert (cos.line, cos.end_line, cos.col, cos.end_col) == (named + 1, named + 2, 5, 5)
    assert (cos.source, cos.expression) == ("    .cos(", "cos(")
    total = frame_of(run, "add")
    assert (total.line, total.end_line) == (named - 2, named + 3)
    assert total.expression == "1.0 + (  # 多行"


def test_functions_are_called_by_their_qualified_names(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        PREAMBLE
        + """
class Sampler:
    def step(self, x):
        def inner():
            return x.sin()
        return inner()

Sampler().step(z0)
""",
    )
    assert frame_of(run, "sin").function == "Sampler.step.<locals>.inner"


def test_code_without_a_file_has_a_place_and_no_text() -> None:
    code = compile("x = 1\ny = 2", "<somewhere>", "exec")
    frame = SourceMap().frame(code, 0)
    assert (frame.file, frame.source, frame.expression) == ("<somewhere>", "", "")
    assert SourceMap().tree("<somewhere>") is None
    assert SourceMap().path_to(frame) == []


def test_a_file_that_does_not_parse_has_no_tree(tmp_path: Path) -> None:
    path = tmp_path / "broken.py"
    path.write_text("def (:\n")
    assert SourceMap().tree(str(path)) is None


DECORATED = """
import functools
import torch


def keep(f):
    return f


def mark(text):
    return keep


{0}
def sample(x):
    return x
"""


@pytest.mark.parametrize(
    ("decorators", "by"),
    [
        ("@torch.no_grad()  # <- opens", "torch.no_grad()"),
        ("@torch.no_grad  # <- opens", "torch.no_grad()"),
        ("@keep\n@torch.no_grad()  # <- opens\n@keep", "torch.no_grad()"),
        ("@mark('no matter')\n@torch.inference_mode()  # <- opens", "torch.inference_mode()"),
        ("@torch.set_grad_enabled(False)  # <- opens\n@keep", "torch.set_grad_enabled(False)"),
        ("@mark(\n    'long'\n)\n@torch.no_grad()  # <- opens\n@mark('去噪')", "torch.no_grad()"),
        ("@keep  # <- opens\n@mark('renamed import')", "torch.no_grad()"),
    ],
)
def test_the_decorator_that_names_the_switch(decorators: str, by: str, tmp_path: Path) -> None:
    text = DECORATED.format(decorators).lstrip("\n")
    path = tmp_path / "decorated.py"
    path.write_text(text, encoding="utf-8")
    module = compile(text, str(path), "exec")
    (code,) = (c for c in module.co_consts if isinstance(c, CodeType) and c.co_name == "sample")
    frame = SourceMap().decorator(code, by)
    opens = next(n for n, line in enumerate(text.splitlines(), 1) if "# <- opens" in line)
    assert (frame.file, frame.line, frame.function) == (str(path), opens, "sample")
    assert frame.source == text.splitlines()[opens - 1]
    assert frame.source[frame.col :].startswith("@")


def test_loops_around_a_place_innermost_first(tmp_path: Path) -> None:
    text = (
        "for i in range(3):\n    a()\n    while b():\n        c()\n        if d():\n"
        "            continue\n    e()\nf()\n"
    )
    path = tmp_path / "loops.py"
    path.write_text(text)
    code = compile(text, str(path), "exec")
    sources = SourceMap()
    depth: dict[int, int] = {}
    for lasti in range(0, len(code.co_code), 2):
        frame = sources.frame(code, lasti)
        loops = sources.loops(code, lasti)
        assert all(first <= lasti <= last for first, last in loops)
        spans = [last - first for first, last in loops]
        assert spans == sorted(spans)
        depth[frame.line] = max(depth.get(frame.line, 0), len(loops))
    assert {line: depth[line] for line in (2, 4, 7, 8)} == {2: 1, 4: 2, 7: 1, 8: 0}


def files_of(package: str) -> list[Path]:
    found = importlib.util.find_spec(package)
    assert found is not None
    assert found.origin is not None
    return sorted(Path(found.origin).parent.rglob("*.py"))


def as_a_list(path: Sequence[ast.AST]) -> list[tuple[str, object, object]]:
    places = (
        (type(n).__name__, *(getattr(n, a, 0) for a in ("lineno", "col_offset"))) for n in path
    )
    return [place for place in places if place[0] != "Module"]


@pytest.mark.parametrize("package", ["k_diffusion", "torchdiffeq", "gradprobe"])
def test_of_a_long_file_only_the_statement_is_parsed_and_the_path_is_the_same(package: str) -> None:
    paths, parsed_whole, files = 0, 0, 0
    for file in files_of(package):
        text = file.read_text(encoding="utf-8")
        lines, whole, parts = text.splitlines(), SourceMap(), SourceMap()
        whole.tree(str(file))
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.Call) and lines[node.lineno - 1].isascii():
                end = (node.end_lineno or 0, node.col_offset, node.end_col_offset or 0)
                frame = Frame(str(file), node.lineno, *end, "f", lines[node.lineno - 1])
                expected = as_a_list(whole.path_to(frame))
                assert as_a_list(parts.path_to(frame)) == expected
                paths += 1
        files += 1
        parsed_whole += str(file) in parts._trees  # a call in a decorator, say
    assert paths > 300
    assert parsed_whole < files / 2


@pytest.mark.parametrize(
    "text",
    [
        'def f():\n    """\ntext without indent\n    """\n    x = op(1)\n',
        "x = [\n1,\nop(1),\n]\n",
        "@wrap(\n    op(1)\n)\ndef f(): pass\n",
        "if False:\n    pass\nelse:\n    x = op(1)\n",
        "try:\n    x = op(1)\nexcept ValueError:\n    pass\n",
    ],
)
def test_where_indentation_misleads_the_whole_file_is_parsed(text: str, tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(text)
    number, line = next((n, t) for n, t in enumerate(text.splitlines(), 1) if "op(1)" in t)
    col = line.index("op(1)")
    path = SourceMap().path_to(Frame(str(file), number, number, col, col + 5, "f", line))
    assert isinstance(path[-1], ast.Call)
    assert as_a_list(path)[0][0] in ("FunctionDef", "Assign", "If", "Try")
