"""Which findings are asked for: `--select GP1 --ignore GP106`, by the beginnings of their codes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UsageError
from gradprobe.records.report import SEVERITIES, Finding, LeftOut

_FAMILIES = sorted({code[:3] for code in RULES})
_KNOWN = sorted({code[:length] for code in RULES for length in range(2, len(code) + 1)})


@dataclass(frozen=True, slots=True)
class Choice:
    """Codes, or their beginnings, to report and to leave out; none selected is all.

    The longer one wins: with `GP101` selected and `GP1` ignored, GP101 is reported. The same in
    both is ignored.
    """

    select: tuple[str, ...] = ()
    ignore: tuple[str, ...] = ()

    def takes(self, code: str) -> bool:
        """Whether findings of a code are reported."""
        wanted = _longest(self.select, code) if self.select else 0
        return wanted is not None and wanted > (_longest(self.ignore, code) or -1)

    def split(self, findings: Sequence[Finding]) -> tuple[list[Finding], list[Finding]]:
        """What is reported, and what is left out, each in the order given."""
        taken = [finding for finding in findings if self.takes(finding.code)]
        return taken, [finding for finding in findings if not self.takes(finding.code)]


def parse(given: str | Sequence[str]) -> tuple[str, ...]:
    """Codes and beginnings of codes as a user wrote them, `GP1,GP301` or a list; each once.

    Raises `UsageError` for what no code begins with.
    """
    texts = [given] if isinstance(given, str) else given
    words = [word.strip().upper() for text in texts for word in text.split(",")]
    for word in words:
        if word not in _KNOWN:
            near = get_close_matches(word, sorted(RULES), n=3) if len(word) > 3 else _FAMILIES
            raise UsageError(
                f"no code begins with {word!r}; did you mean {', '.join(near or _FAMILIES)}?"
            )
    return tuple(dict.fromkeys(words))


def counted(findings: Sequence[Finding]) -> tuple[LeftOut, ...]:
    """How many findings of each code and severity there are, worst first."""
    numbers = Counter((finding.severity, finding.code) for finding in findings)
    ordered = sorted(numbers.items(), key=lambda pair: (SEVERITIES.index(pair[0][0]), pair[0][1]))
    return tuple(LeftOut(code, severity, count) for (severity, code), count in ordered)


def told(left: Sequence[LeftOut]) -> Iterator[str]:
    """The sentence that says what a report leaves out, so that it never looks clean by that."""
    if left:
        count = sum(one.count for one in left)
        were = "1 finding was" if count == 1 else f"{count} findings were"
        each = ", ".join(f"{one.count} {one.severity} {one.code}" for one in left)
        yield f"{were} left out, as asked (select, ignore): {each}"


def _longest(beginnings: Sequence[str], code: str) -> int | None:
    return max((len(one) for one in beginnings if code.startswith(one)), default=None)
