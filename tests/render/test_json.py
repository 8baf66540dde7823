"""The JSON format is the codec's text."""

from __future__ import annotations

import json

import pytest

from gradprobe.records import codec
from tests.render.samples import SAMPLES, broken


@pytest.mark.parametrize("name", SAMPLES)
def test_it_reads_back(name: str) -> None:
    report = SAMPLES[name]()
    text = report.render("json")
    assert codec.loads(text) == report
    assert json.loads(text) == codec.to_dict(report)
    assert text.endswith("}\n")


def test_without_indent_it_is_one_line() -> None:
    assert broken().render("json", indent=None).count("\n") == 1
