"""Hook records as flat rows: every field of a record is in them, once, as a plain value."""

from __future__ import annotations

from dataclasses import fields, replace

from gradprobe.records.report import GradStats, Stage, ValueStats
from gradprobe.records.source import Frame
from gradprobe.records.table import columns, table

FRAME = Frame("/home/ada/run.py", 31, 31, 8, 20, "main", "        x = x + d * dt")
FULL = Stage(
    name="denoised_output",
    step=3,
    sigma=0.5,
    at=FRAME,
    shape=(1, 2, 8, 8),
    dtype="float32",
    requires_grad=True,
    grad_fn="AddBackward0",
    connected={"z0": "yes", "w": "no"},
    value=ValueStats(0.25, 1.5, 4.0, 2),
    grad=GradStats(0.5, 0.125, 0.25, 0.0, 0.75, 1),
    call=1,
    device="cuda:0",
    is_leaf=False,
    version=7,
    source="adapted",
)


def test_a_record_is_one_flat_row() -> None:
    assert table([FULL], ["z0", "w"]) == [
        {
            "name": "denoised_output",
            "step": 3,
            "call": 1,
            "sigma": 0.5,
            "file": "/home/ada/run.py",
            "line": 31,
            "col": 8,
            "function": "main",
            "shape": "1x2x8x8",
            "dtype": "float32",
            "device": "cuda:0",
            "requires_grad": True,
            "is_leaf": False,
            "grad_fn": "AddBackward0",
            "version": 7,
            "source": "adapted",
            "connected_z0": "yes",
            "connected_w": "no",
            "value_mean": 0.25,
            "value_std": 1.5,
            "value_abs_max": 4.0,
            "value_nonfinite": 2,
            "grad_norm": 0.5,
            "grad_abs_mean": 0.125,
            "grad_abs_max": 0.25,
            "grad_abs_min": 0.0,
            "grad_zero_fraction": 0.75,
            "grad_nonfinite": 1,
        }
    ]


def test_no_field_of_a_record_is_left_out() -> None:
    flat = {"at": "file", "connected": "connected_z0", "value": "value_mean", "grad": "grad_norm"}
    assert {flat.get(f.name, f.name) for f in fields(Stage)} <= set(columns(["z0"]))


def test_what_was_not_seen_is_none() -> None:
    bare = Stage("z0", None, None, None, (), "float32", False, None, {})
    (row,) = table([bare], ["z0"])
    assert list(row) == columns(["z0"])
    assert {name for name, cell in row.items() if cell is not None} == {
        "name",
        "shape",
        "dtype",
        "requires_grad",
        "source",
    }
    assert row["shape"] == "scalar"


def test_all_rows_have_the_same_keys() -> None:
    rows = table([FULL, replace(FULL, at=None, grad=None, connected={})], ["z0", "w", "z0"])
    assert [list(row) for row in rows] == [columns(["z0", "w"])] * 2
