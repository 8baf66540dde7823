"""The hook records as CSV: one row for each stage of each step."""

from __future__ import annotations

import csv
from dataclasses import dataclass
from io import StringIO

from gradprobe.records.report import Report
from gradprobe.records.table import columns


@dataclass(frozen=True, slots=True)
class Csv:
    """`delimiter` stands between two cells: one character."""

    delimiter: str = ","

    def render(self, report: Report) -> str:
        """A header and the rows of `Report.table`, as RFC 4180 has it: lines end in CR LF.

        Numbers are written so that they read back exactly, NaN and infinity as `nan`, `inf` and
        `-inf`; a cell is empty where nothing was seen.
        """
        text = StringIO()
        header = columns(leaf.name for leaf in report.leaves)
        writer = csv.DictWriter(text, header, delimiter=self.delimiter, lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(report.table())
        # File names that are no UTF-8 hold lone surrogates, which no encoding takes.
        return text.getvalue().encode("utf-8", "backslashreplace").decode("utf-8")
