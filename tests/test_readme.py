"""Every command of README.md is run, in its order, and must do and print what stands there."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from gradprobe.diagnose.rules import RULES
from tests.dockerfile import command
from tests.fresh_environment import ROOT, FreshEnvironment

FENCE = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
FILE_NAME = re.compile(r"# ([\w/]+\.py)$", re.MULTILINE)
DOCKER_RUN = re.compile(r"docker run(?: -v \$PWD:/src)? gradprobe ?(.*)")


def blocks(document: str) -> list[tuple[str, str]]:
    """The fenced blocks of a document: their language and their text."""
    return FENCE.findall((ROOT / document).read_text(encoding="utf-8"))


@dataclass
class Command:
    """A command, the exit code and the output that stand below it; None where none may matter."""

    line: str
    output: str | None = None
    code: int = 0


def commands(language: str, text: str) -> Iterator[Command]:
    """The commands of a `sh` block (no output stated) or a `console` block."""
    if language == "sh":
        for line in text.splitlines():
            yield Command(line)
        return
    stated: list[Command] = []
    for entry in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        line, _, output = entry.partition("\n")
        if line == "echo $?":
            stated[-1].code = int(output)
        else:
            stated.append(Command(line, output))
    yield from stated


def matches(stated: str, printed: str) -> bool:
    """Whether a text is what is stated: `...` is any text, and any lines on a line of its own."""
    parts = re.split(r"(^\.\.\.\n|\.\.\.)", stated, flags=re.MULTILINE)
    wild = {"...\n": "(?s:.*)", "...": ".*"}
    return (
        re.fullmatch("".join(wild.get(part, re.escape(part)) for part in parts), printed)
        is not None
    )


class Reader:
    """Someone who follows README.md from top to bottom, in an environment without gradprobe."""

    def __init__(self, folder: Path) -> None:
        self.environment = FreshEnvironment(folder / "environment")
        # pytest is borrowed, but its script is not.
        script = self.environment.bin / "pytest"
        script.write_text('#!/bin/sh\nexec python -m pytest "$@"\n', encoding="utf-8")
        script.chmod(0o755)
        self.desk = folder / "desk"
        self.desk.mkdir()

    def follow(self, language: str, text: str) -> None:
        if language == "python":
            named = FILE_NAME.match(text)
            path = self.desk / (named[1] if named else "example.py")
            path.write_text(text, encoding="utf-8")
            if named is None:
                self.check(Command(f"python {path.name}"))
            return
        for stated in commands(language, text):
            self.check(stated)

    def check(self, stated: Command) -> None:
        done = self.do(stated.line)
        what = f"$ {stated.line}\n{done.stdout}"
        assert done.returncode == stated.code, f"exit code {done.returncode}: {what}"
        if stated.output is not None:
            assert matches(stated.output, done.stdout), f"README says\n{stated.output}\nbut {what}"

    def do(self, line: str) -> subprocess.CompletedProcess[str]:
        """Run a line as it stands, or what it comes to where it asks for a machine of its own."""
        if line == "pip install .":
            return self.environment.run("pip install --no-build-isolation .", cwd=ROOT)
        if line.startswith("make "):
            # The environment of the tests is the one that make would set up.
            ready = f"VENV={sys.prefix} -o {sys.prefix}/.demo"
            return self.environment.run(f"{line} {ready}", cwd=ROOT)
        if line == "docker build -t gradprobe .":
            return subprocess.CompletedProcess(line, 0, "carried out by test_dockerfile.py\n")
        inside = DOCKER_RUN.fullmatch(line)
        if inside:
            return self.environment.run(command(inside[1]), cwd=self.desk)
        return self.environment.run(line, cwd=self.desk)


def test_every_command_does_and_prints_what_the_readme_says(tmp_path: Path) -> None:
    reader = Reader(tmp_path)
    for language, text in blocks("README.md"):
        reader.follow(language, text)

    for picture in ("graph.svg", "partial.svg"):
        assert (reader.desk / picture).read_text(encoding="utf-8").rstrip().endswith("</svg>")
    assert (ROOT / "out" / "demo.svg").stat().st_size > 0


def test_the_chinese_readme_has_the_same_commands() -> None:
    assert blocks("README.zh.md") == blocks("README.md")


def test_both_readmes_list_every_rule() -> None:
    for document in ("README.md", "README.zh.md"):
        text = (ROOT / document).read_text(encoding="utf-8")
        assert re.findall(r"^\| (GP\d{3}) \|", text, re.MULTILINE) == sorted(RULES)


def test_the_first_example_is_short() -> None:
    [first, *_] = [text for language, text in blocks("README.md") if language == "python"]
    assert len(first.splitlines()) <= 20


def test_matching_output() -> None:
    assert matches("a ... c\n...\nend\n", "a b c\n1\n2\nend\n")
    assert matches("...\nend\n", "end\n")
    assert matches("1 passed in ...\n", "1 passed in 0.1s\n")
    assert matches("", "")
    assert not matches("a ... c\n", "a b\nc\n")
    assert not matches("end\n", "end\nmore\n")
