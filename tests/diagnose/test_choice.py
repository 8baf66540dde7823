"""`select` and `ignore`: which codes are meant by their beginnings."""

from __future__ import annotations

import pytest

from gradprobe.diagnose.choice import Choice, parse
from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UsageError


@pytest.mark.parametrize(
    ("select", "ignore", "taken", "left"),
    [
        ("GP", "", sorted(RULES), []),
        ("GP1", "", ["GP101", "GP114"], ["GP201", "GP301", "GP401"]),
        ("gp101, GP3", "", ["GP101", "GP306"], ["GP102", "GP201"]),
        ("GP1", "GP101", ["GP102"], ["GP101", "GP301"]),
        ("GP101", "GP1", ["GP101"], ["GP102", "GP301"]),
        ("GP101", "GP101", [], ["GP101", "GP102"]),
        ("GP10", "GP1", ["GP101"], ["GP114"]),
    ],
)
def test_the_longer_beginning_wins(
    select: str, ignore: str, taken: list[str], left: list[str]
) -> None:
    choice = Choice(parse(select), parse(ignore) if ignore else ())
    assert [code for code in taken if not choice.takes(code)] == []
    assert [code for code in left if choice.takes(code)] == []


def test_none_selected_is_all() -> None:
    assert all(Choice().takes(code) for code in RULES)
    assert [code for code in RULES if not Choice((), ("GP3",)).takes(code)] == [
        code for code in RULES if code.startswith("GP3")
    ]


@pytest.mark.parametrize(
    ("text", "near"),
    [
        ("GP9", "GP1, GP2, GP3, GP4"),
        ("", "GP1, GP2, GP3, GP4"),
        ("GP310", "GP30"),
        ("E501", "GP1, GP2, GP3, GP4"),
        ("GP101,", "GP1, GP2, GP3, GP4"),
    ],
)
def test_what_no_code_begins_with_is_refused_with_the_nearest(text: str, near: str) -> None:
    with pytest.raises(UsageError, match=f"no code begins with '.*'; did you mean {near}"):
        parse(text)
    assert parse(["GP1, gp301", "GP1"]) == ("GP1", "GP301")
