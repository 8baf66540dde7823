"""A report survives JSON exactly, and what is no report is refused in one line."""

from __future__ import annotations

import copy
import json
import pickle
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gradprobe.errors import CannotRead
from gradprobe.records import codec
from gradprobe.records.report import SCHEMA, Report
from tests.render.samples import GRAD, SAMPLES, broken, frame, partial
from tests.thorough import examples

VALIDATOR = jsonschema.Draft202012Validator(codec.schema())


def refuse(token: str) -> float:
    raise AssertionError(f"{token} is not valid JSON")


@settings(max_examples=examples(60), deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.from_type(Report))
def test_any_report_comes_back_as_it_was(report: Report) -> None:
    data = codec.to_dict(report)
    text = codec.dumps(report)
    assert json.loads(text, parse_constant=refuse) == data
    back = codec.from_dict(data)
    assert codec.to_dict(back) == data
    holds_nan = pickle.loads(pickle.dumps(report)) != report  # NaN is unequal to itself
    assert back == report or holds_nan
    assert codec.loads(text.encode("utf-8")) == report or holds_nan


@pytest.mark.parametrize("name", SAMPLES)
def test_samples_follow_the_schema(name: str) -> None:
    VALIDATOR.validate(codec.to_dict(SAMPLES[name]()))


def objects(data: Any) -> Iterator[dict[str, Any]]:
    """Every object with fixed keys inside `data`; some have leaves as keys."""
    if isinstance(data, list):
        for item in data:
            yield from objects(item)
    elif isinstance(data, dict):
        yield data
        for key, item in data.items():
            if key not in ("connected", "left", "reached"):
                yield from objects(item)


def test_no_key_of_any_object_may_be_missing() -> None:
    VALIDATOR.check_schema(codec.schema())
    report = replace(partial(), stages=partial().stages[:3])
    data = codec.to_dict(report)
    tried = 0
    for holder in objects(data):
        for key in list(holder):
            kept = dict(holder)
            del holder[key]
            assert not VALIDATOR.is_valid(data), key
            holder.clear()
            holder.update(kept)
            tried += 1
    assert tried > 300
    assert VALIDATOR.is_valid(data)


def test_every_record_has_its_keys_in_the_schema() -> None:
    schema = codec.schema()
    data = codec.to_dict(broken())
    assert list(data) == schema["required"] == list(schema["properties"])
    for definition in schema["$defs"].values():
        assert definition.get("required", []) == list(definition.get("properties", []))


def test_nonfinite_numbers_are_strings_that_read_back() -> None:
    sick = replace(GRAD, norm=float("nan"), abs_max=float("inf"), abs_min=float("-inf"))
    report = broken()
    report = replace(report, leaves=(replace(report.leaves[0], grad=sick),))
    data = json.loads(codec.dumps(report), parse_constant=refuse)
    VALIDATOR.validate(data)
    assert data["leaves"][0]["grad"]["norm"] == "nan"
    back = codec.from_dict(data).leaves[0].grad
    assert repr(back) == repr(sick)


def test_a_file_name_that_is_no_utf8_survives() -> None:
    report = broken()
    odd = frame("x = y", "y", 3, file="/tmp/\udcff\u65e5\u672c.py")
    report = replace(report, findings=(replace(report.findings[0], at=odd),))
    raw = codec.dumps(report, indent=None).encode("utf-8")
    assert "\u65e5\u672c".encode() in raw
    assert codec.loads(raw) == report


def test_keys_of_a_later_version_are_skipped_and_added_ones_may_be_missing() -> None:
    data = codec.to_dict(broken())
    data["later"] = {"x": 1}
    data["findings"][0]["later"] = 3
    del data["autograd_dot"]
    assert codec.from_dict(data) == broken()


def spoiled(**changes: object) -> str:
    return json.dumps({**codec.to_dict(broken()), **changes})


WRONG = {
    "empty": ("", "it is not JSON"),
    "binary": ("\x00\x01", "it is not JSON"),
    "cut short": (codec.dumps(broken())[:900], "it is not JSON"),
    "deep": ("[" * 200_000, "nested too deeply"),
    "a list": ("[1]", 'no key "schema"'),
    "another object": ('{"a": 1}', 'no key "schema"'),
    "another version": (spoiled(schema="gradprobe.report/2"), "'gradprobe.report/2'"),
    "a word": (spoiled(verdict="great"), "report.verdict should be flows or partial"),
    "a type": (spoiled(unseen=["a", 3]), "report.unseen[1] should be a string"),
    "a shape": (spoiled(stages={}), "report.stages should be a list"),
    "a missing key": (spoiled(counts={}), 'report.counts should have a key "ops"'),
    "no whole number": (
        spoiled(counts={"ops": True}),
        "report.counts.ops should be a whole number",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_what_is_no_report_is_refused_in_one_line(case: str, tmp_path: Path) -> None:
    text, why = WRONG[case]
    path = tmp_path / "report.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(CannotRead) as caught:
        codec.load(path)
    assert str(caught.value).startswith(f"cannot read {path}: ")
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_bytes(b'{"schema": "\xff\xfe"}')
    with pytest.raises(CannotRead, match="it is not JSON"):
        codec.load(path)


def test_files_that_cannot_be_opened_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="No such file"):
        codec.load(tmp_path / "none.json")
    with pytest.raises(CannotRead, match="directory"):
        codec.load(tmp_path)


def test_a_saved_report_loads(tmp_path: Path) -> None:
    path = broken().save(tmp_path / "report.json")
    assert codec.load(str(path)) == broken()
    assert json.loads(path.read_text())["schema"] == SCHEMA


def test_reading_leaves_the_data_alone() -> None:
    data = codec.to_dict(broken())
    before = copy.deepcopy(data)
    codec.from_dict(data)
    assert data == before
