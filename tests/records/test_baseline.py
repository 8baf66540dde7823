"""The baseline: what a file of it says, and which finding is the same when lines have moved."""

from __future__ import annotations

import json
import os
import stat
from dataclasses import replace
from pathlib import Path

import pytest

from gradprobe.errors import CannotRead, CannotWrite
from gradprobe.records.baseline import SCHEMA, Baseline, names, read
from gradprobe.records.report import Finding
from gradprobe.records.source import Frame

INSTALLED = "/usr/lib/python3.11/site-packages/diffusers/schedulers/ddim.py"


def finding(folder: Path, line: int = 7, code: str = "GP101") -> Finding:
    at = Frame(
        str(folder / "my" / "steps.py"), line, line, 4, 9, "S.step.<locals>.inner", "  x =  y  "
    )
    return Finding(code, "detached", "warning", "proven", "z0", at, "it was detached", "do not")


def test_a_file_is_the_same_again_and_sorted(tmp_path: Path) -> None:
    one, library = finding(tmp_path), replace(finding(tmp_path), code="GP301")
    library = replace(library, at=replace(library.at, file=INSTALLED))
    elsewhere = replace(one, opened_by=replace(one.at, line=3, source="y = x"))
    path = tmp_path / "base.json"
    made = Baseline(str(path)).of(
        [library, elsewhere, one, replace(one, at=replace(one.at, line=9))]
    )
    made.write()
    assert read(path) == made == Baseline(str(path)).of([one, one, elsewhere, library])
    assert json.loads(path.read_text()) == {
        "schema": SCHEMA,
        "findings": [
            {
                "code": "GP101",
                "severity": "warning",
                "file": "my/steps.py",
                "function": "S.step.inner",
                "source": "x = y",
                "count": 2,
            },
            {
                "code": "GP101",
                "severity": "warning",
                "file": "my/steps.py",
                "function": "S.step.inner",
                "source": "y = x",
                "lost": {"file": "my/steps.py", "function": "S.step.inner", "source": "x = y"},
                "count": 1,
            },
            {
                "code": "GP301",
                "severity": "warning",
                "file": "diffusers/schedulers/ddim.py",
                "function": "S.step.inner",
                "source": "x = y",
                "count": 1,
            },
        ],
    }
    assert path.read_bytes().endswith(b"\n")
    assert os.listdir(tmp_path) == ["base.json"]
    assert list(names(made.entries, 2)) == [
        "GP101 in my/steps.py:S.step.inner",
        "GP101 in my/steps.py:S.step.inner",
        "1 more",
    ]


def test_what_one_with_took_is_known_by_that_alone(tmp_path: Path) -> None:
    base = Baseline(str(tmp_path / "base.json"))
    opened = replace(finding(tmp_path).at, line=3, source="with torch.no_grad():")
    lost = replace(finding(tmp_path, code="GP102"), opened_by=opened)
    first_lost = replace(lost, at=replace(lost.at, source="x = z"))
    assert base.entry_of(lost) == base.entry_of(first_lost)
    assert base.entry_of(replace(lost, code="GP203")) != base.entry_of(
        replace(first_lost, code="GP203")
    )


def test_the_worst_of_those_alike_is_kept(tmp_path: Path) -> None:
    one = finding(tmp_path)
    [entry] = (
        Baseline(str(tmp_path / "base.json")).of([one, replace(one, severity="error")]).entries
    )
    assert (entry.severity, entry.count) == ("error", 2)


def test_a_file_s_name_is_from_the_baseline_s_folder_on(tmp_path: Path) -> None:
    real = tmp_path / "real"
    (real / "my").mkdir(parents=True)
    (tmp_path / "link").symlink_to(real)
    for base in (real / "base.json", tmp_path / "link" / "base.json"):
        assert Baseline(str(base)).entry_of(finding(tmp_path / "link")).cause.file == "my/steps.py"
    above = Baseline(str(real / "my" / "base.json")).entry_of(finding(tmp_path)).cause
    assert above.file == "../../my/steps.py"
    typed = replace(finding(tmp_path), at=replace(finding(tmp_path).at, file="<string>"))
    assert Baseline(str(real / "b.json")).entry_of(typed).cause.file == "<string>"


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("{", "it is not JSON ("),
        ("[]", f"it is no baseline: its schema is not '{SCHEMA}'"),
        ('{"schema": "gradprobe.report/1"}', "it is no baseline: its schema is not"),
        (f'{{"schema": "{SCHEMA}"}}', "it is no baseline: findings should be a list"),
    ],
)
def test_another_file_is_refused(tmp_path: Path, text: str, why: str) -> None:
    path = tmp_path / "base.json"
    path.write_text(text)
    with pytest.raises(CannotRead) as caught:
        read(path)
    assert str(caught.value).startswith(f"cannot read {path}: {why}")
    path.write_bytes(b"\xff")
    with pytest.raises(CannotRead, match="it is not JSON"):
        read(path)
    with pytest.raises(CannotRead, match="No such file"):
        read(tmp_path / "absent.json")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"code": 1}, "findings[1] should have a string 'code'"),
        ({"severity": "bad"}, "findings[1].severity should be one of error, warning, note"),
        ({"source": None}, "findings[1] should have a string 'source'"),
        ({"count": 0}, "findings[1].count should be a whole number from 1 on"),
        ({"count": True}, "findings[1].count should be a whole number from 1 on"),
        ({"lost": {"file": "a.py"}}, "findings[1].lost should have a string 'function'"),
        ({"lost": 1}, "findings[1].lost should have a string 'file'"),
    ],
)
def test_a_wrong_entry_is_named(tmp_path: Path, change: dict[str, object], why: str) -> None:
    right = {"code": "GP101", "severity": "note", "file": "a.py", "function": "f", "source": "x"}
    path = tmp_path / "base.json"
    path.write_text(json.dumps({"schema": SCHEMA, "findings": [right, {**right, **change}]}))
    with pytest.raises(CannotRead) as caught:
        read(path)
    assert str(caught.value) == f"cannot read {path}: it is no baseline: {why}"


def test_a_file_that_cannot_be_written_leaves_the_old_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "base.json"
    Baseline(str(path)).of([finding(tmp_path)]).write()
    path.chmod(0o600)
    old = path.read_text()

    def refuse(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", refuse)
        with pytest.raises(CannotWrite, match="No space left on device"):
            Baseline(str(path)).write()
    assert path.read_text() == old
    assert os.listdir(tmp_path) == ["base.json"]
    Baseline(str(path)).write()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    with pytest.raises(CannotWrite, match="No such file"):
        Baseline(str(tmp_path / "no" / "base.json")).write()
