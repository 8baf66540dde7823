"""DOT in, SVG out: by the graphviz-pure program that pip installed, or by the system's dot."""

from __future__ import annotations

import shutil
import subprocess
from importlib.metadata import PackageNotFoundError, files

import graphviz

from gradprobe.errors import TooLarge, UsageError

_SECONDS = 60


def lay_out(dot: str, engine: str) -> str:
    """The SVG of `dot`. Raises `UsageError` for an engine that is unknown, missing or refuses."""
    if engine == "pure":
        return _pure(dot)
    if engine == "dot":
        return _system(dot)
    raise UsageError(f"unknown layout engine {engine!r}: choose one of pure, dot")


def _pure(dot: str) -> str:
    program = _pure_program()
    try:
        done = subprocess.run(
            [program, "-Tsvg"],
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
    return done.stdout.decode()


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


def _system(dot: str) -> str:
    try:
        text: str = graphviz.Source(dot).pipe(format="svg", encoding="utf-8", quiet=True)
    except graphviz.ExecutableNotFound:
        raise UsageError(
            "Graphviz's dot is not on PATH: install Graphviz, or leave out --engine dot"
        ) from None
    except subprocess.CalledProcessError as error:
        raise UsageError(f"dot failed: {_last_line(error)}") from error
    return text


def _last_line(error: OSError | subprocess.CalledProcessError) -> str:
    said = getattr(error, "stderr", None) or str(error)
    text = said.decode(errors="replace") if isinstance(said, bytes) else said
    return (text.strip().splitlines() or [str(error)])[-1]
