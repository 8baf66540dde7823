"""The text keeps to the page: no line is wider, no number and no path is cut."""

from __future__ import annotations

import contextlib
import io
import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from rich.cells import cell_len

from gradprobe.probe import Probe
from gradprobe.records.report import Report
from gradprobe.render.plain import place, wrapped
from gradprobe.target import parse, run
from tests.fresh_environment import ROOT
from tests.render.samples import GRAD, SAMPLES, broken

CASES = ROOT / "tests" / "cases"
OF_CASES = {
    "zero": "kdiff/churn_off.py",
    "nonfinite": "kdiff/equal_frames.py",
    "error": "anomaly/inplace_view_written.py",
    "partial": "rules/gp102_cfg_unconditional.py",
    "broken": "toy12/c02_no_grad.py",
}
FIFTY = """
import torch

def 去噪器(状态, シグマ):
    return torch.tanh(状态) / (1.0 + シグマ)

def 采样(状态):
    for 步 in range(50):
        去噪后のとても長い名前の変数 = 去噪器(状态, 50.0 - 步)
        状态 = 状态 + 0.01 * (去噪后のとても長い名前の変数 - 状态)
    return 状态

起始噪声のテンソル = torch.linspace(-1.0, 1.0, 6).requires_grad_()
条件 = torch.ones(6, requires_grad=True)
(采样(起始噪声のテンソル * 2.0) * 条件).sum().backward()
"""
NO_ROOT = "import torch\nz0 = torch.ones(2, requires_grad=True)\nx = z0 * 2.0\n"
PATH = re.compile(r"(?:[\w.@+~-]*/)+[\w.@+~-]+\.py:\d+(?::\d+)?")


def traced(path: Path, denoiser: str | None = None) -> Report:
    probe = Probe(denoiser=denoiser)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        run(parse(str(path)), within=probe)
    return probe.report()


@pytest.fixture(scope="module")
def reports(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Report]:
    """A report of each verdict, one of 50 steps with names in CJK, one of several leaves."""
    folder = tmp_path_factory.mktemp("经过很长名字的文件夹") / "サンプラー"
    folder.mkdir()
    made = {name: traced(CASES / case) for name, case in OF_CASES.items()}
    for name, text in (("fifty", FIFTY), ("no-root", NO_ROOT)):
        path = folder / f"{name}.py"
        path.write_text(text, encoding="utf-8")
        made[name] = traced(path, "去噪器" if name == "fifty" else None)
    made |= {f"sample {name}": build() for name, build in SAMPLES.items()}
    made["several"] = several()
    return made


def several() -> Report:
    """Three leaves, two calls a step, a gradient everywhere: as wide as a table gets."""
    report = broken()
    names = ("z0", "起始噪声テンソル変数名", "prompt_embeds_long")
    stages = [
        replace(s, connected=dict.fromkeys(names, "no"), grad=replace(GRAD, norm=1.25e-11))
        for s in report.stages
    ]
    again = [replace(s, call=1) for s in stages if s.call is not None]
    leaves = tuple(replace(report.leaves[0], name=name) for name in names)
    return replace(report, leaves=leaves, stages=tuple(stages + again))


def test_the_reports_are_of_every_kind(reports: dict[str, Report]) -> None:
    verdicts = {name: reports[name].verdict for name in (*OF_CASES, "no-root")}
    assert verdicts == {name: name for name in verdicts}
    assert (reports["fifty"].verdict, reports["fifty"].counts.steps) == ("flows", 50)


@pytest.mark.parametrize("width", [80, 60, 40])
@pytest.mark.parametrize("base", [None, "/"])
def test_only_a_path_is_wider_than_the_page(
    reports: dict[str, Report], width: int, base: str | None
) -> None:
    for name, report in reports.items():
        for line in report.render("text", width=width, base=base).splitlines():
            if cell_len(line) > width:
                found = PATH.search(line)
                assert found is not None, (name, line)
                assert cell_len(line) - cell_len(found[0]) < width, (name, line)


@pytest.mark.parametrize("width", [80, 60, 40])
def test_every_place_is_one_token(reports: dict[str, Report], width: int) -> None:
    for name, report in reports.items():
        tokens = report.render("text", width=width, base="/").split()
        for finding in report.findings:
            assert place(finding.at, "/") in tokens, name


NORM = re.compile(r"\d\.\d\de[+-]\d\d|\de-?\d+(\.\.\de-?\d+)?")
HEADERS = {"step", "call", "sigma", "stage", "tensor", "grad_fn", "|grad|"}


@pytest.mark.parametrize("width", [80, 60, 40])
def test_no_number_of_a_table_is_cut(reports: dict[str, Report], width: int) -> None:
    found: list[str] = []
    for name, report in reports.items():
        lines = report.render("text", width=width).splitlines()
        start = next((n for n, x in enumerate(lines) if x.startswith("step ")), None)
        if start is None:
            continue
        header, *rows = lines[start : lines.index("", start)]
        starts = {leaf.name[:1] for leaf in report.leaves}
        for word in header.split():
            assert word in HEADERS or word == "..." or word[0] in starts, (name, header)
        norms = [word for row in rows for word in row.split() if re.match(r"\d[\d.]*e", word)]
        assert all(NORM.fullmatch(norm) for norm in norms), (name, norms)
        found += norms
    assert len(found) > 20 or width == 40


def test_a_table_with_room_for_all_shows_all() -> None:
    header = next(
        x for x in several().render("text", width=120).splitlines() if x.startswith("step ")
    )
    assert header.split() == [
        *("step", "call", "sigma", "stage", "z0", "起始噪声...", "prompt_em..."),
        *("tensor", "grad_fn", "|grad|"),
    ]


LONG = "/home/ada/projects/restoration of nothing".replace(" ", "_") + "/deeply/nested" * 4


@pytest.mark.parametrize("sentence", ["{}: a comment accepts nothing: why", "from {} (made there)"])
@pytest.mark.parametrize("width", [80, 60])
def test_a_path_in_what_was_not_seen_is_never_broken(sentence: str, width: int) -> None:
    path = f"{LONG}/run.py:16:22"
    report = replace(broken(), unseen=(sentence.format(path),))
    lines = report.render("text", width=width).splitlines()
    (holder,) = [line for line in lines if path in line]
    assert all(cell_len(line) <= width for line in lines if "/home/ada" not in line)
    assert holder.strip().rstrip(":") in (path, f"({path})")


@pytest.mark.parametrize(
    ("word", "whole"),
    [
        (f"{LONG}/run.py", True),
        (f"({LONG}/run.py:3:5),", True),
        (f"'{LONG}/run.py:3'", True),
        (f"C:\\{'folder' * 12}\\run.py:3:5", True),
        (f"/tmp/{'目录' * 30}/run.py:3:5", True),
        ("x" * 100, False),
        ("a/" * 50, False),
        ("<b>/</script>" * 10, False),
        ("目" * 60, False),
    ],
)
def test_what_is_a_path(word: str, whole: bool) -> None:
    lines = wrapped(f"see {word} there", 40, whole_paths=True)
    assert (word in lines) is whole
    assert "".join(lines).replace(" ", "") == f"see{word}there"
    assert wrapped(word, 40) != [word]


def test_a_sentence_hangs_behind_its_label() -> None:
    shown: Callable[[str], list[str]] = lambda text: text.splitlines()  # noqa: E731
    finding = replace(broken().findings[0], fix="word " * 30)
    lines = shown(replace(broken(), findings=(finding,)).render("text", width=40))
    first = next(n for n, line in enumerate(lines) if line.startswith("  fix: word"))
    assert lines[first + 1].startswith("       word")
