"""A rule's page: what happens, why, what to do, and two programs that show it."""

from __future__ import annotations

import inspect
from importlib import import_module

from gradprobe.diagnose.rules import RULES
from gradprobe.errors import UnknownName


def page(code: str) -> str:
    """The page of a rule as Markdown. Raises `UnknownName` for a code that no rule has."""
    place = RULES.get(code.upper())
    if place is None:
        raise UnknownName("rule", code, sorted(RULES))
    rule = import_module(place)
    text = inspect.cleandoc(rule.__doc__ or "")
    return (
        f"# {rule.CODE} {rule.NAME}\n\n{text}\n\n"
        f"## It breaks here\n\n```python\n{rule.BREAKS.strip()}\n```\n\n"
        f"## Healthy\n\n```python\n{rule.CLEAN.strip()}\n```\n"
    )
