"""Writes docs/gallery: the programs of examples/gallery, each traced, with its picture.

make gallery
"""

from __future__ import annotations

import ast
import sys
from pathlib import Path

from make_pages import DOCS, ROOT, without_this_machine
from make_pages import gradprobe as command

import gradprobe

PROGRAMS = ROOT / "examples" / "gallery"
ORDER = ("decorator", "guidance", "inplace", "zero_factor", "step_37")
# The same report, drawn otherwise: file, options, what they do.
OTHERWISE = (
    ("step_37-stage", ("--depth", "stage"), "the stages of the run"),
    ("step_37-focus", ("--focus", "GP101"), "around one finding"),
    ("guidance-step", ("--depth", "step"), "a box for each step"),
)
INTRO = """# Gallery

Five breaks in samplers of k-diffusion and diffusers, each as `gradprobe trace -o NAME.svg` draws
it. The programs are in [examples/gallery](../../examples/gallery), with small random networks, so
that each runs in seconds. `make gallery` makes this page.
[How to read a picture](../pictures.md).
"""


def reports() -> Path:
    """Trace every program; the folder with what was seen, without this machine's paths."""
    folder = ROOT / "out" / "gallery"
    folder.mkdir(parents=True, exist_ok=True)
    for name in ORDER:
        saved = folder / f"{name}.json"
        if command("trace", "-o", str(saved), str(PROGRAMS / f"{name}.py")) not in (0, 1):
            sys.exit(f"{name} could not be traced")
        text = without_this_machine(saved.read_text(encoding="utf-8"))
        saved.write_text(text, encoding="utf-8")
    return folder


def page(folder: Path) -> str:
    """The page: what each program does, what is said of it, and its picture."""
    parts = [INTRO]
    for name in ORDER:
        tree = ast.parse((PROGRAMS / f"{name}.py").read_text(encoding="utf-8"))
        report = gradprobe.load(folder / f"{name}.json")
        parts.append(
            f"## {name}\n\n{ast.get_docstring(tree)}\n\n"
            f"```text\n{report.headline}\n```\n\n![{report.headline}]({name}.svg)\n"
        )
    parts.append("## Drawn otherwise\n")
    for name, options, told in OTHERWISE:
        source = name.partition("-")[0]
        parts.append(f"`{' '.join(options)}`: {told} of {source}\n\n![{told}]({name}.svg)\n")
    return "\n".join(parts)


def main() -> None:
    folder = reports()
    gallery = DOCS / "gallery"
    gallery.mkdir(exist_ok=True)
    for name in ORDER:
        command("render", str(folder / f"{name}.json"), "-o", str(gallery / f"{name}.svg"))
    for name, options, _ in OTHERWISE:
        source = folder / f"{name.partition('-')[0]}.json"
        command("render", str(source), *options, "-o", str(gallery / f"{name}.svg"))
    (gallery / "README.md").write_text(page(folder), encoding="utf-8")


if __name__ == "__main__":
    main()
