"""Findings accepted where they stand: `x = x.detach()  # gradprobe: allow GP101 -- one step only`.

The codes are separated by commas; what follows `--` is the reason.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UnknownName
from gradprobe.records.report import Finding
from gradprobe.records.source import INSTALLED, Frame, Remark

EXAMPLE = "# gradprobe: allow GP101 -- the reason"
_FORM = re.compile(r"allow\s+([^\s,]+(?:\s*,\s*[^\s,]+)*)\s*(?:--\s*(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Comment:
    """One code that a comment accepts, and why."""

    remark: Remark
    code: str
    reason: str | None

    def accepts(self, findings: Sequence[Finding]) -> list[int]:
        """Which findings it accepts: by where gradient was lost, or by what caused that.

        They are those on its own line. On the first or the last line of a statement that has none
        it stands for the whole statement.
        """
        remark = self.remark
        own = [n for n, f in enumerate(findings) if self._is_on(f, remark.line, remark.line)]
        if own or remark.line not in (remark.first, remark.last):
            return own
        return [n for n, f in enumerate(findings) if self._is_on(f, remark.first, remark.last)]

    def _is_on(self, finding: Finding, first: int, last: int) -> bool:
        return finding.code == self.code and any(
            frame.file == self.remark.file and frame.line <= last and first <= frame.end_line
            for frame in _places(finding)
        )


def read(remarks: Sequence[Remark]) -> tuple[list[Comment], list[str]]:
    """The comments that accept something, and a sentence for each that says nothing that is known.

    A comment with one wrong code accepts nothing.
    """
    comments: list[Comment] = []
    wrong: list[str] = []
    for remark in remarks:
        form = _FORM.fullmatch(remark.text)
        if form is None:
            wrong.append(f"{remark.place}: a comment is not understood; write {EXAMPLE}")
            continue
        codes = [code.strip().upper() for code in form[1].split(",")]
        unknown = next((code for code in codes if code not in RULES), None)
        if unknown is not None:
            said = UnknownName("rule", unknown, sorted(RULES))
            wrong.append(f"{remark.place}: a comment accepts nothing: {said}")
            continue
        reason = (form[2] or "").strip() or None
        comments += [Comment(remark, code, reason) for code in dict.fromkeys(codes)]
    return comments, wrong


def stale(
    comments: Sequence[Comment], findings: Sequence[Finding], ran: Collection[str]
) -> Iterator[str]:
    """A sentence for each that accepted nothing, in a file of the user's that `ran`."""
    for comment in comments:
        file = comment.remark.file
        if file not in ran or any(part in file for part in INSTALLED):
            continue
        if not comment.accepts(findings):
            yield (
                f"{comment.remark.place}: the comment allows {comment.code}: "
                "no such finding in this run"
            )


def _places(finding: Finding) -> tuple[Frame, ...]:
    return (finding.at, finding.cause)
