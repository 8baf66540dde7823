"""A comparison as JSON, after the schema of `gradprobe schema diff`."""

from __future__ import annotations

import json
from dataclasses import dataclass

from gradprobe.records.comparison import Comparison
from gradprobe.records.comparison_codec import to_dict


@dataclass(frozen=True, slots=True)
class ComparisonJson:
    """Plain, indented JSON."""

    def render(self, compared: Comparison) -> str:
        """The text, valid for any reader: what is not finite is a string."""
        return json.dumps(to_dict(compared), indent=2, allow_nan=False) + "\n"
