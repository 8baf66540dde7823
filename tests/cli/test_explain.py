"""Every rule has a page, and a mistyped code is told so."""

from __future__ import annotations

from collections.abc import Callable
from subprocess import CompletedProcess

import pytest

from gradprobe import diagnose
from gradprobe.diagnose.rules import RULES

Run = Callable[..., CompletedProcess[str]]


@pytest.mark.parametrize("code", sorted(RULES))
def test_a_page_is_printed_as_it_is_into_a_pipe(command: Run, code: str) -> None:
    done = command("explain", code)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.rstrip("\n") == diagnose.page(code).rstrip("\n")
    assert command("explain", code.lower()).stdout == done.stdout


def test_no_code_lists_them_all(command: Run) -> None:
    lines = command("explain").stdout.splitlines()
    assert [line.split()[0] for line in lines] == sorted(RULES)
    assert all(len(line.split()) > 1 for line in lines)


def test_a_terminal_gets_a_formatted_page(command: Run) -> None:
    page = command("explain", "GP101", "--color", "always").stdout
    assert "\x1b[" in page
    assert "# GP101" not in page


def test_an_unknown_code_is_one_line(command: Run) -> None:
    done = command("explain", "GP999")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("gradprobe: no rule named 'GP999'")
    assert done.stderr.count("\n") == 1
