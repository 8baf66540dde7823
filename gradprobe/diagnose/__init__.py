"""What a trace means: rules, and the report made of their findings."""

from __future__ import annotations

from gradprobe.diagnose.pages import page as page
from gradprobe.diagnose.report import report_of as report_of
