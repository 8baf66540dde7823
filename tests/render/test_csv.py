"""CSV that any reader takes: a row for each hook record, and numbers that read back exactly."""

from __future__ import annotations

import csv
import io
import math
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings

from gradprobe.records.report import GradStats, Report, ValueStats
from tests.render.hostile import SNIPPETS, hostile_reports
from tests.render.samples import GRAD, SAMPLES, broken, flows, stage


def read(report: Report, delimiter: str = ",") -> list[dict[str, str]]:
    """The rows as a reader of RFC 4180 has them."""
    text = report.render("csv", delimiter=delimiter)
    file = io.StringIO(text, newline="")
    return list(csv.DictReader(file, delimiter=delimiter, strict=True))


@pytest.mark.parametrize("name", SAMPLES)
def test_each_record_is_a_row(name: str) -> None:
    report = SAMPLES[name]()
    expected = [
        {key: "" if cell is None else str(cell) for key, cell in row.items()}
        for row in report.table()
    ]
    assert read(report) == expected
    assert len(expected) == len(report.stages)


def test_a_row_in_full() -> None:
    record = stage("state", 2, "yes", GRAD, call=1, device="cuda:0", version=3, is_leaf=False)
    text = replace(flows(), stages=(replace(record, sigma=0.1, source="adapted"),)).render("csv")
    assert text == (
        "name,step,call,sigma,file,line,col,function,shape,dtype,device,requires_grad,is_leaf,"
        "grad_fn,version,source,connected_z0,value_mean,value_std,value_abs_max,value_nonfinite,"
        "grad_norm,grad_abs_mean,grad_abs_max,grad_abs_min,grad_zero_fraction,grad_nonfinite\r\n"
        "state,2,1,0.1,/home/ada/restore/.venv/lib/python3.11/site-packages/k_diffusion/sampling.py"
        ",138,12,sample_euler,1x4x8x8,float32,cuda:0,True,False,AddBackward0,3,adapted,yes,0.01,"
        "1.02,3.9,0,0.0421,0.0021,0.0113,1.2e-06,0.0,0\r\n"
    )


def test_without_records_there_is_a_header() -> None:
    assert replace(flows(), stages=()).render("csv").count("\r\n") == 1


def test_numbers_read_back_exactly() -> None:
    values = ValueStats(0.1 + 0.2, 5e-324, math.inf, 0)
    grads = GradStats(math.nan, -math.inf, 1.7976931348623157e308, -0.0, 1 / 3, 12)
    (row,) = read(replace(flows(), stages=(stage("state", 0, "yes", grads, value=values),)))
    for prefix, kind in (("value", values), ("grad", grads)):
        for name in kind.__dataclass_fields__:
            number, expected = float(row[f"{prefix}_{name}"]), float(getattr(kind, name))
            assert number == expected or (math.isnan(number) and math.isnan(expected))
            assert math.copysign(1, number) == math.copysign(1, expected)


@pytest.mark.parametrize(
    "name", ["a, b", 'the "state"', "two\nlines\r\n", "\u65e5\u672c", "", " a "]
)
def test_a_name_reads_back_whatever_is_in_it(name: str) -> None:
    (leaf,) = broken().leaves
    records = (stage(name, 0, "yes"), replace(stage("x", 1, "no"), connected={name: "no"}))
    first, second = read(replace(broken(), leaves=(replace(leaf, name=name),), stages=records))
    assert first["name"] == name
    assert (first[f"connected_{name}"], second[f"connected_{name}"]) == ("", "no")


def test_another_delimiter() -> None:
    assert read(flows(), delimiter=";") == read(flows())


@pytest.mark.parametrize("text", SNIPPETS)
def test_any_string_is_written_and_read(text: str, tmp_path: Path) -> None:
    report = replace(broken(), stages=(stage(text, 0, "no", grad_fn=text),))
    path = report.save(tmp_path / "stages.csv")
    (row,) = read(report)
    with path.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file, strict=True)) == [row]
    assert row["name"] == text.encode("utf-8", "backslashreplace").decode("utf-8")


@settings(max_examples=40, deadline=None)
@given(hostile_reports())
def test_any_report_has_as_many_rows_as_records(report: Report) -> None:
    rows = read(report)
    assert len(rows) == len(report.stages)
    assert all(None not in row and None not in row.values() for row in rows)
