"""The printed schema describes the reports that are saved."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import jsonschema
import pytest

from gradprobe.records.report import SCHEMA, Report

Run = Callable[..., CompletedProcess[str]]


def test_a_saved_report_fits_the_printed_schema(here: Path, report: Report, command: Run) -> None:
    schema = json.loads(command("schema").stdout)
    saved = json.loads(report.save("report.json").read_text())
    validator = jsonschema.validators.validator_for(schema)
    validator.check_schema(schema)
    validator(schema).validate(saved)
    assert saved["schema"] == SCHEMA
    del saved["verdict"]
    with pytest.raises(jsonschema.ValidationError, match="verdict"):
        validator(schema).validate(saved)
