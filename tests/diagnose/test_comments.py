"""`# gradprobe: allow`: which findings a comment accepts, and what is said of one that is wrong."""

from __future__ import annotations

from dataclasses import replace

import pytest

from gradprobe.diagnose.comments import read, stale
from gradprobe.records.report import Finding
from gradprobe.records.source import Frame, Remark

FILE = "/home/a/steps.py"
AT = Frame(FILE, 7, 7, 4, 9, "step", "x = y.detach()")
FINDING = Finding("GP101", "detached", "error", "proven", "z0", AT, "it was detached", "do not")


def remark(text: str = "allow GP101", line: int = 7, first: int = 0, last: int = 0) -> Remark:
    return Remark(FILE, line, first or line, last or line, text)


@pytest.mark.parametrize(
    ("text", "codes", "reason"),
    [
        ("allow GP101", ["GP101"], None),
        ("allow gp101", ["GP101"], None),
        ("allow  GP101 , GP102,GP301", ["GP101", "GP102", "GP301"], None),
        ("allow GP101, GP101", ["GP101"], None),
        ("allow GP101 -- as EDM does", ["GP101"], "as EDM does"),
        ("allow GP101, GP102 --one step -- only", ["GP101", "GP102"], "one step -- only"),
        ("allow GP101 --", ["GP101"], None),
    ],
)
def test_the_form(text: str, codes: list[str], reason: str | None) -> None:
    comments, wrong = read([remark(text)])
    assert [comment.code for comment in comments] == codes
    assert {comment.reason for comment in comments} == {reason}
    assert wrong == []


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("alow GP101", "a comment is not understood; write # gradprobe: allow GP101 -- the reason"),
        ("allow", "a comment is not understood; "),
        ("allow: GP101", "a comment is not understood; "),
        ("", "a comment is not understood; "),
        ("allow GP101 GP102", "a comment is not understood; "),
        ("allow GP101 as EDM does", "a comment is not understood; "),
        ("allow GP101,", "a comment is not understood; "),
        ("allow GP101: why", "a comment is not understood; "),
        (
            "allow GP101, GP999",
            "a comment accepts nothing: no rule named 'GP999' was seen; did you",
        ),
        ("allow GP1", "a comment accepts nothing: no rule named 'GP1' was seen; did you mean "),
    ],
)
def test_another_form_accepts_nothing_and_is_told(text: str, why: str) -> None:
    comments, [sentence] = read([remark(text)])
    assert comments == []
    assert sentence.startswith(f"{FILE}:7: {why}")


def accepted(said: Remark, *findings: Finding) -> list[int]:
    [comment] = read([said])[0]
    return comment.accepts(findings)


def test_it_accepts_what_is_on_its_line_of_its_code() -> None:
    assert accepted(remark(), FINDING) == [0]
    assert accepted(remark("allow GP102"), FINDING) == []
    assert accepted(remark(line=6), FINDING) == []
    assert accepted(remark(), replace(FINDING, at=replace(AT, file="/other/steps.py"))) == []
    second = replace(FINDING, at=replace(AT, col=20))
    assert accepted(remark(), FINDING, second) == [0, 1]


def test_the_cause_s_line_counts_too() -> None:
    opened = replace(FINDING, code="GP102", opened_by=replace(AT, line=3, end_line=3))
    assert accepted(remark("allow GP102", line=3), opened) == [0]
    assert accepted(remark("allow GP102"), opened) == [0]
    written = replace(FINDING, code="GP202", opened_by=replace(AT, line=3, end_line=3))
    assert accepted(remark("allow GP202"), written) == [0]
    assert accepted(remark("allow GP202", line=3), written) == []  # what was saved is not to blame


def test_in_a_statement_of_several_lines_the_nearest_expression_counts() -> None:
    first, second = (replace(FINDING, at=replace(AT, line=n, end_line=n)) for n in (8, 9))
    inside = remark(line=8, first=7, last=10)
    assert accepted(inside, first, second) == [0]
    assert accepted(inside, second) == []
    for edge in (7, 10):
        whole = remark(line=edge, first=7, last=10)
        assert accepted(whole, first, second) == [0, 1]
        assert accepted(whole, first, second, FINDING) == ([2] if edge == 7 else [0, 1, 2])
    broad = replace(FINDING, at=replace(AT, line=7, end_line=9))
    assert accepted(remark(line=9, first=7, last=10), broad) == [0]


def test_one_that_accepts_nothing_is_stale_if_its_file_ran_and_is_the_user_s() -> None:
    comments, _ = read([remark("allow GP101, GP102")])
    assert list(stale(comments, [FINDING], {FILE})) == [
        f"{FILE}:7: the comment allows GP102: no such finding in this run"
    ]
    assert list(stale(comments, [FINDING], {"/other.py"})) == []
    library = "/usr/lib/python3/site-packages/steps.py"
    comments, _ = read([replace(remark(), file=library)])
    assert list(stale(comments, [], {library})) == []
