"""Comments to gradprobe are found as Python finds comments, with the statement they stand in."""

from __future__ import annotations

import textwrap

import pytest

from gradprobe.capture.remarks import remarks_in
from gradprobe.records.source import Remark


def found(text: str) -> list[tuple[int, int, int, str]]:
    lines = textwrap.dedent(text).lstrip("\n").splitlines(keepends=True)
    remarks = list(remarks_in("a.py", lines))
    assert {remark.file for remark in remarks} <= {"a.py"}
    return [(r.line, r.first, r.last, r.text) for r in remarks]


@pytest.mark.parametrize(
    "comment",
    [
        "# gradprobe: allow GP101",
        "#gradprobe:allow GP101",
        "#  gradprobe :  allow GP101  ",
        "# noqa: E501  # gradprobe: allow GP101",
        "# gradprobe: allow GP101  # as EDM does",
        "# type: ignore[misc] # gradprobe: allow GP101 # fmt: skip",
    ],
)
def test_the_comment_may_stand_among_others(comment: str) -> None:
    assert found(f"x = y.detach()  {comment}\n") == [(1, 1, 1, "allow GP101")]
    assert found(f"x = y.detach()  {comment}") == [(1, 1, 1, "allow GP101")]


@pytest.mark.parametrize(
    "line",
    [
        'x = "# gradprobe: allow GP101"',
        "x = '''\n# gradprobe: allow GP101\n'''",
        'x = f"{y}  # gradprobe: allow GP101"',
        "x = y  # see gradprobe: it has a page",
        "x = y  # gradprobe allow GP101",
        "x = gradprobe",
    ],
)
def test_what_only_looks_like_one_is_none(line: str) -> None:
    assert found(line + "\n") == []


def test_the_lines_of_its_statement() -> None:
    assert found(
        """
        # gradprobe: allow GP1
        @decorated  # gradprobe: allow GP2
        def f(
            x,  # gradprobe: allow GP3
        ):  # gradprobe: allow GP4

            # gradprobe: allow GP5
            y = (  # gradprobe: allow GP6

                x  # gradprobe: allow GP7
            ) + 1  # gradprobe: allow GP8
            with a, \\
                b:  # gradprobe: allow GP9
                return '''
            '''  # gradprobe: allow GP10
        """
    ) == [
        (1, 1, 1, "allow GP1"),
        (2, 2, 2, "allow GP2"),
        (4, 3, 5, "allow GP3"),
        (5, 3, 5, "allow GP4"),
        (7, 7, 7, "allow GP5"),
        (8, 8, 11, "allow GP6"),
        (10, 8, 11, "allow GP7"),
        (11, 8, 11, "allow GP8"),
        (13, 12, 13, "allow GP9"),
        (15, 14, 15, "allow GP10"),
    ]


@pytest.mark.parametrize("rest", ["x = (\n", "%matplotlib inline\nx = '''\n", "  y\n z\n"])
def test_of_text_that_is_no_python_what_stands_before(rest: str) -> None:
    assert found("x = 1  # gradprobe: allow GP101\n" + rest) == [(1, 1, 1, "allow GP101")]
    assert list(remarks_in("a.py", [])) == []


def test_a_remark_s_place_is_a_link() -> None:
    assert Remark("/a/b.py", 7, 7, 7, "").place == "/a/b.py:7"
