"""A place in source code."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

INSTALLED: Final = ("/site-packages/", "/dist-packages/")  # folders of installed packages


@dataclass(frozen=True, slots=True)
class Frame:
    """A span of source: where an op, a decorator or a `with` stands.

    Lines count from 1, columns from 0 and in characters; `end_col` is exclusive. `source` is the
    text of the first line, without its line end, or empty where the file could not be read.
    """

    file: str
    line: int
    end_line: int
    col: int
    end_col: int
    function: str
    source: str

    @property
    def place(self) -> str:
        """`file:line:col` with a column that counts from 1, as editors and terminals read it."""
        return f"{self.file}:{self.line}:{self.col + 1}"

    @property
    def installed(self) -> bool:
        """Whether the file belongs to an installed package rather than to the user."""
        return any(part in self.file for part in INSTALLED)

    @property
    def expression(self) -> str:
        """The exact expression on its first line (to the end of the line if it goes on below)."""
        end = self.end_col if self.end_line == self.line else len(self.source)
        return self.source[self.col : end].strip()


@dataclass(frozen=True, slots=True)
class Related:
    """A further place that belongs to a finding, with a word: `came back`, `also lost`."""

    word: str
    at: Frame


@dataclass(frozen=True, slots=True)
class Remark:
    """A comment to gradprobe in a file that ran: `# gradprobe: allow GP101`.

    `text` is what follows the colon. `first` and `last` are the lines of its statement, both its
    own line where it stands alone.
    """

    file: str
    line: int
    first: int
    last: int
    text: str

    @property
    def place(self) -> str:
        return f"{self.file}:{self.line}"
