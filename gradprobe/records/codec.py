"""A report as a dict and as JSON text, exactly there and back, driven by the records' own fields.

JSON has no NaN and no infinity, and a gradient has both: they travel as the strings `nan`, `inf`
and `-inf`. Unknown keys are skipped, for a later minor version may add some.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import MISSING, fields, is_dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

from gradprobe.errors import CannotRead
from gradprobe.records.report import SCHEMA, Report

_KEYS = {"picture": "graph"}  # where a field and its key in the contract differ
_NONFINITE = ("nan", "inf", "-inf")
_WORDS = {str: "be a string", bool: "be true or false", int: "be a whole number"}
_LONE_SURROGATE = re.compile("[\ud800-\udfff]")


def to_dict(report: Report) -> dict[str, Any]:
    """The report as plain dicts, lists, strings and finite numbers, keyed as the contract says."""
    return {"schema": SCHEMA, **encode(report)}


def from_dict(data: object) -> Report:
    """The report that `to_dict` was given. Raises `ValueError`, saying where, for anything else."""
    if not isinstance(data, Mapping) or "schema" not in data:
        raise ValueError('it is JSON but no gradprobe report: it has no key "schema"')
    if data["schema"] != SCHEMA:
        raise ValueError(f"its schema is {data['schema']!r}, this gradprobe reads {SCHEMA!r}")
    report: Report = _decode(Report, data, "report")
    return report


def dumps(report: Report, indent: int | None = 2) -> str:
    """The report as JSON text: valid for any reader, and encodable as UTF-8 whatever is in it."""
    text = json.dumps(to_dict(report), indent=indent, ensure_ascii=False, allow_nan=False)
    # File names that are no UTF-8 hold lone surrogates, which only an escape can carry.
    return _LONE_SURROGATE.sub(lambda found: f"\\u{ord(found[0]):04x}", text)


def loads(text: str | bytes) -> Report:
    """The report that `dumps` wrote. Raises `ValueError` if the text is no JSON or no report."""
    try:
        data = json.loads(text)
    except RecursionError:
        raise ValueError("it is no gradprobe report: its JSON is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"it is not JSON ({error})") from None
    return from_dict(data)


def load(path: str | Path) -> Report:
    """The report saved at `path`. Raises `CannotRead` with one line that says what is wrong."""
    try:
        return loads(Path(path).read_bytes())
    except OSError as error:
        raise CannotRead(path, error.strerror or str(error)) from error
    except ValueError as error:
        raise CannotRead(path, str(error)) from error


def schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a report."""
    text = files(__package__).joinpath("report.schema.json").read_text(encoding="utf-8")
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def encode(value: Any) -> Any:
    """A record, or what is in one, as plain dicts, lists, strings and finite numbers."""
    if is_dataclass(value):
        return {_KEYS.get(f.name, f.name): encode(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, tuple):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return repr(value)
    return value


@cache
def _plan(record: type[Any]) -> tuple[tuple[str, str, Any, Any], ...]:
    """Field, key, type and default of each field of a record."""
    hints = get_type_hints(record)
    return tuple(
        (f.name, _KEYS.get(f.name, f.name), hints[f.name], f.default) for f in fields(record)
    )


def _decode(kind: Any, value: Any, where: str) -> Any:
    origin, arguments = get_origin(kind), get_args(kind)
    if origin in (Union, UnionType):  # the records only use `X | None`
        return None if value is None else _decode(arguments[0], value, where)
    if origin is Literal:
        _expect(
            value in arguments if isinstance(value, str) else False,
            where,
            "be " + " or ".join(arguments),
        )
        return value
    if origin is tuple:
        _expect(isinstance(value, list), where, "be a list")
        return tuple(_decode(arguments[0], item, f"{where}[{i}]") for i, item in enumerate(value))
    if origin is Mapping:
        _expect(isinstance(value, Mapping), where, "be an object")
        return {key: _decode(arguments[1], item, f"{where}.{key}") for key, item in value.items()}
    if is_dataclass(kind):
        return _decode_record(kind, value, where)
    if kind is float:
        if value in _NONFINITE:
            return float(value)
        _expect(
            isinstance(value, int | float) and not isinstance(value, bool), where, "be a number"
        )
        return float(value)
    _expect(type(value) is kind, where, _WORDS[kind])
    return value


def _decode_record(record: Any, value: Any, where: str) -> Any:
    _expect(isinstance(value, Mapping), where, "be an object")
    given = {}
    for name, key, kind, default in _plan(record):
        if key in value:
            given[name] = _decode(kind, value[key], f"{where}.{key}")
        else:
            _expect(default is not MISSING, where, f'have a key "{key}"')
    return record(**given)


def _expect(fits: bool, where: str, what: str) -> None:
    if not fits:
        raise ValueError(f"it is no gradprobe report: {where} should {what}")
