"""`gradprobe diff`: exit codes, formats, and one line for what cannot be compared."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import jsonschema
import pytest

from gradprobe.cli import main
from gradprobe.records.comparison_codec import schema
from gradprobe.records.report import Report
from tests.render.samples import broken, flows


@pytest.fixture
def saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    warned = replace(broken().findings[0], severity="warning")
    reports: dict[str, Report] = {
        "good": flows(),
        "bad": broken(),
        "warned": replace(flows(), findings=(warned,)),
        "accepted": replace(broken(), findings=(replace(broken().findings[0], allowed=True),)),
    }
    for name, report in reports.items():
        report.save(f"{name}.json")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["good", "good"], 0),
        (["good", "bad"], 1),
        (["bad", "good"], 0),
        (["bad", "bad"], 0),
        (["good", "warned"], 0),
        (["good", "warned", "--fail-on", "warning"], 1),
        (["good", "accepted"], 0),
    ],
)
def test_the_exit_code_is_of_a_new_break(
    arguments: list[str], code: int, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad, *options = arguments
    assert main(["diff", f"{good}.json", f"{bad}.json", *options]) == code
    told = capsys.readouterr()
    assert told.err == ""
    assert "\x1b[" not in told.out


def test_json_is_as_its_schema_says(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for good, bad in (("good", "bad"), ("bad", "good"), ("good", "good")):
        main(["diff", f"{good}.json", f"{bad}.json", "--format", "json"])
        told = json.loads(capsys.readouterr().out)
        jsonschema.Draft202012Validator(schema()).validate(told)
        assert told["same"] is (good == bad)
    assert main(["schema", "diff"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_the_schema_refuses_what_is_none(saved: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["diff", "good.json", "bad.json", "--format", "json"])
    told = json.loads(capsys.readouterr().out)
    told["divergence"]["kind"] = "other"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema()).validate(told)


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("missing.json", None, "No such file"),
        ("missing", None, "there is no report missing"),
        ("words.json", "no json", "it is not JSON"),
        ("other.json", '{"schema": "gradprobe.report/9"}', "its schema is"),
    ],
)
def test_what_is_no_report_is_said_in_one_line(
    name: str, text: str | None, said: str, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    if text is not None:
        (saved / name).write_text(text)
    assert main(["diff", "good.json", name]) == 2
    told = capsys.readouterr()
    assert told.out == ""
    assert said in told.err
    assert told.err.count("\n") == 1


def test_files_have_the_format_of_their_names(
    saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    names = ["d.svg", "d.html", "d.json", "d.txt"]
    line = ["diff", "good.json", "bad.json", *(x for name in names for x in ("-o", name))]
    assert main(line) == 1
    told = capsys.readouterr()
    assert told.out == "".join(f"wrote {name}\n" for name in names)
    assert (saved / "d.html").read_text().startswith("<!doctype html>")
    assert (saved / "d.svg").read_text().startswith("<svg")
    jsonschema.Draft202012Validator(schema()).validate(json.loads((saved / "d.json").read_text()))
    main(["diff", "good.json", "bad.json"])
    assert (saved / "d.txt").read_text() == capsys.readouterr().out


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["-o", "d.pdf"], "pdf"),
        (["-o", "nowhere/d.svg"], "there is no directory"),
        (["--format", "csv"], "csv"),
    ],
)
def test_what_cannot_be_written_is_said_before_anything_is(
    asked: list[str], said: str, saved: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["diff", "missing.json", "bad.json", *asked]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1
