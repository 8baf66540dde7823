"""A comparison as plain dicts, `gradprobe.diff/1` when written as JSON."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any, Final

from gradprobe.records import codec
from gradprobe.records.comparison import Comparison

SCHEMA: Final = "gradprobe.diff/1"


def to_dict(compared: Comparison) -> dict[str, Any]:
    """The comparison as dicts, lists, strings and finite numbers, as the packaged schema has it.

    Pairs are lists of two, the good run's first. NaN and infinity travel as strings, as they do in
    a report.
    """
    encoded: dict[str, Any] = codec.encode(compared)
    return {"schema": SCHEMA, "same": compared.same, **encoded}


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of what `to_dict` returns; frames and findings are a report's."""
    text = files("gradprobe.records").joinpath("comparison.schema.json").read_text("utf-8")
    parsed: dict[str, Any] = json.loads(text)
    parsed["$defs"] = {**codec.schema()["$defs"], **parsed["$defs"]}
    return parsed
