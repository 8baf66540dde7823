"""Writes what gradprobe itself can say: docs/rules from the rules, docs/images from the demo.

make docs
"""

from __future__ import annotations

import json
import subprocess
import sys
import sysconfig
from pathlib import Path

from gradprobe import diagnose
from gradprobe.diagnose.rules import RULES

DOCS = Path(__file__).parent
ROOT = DOCS.parent
DEMO = Path("examples/demo/failing_pipeline.py")


def rule_pages() -> None:
    """One page for each rule, and a table of them."""
    folder = DOCS / "rules"
    folder.mkdir(exist_ok=True)
    index = ["# The rules", ""]
    for code in sorted(RULES):
        page = diagnose.page(code).rstrip() + "\n"
        (folder / f"{code}.md").write_text(page, encoding="utf-8")
        title = page.splitlines()[0].lstrip("# ")
        index.append(f"- [{title}]({code}.md)")
    (folder / "README.md").write_text("\n".join(index) + "\n", encoding="utf-8")


def without_this_machine(report: str) -> str:
    """The text of a report with paths as a reader knows them, not those of this machine."""
    for folder, name in (
        (sysconfig.get_path("purelib"), "site-packages"),
        (sysconfig.get_path("stdlib"), "python"),
    ):
        report = report.replace(json.dumps(f"{folder}/")[1:-1], f"{name}/")
    return report.replace(json.dumps(f"{ROOT}/")[1:-1], "")


def gradprobe(*arguments: str) -> int:
    """Run a command of gradprobe in the checkout; returns its exit code."""
    return subprocess.run([sys.executable, "-m", "gradprobe", *arguments], cwd=ROOT).returncode


def demo_picture() -> None:
    """The picture of the demo's break."""
    report = ROOT / "out" / "pages" / "demo.json"
    report.parent.mkdir(parents=True, exist_ok=True)
    if gradprobe("trace", "-o", str(report), str(DEMO)) != 1:
        sys.exit("the demo did not lose its gradient: no picture was made")
    report.write_text(without_this_machine(report.read_text(encoding="utf-8")), encoding="utf-8")
    if gradprobe("render", str(report), "-o", "docs/images/demo.svg") != 0:
        sys.exit("the demo could not be drawn")


if __name__ == "__main__":
    rule_pages()
    demo_picture()
