"""DOT in, SVG or PNG out: by the graphviz-pure that pip installed, or by the system's dot."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, files

import graphviz

from gradprobe.errors import TooLarge, UsageError

_SECONDS = 60


def lay_out(dot: str, engine: str) -> str:
    """The SVG of `dot`. Raises `UsageError` for an engine that is unknown, missing or refuses."""
    return _drawn(dot, engine, "svg").decode()


def paint(dot: str, engine: str, dpi: int) -> bytes:
    """The PNG of `dot`, in pixels to the inch (a point is 1/72). Raises as `lay_out` does."""
    return _drawn(dot.replace("{", f"{{\n\tgraph [dpi={dpi}]", 1), engine, "png")


def _drawn(dot: str, engine: str, format: str) -> bytes:
    if engine == "pure":
        return _pure(dot, format)
    if engine == "dot":
        return _system(dot, format)
    raise UsageError(f"unknown layout engine {engine!r}: choose one of pure, dot")


def _pure(dot: str, format: str) -> bytes:
    program = _pure_program()
    try:
        done = subprocess.run(
            [program, f"-T{format}"],
            input=dot.encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=True,
        )
    except subprocess.TimeoutExpired:
        raise TooLarge(
            f"dot did not lay out this graph in {_SECONDS} s: draw fewer steps"
        ) from None
    except (OSError, subprocess.CalledProcessError) as error:
        raise UsageError(f"{program} failed: {_last_line(error)}; try --engine dot") from error
    return done.stdout


def _pure_program() -> str:
    """Where pip put the program: its own record is right also when PATH lacks the environment."""
    try:
        installed = files("graphviz-pure") or ()
    except PackageNotFoundError:
        installed = ()
    for path in installed:
        if path.name in ("graphviz-pure", "graphviz-pure.exe"):
            return str(path.locate())
    program = shutil.which("graphviz-pure")
    if program is None:
        raise UsageError("graphviz-pure is missing: pip install graphviz-pure, or use --engine dot")
    return program


def _system(dot: str, format: str) -> bytes:
    try:
        drawn: bytes = graphviz.Source(dot).pipe(format=format, quiet=True)
    except graphviz.ExecutableNotFound:
        raise UsageError(
            "Graphviz's dot is not on PATH: install Graphviz, or leave out --engine dot"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UsageError(f"dot failed: {_last_line(error)}") from error
    return drawn


def _last_line(error: OSError | subprocess.CalledProcessError) -> str:
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return (text.strip().splitlines() or [str(error)])[-1]
