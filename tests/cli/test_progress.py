"""How far a run is, in the lowest row of a terminal: shown, then gone, nothing else changed."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from gradprobe.cli import outputs
from gradprobe.cli.progress import ProgressLine, clock, sentence
from gradprobe.cli.second_run import _heard, _Teller
from gradprobe.records import progress
from gradprobe.records.progress import Progress
from gradprobe.records.report import Report
from tests.cli.conftest import Run
from tests.cli.terminal import Seen, in_terminal

NOISY = """
import os, sys
import torch
from rich.progress import BarColumn, Progress, TextColumn
from tqdm import tqdm

def work(x):
    for _ in range(20):
        x = x + 0.001 * net(x)
    return x

torch.manual_seed(0)
net = torch.nn.Linear(4, 4)
print("begins")
sys.stderr.write("\\x1b[32mgreen weights, without a line end "), sys.stderr.flush()
z0 = torch.randn(4, requires_grad=True)
x = work(z0)
sys.stderr.write("loaded\\x1b[0m\\n")
for i in tqdm(range(6), bar_format="{desc}{bar}|{n_fmt} of {total_fmt}", desc="outer "):
    inner = dict(bar_format="{desc}{bar}|{n_fmt}", desc="inner ", position=1, leave=False)
    for _ in tqdm(range(3), **inner):
        x = work(x)
    if i % 2:
        tqdm.write(f"at {i}")
with Progress(TextColumn("rich"), BarColumn(), TextColumn("{task.completed}")) as bars:
    task = bars.add_task("", total=5)
    for _ in range(5):
        x = work(x)
        bars.advance(task)
        bars.print("one more")
for i in range(40):
    print("line", i)
os.write(1, b"from below, and ")
x = work(x)
print("on one line", flush=True)
os.write(2, b"then the end:")
loss = x.square().sum()
loss.backward()
print(torch.rand(2), round(loss.item(), 4), z0.grad)
"""


@pytest.fixture(scope="module")
def noisy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("noisy") / "run.py"
    path.write_text(NOISY, encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def watched(noisy: Path) -> Seen:
    return in_terminal("trace", str(noisy), rows=20)


@pytest.fixture(scope="module")
def unwatched(noisy: Path) -> Seen:
    return in_terminal("trace", "--no-progress", str(noisy), rows=20, NO_COLOR="1")


def masked(text: list[str]) -> list[str]:
    """Without how long it took."""
    return [re.sub(r"[\d.]+ s (traced|to diagnose)", r"\1", line) for line in text]


def test_the_line_tells_calls_ops_time_and_memory(watched: Seen) -> None:
    pattern = r"gradprobe: (\d+ calls of Linear, )?((in backward pass|backward passes:) 1, )?"
    pattern += r"[\d,]+ ops, 0:\d\d, [\d.]+ (B|kB)( of records)?"
    traced = [line for line in watched.bottom if " ops, " in line]
    assert len(traced) > 3
    assert [line for line in traced if not re.fullmatch(pattern, line)] == []
    assert any("in backward pass 1" in line for line in traced)
    counts = [int(re.search(r"([\d,]+) ops", line)[1].replace(",", "")) for line in traced]
    assert counts == sorted(counts)


def test_all_that_the_program_prints_stays_as_it_was(watched: Seen, unwatched: Seen) -> None:
    assert masked(watched.text) == masked(unwatched.text)
    text = "\n".join(watched.text)
    assert "green weights, without a line end loaded\n" in text
    assert "from below, and on one line\nthen the end:tensor" in text
    assert [f"line {i}" for i in range(40)] == [x for x in watched.text if x.startswith("line ")]
    assert (watched.code, unwatched.code) == (0, 0)


def test_it_is_gone_at_the_end(watched: Seen) -> None:
    assert not any("gradprobe: " in line for line in watched.text)
    assert watched.sent.rfind(b"\x1b[r") > watched.sent.rfind(b"\x1b[1;19r")


def test_no_progress_writes_nothing_of_the_kind(unwatched: Seen) -> None:
    assert unwatched.bottom == []
    assert b"\x1b7" not in unwatched.sent


LOST = """
import torch
z0 = torch.full((4,), 2.0, requires_grad=True)
x = (z0 * 80.0).clamp(-1.0, 1.0)
for _ in range(20):
    x = x + 0.0
(x - 0.25).pow(2).mean().backward()
"""


@pytest.fixture
def lost(here: Path) -> str:
    (here / "run.py").write_text(LOST, encoding="utf-8")
    return "run.py"


def test_the_second_run_has_its_line_and_no_color_is_plain(lost: str) -> None:
    seen = in_terminal("trace", "-o", "graph.svg", lost, NO_COLOR="1")
    assert any(line.startswith("gradprobe: second run, 0:0") for line in seen.bottom)
    assert any(line.startswith("gradprobe: writing graph.svg, 0:0") for line in seen.bottom)
    assert "gradient is exactly zero: running the program again to find the" in "".join(seen.text)
    assert seen.text[-1] == "wrote graph.svg"
    assert b"\x1b[2m" not in seen.sent


@pytest.mark.parametrize(
    ("setting", "options", "shown"),
    [
        ("", [], True),
        ("", ["--no-progress"], False),
        ("progress = false", [], False),
        ("progress = false", ["--progress"], True),
        ("progress = true", ["--no-progress"], False),
    ],
)
def test_the_command_line_wins_over_the_project(
    setting: str,
    options: list[str],
    shown: bool,
    here: Path,
    command: Run,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    asked: list[bool] = []

    class Line(ProgressLine):
        def __init__(self, wanted: bool, *, color: bool) -> None:
            asked.append(wanted)
            super().__init__(wanted, color=color)

    monkeypatch.setattr(outputs, "ProgressLine", Line)
    (here / "pyproject.toml").write_text(f"[tool.gradprobe]\n{setting}\n")
    (here / "run.py").write_text("")
    command("trace", *options, "run.py")
    assert asked == [shown]


def test_into_a_pipe_nothing_is_written(
    lost: str, command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "AFTER", 0.0)
    done = command("trace", "--numerics", "stages", lost)
    assert (done.stderr, "\x1b" in done.stdout) == ("", False)


def test_a_report_that_takes_long_to_draw_has_its_line(here: Path, report: Report) -> None:
    report.save("report.json")
    seen = in_terminal("render", "report.json")
    assert any(x.startswith("gradprobe: making the report as text, 0:0") for x in seen.bottom)
    assert seen.text[0] == "The gradient of z0 is lost at run.py:3:5." or "broken" in seen.text[0]
    quiet = in_terminal("render", "report.json", "--no-progress")
    assert (quiet.text, quiet.bottom) == (seen.text, [])


def test_a_dumb_terminal_is_left_alone(here: Path, report: Report) -> None:
    report.save("report.json")
    assert in_terminal("render", "report.json", TERM="dumb").bottom == []
    assert in_terminal("render", "report.json", rows=3).bottom == []


def test_a_wrong_setting_is_one_line(here: Path, command: Run) -> None:
    (here / "pyproject.toml").write_text('[tool.gradprobe]\nprogress = "no"\n')
    (here / "run.py").write_text("")
    done = command("trace", "run.py")
    message = "pyproject.toml: tool.gradprobe.progress: it must be true or false, not a string"
    assert (done.returncode, done.stderr) == (2, f"gradprobe: {message}\n")


def test_the_second_run_leaves_word_in_a_file(tmp_path: Path) -> None:
    path = tmp_path / "progress"
    assert _heard(path) == _heard(None) == ""
    seen = Progress(61.0, 48210, 12, "UNet", 3, True, 4_100_000)
    _Teller(path)(seen)
    assert _heard(path) == "12 calls, in backward pass 3, 48,210 ops, 1:01, 4.1 MB"
    assert [entry.name for entry in tmp_path.iterdir()] == ["progress"]


def test_a_narrow_terminal_spares_words_and_no_number() -> None:
    seen = Progress(61.0, 48210, 1200, "UNet", 3, False, 4_100_000)
    told = {width: sentence(seen, width) for width in (100, 68, 30)}
    most = "1,200 calls of UNet, backward passes: 3, 48,210 ops, 1:01, 4.1 MB of records"
    assert told[100] == most
    assert told[68] == most.removesuffix(" of records")
    assert told[30] == told[68].replace(" of UNet", "")
    assert sentence(replace(seen, calls=0, passes=0), 80) == "48,210 ops, 1:01, 4.1 MB of records"


def test_hours_are_told_as_hours() -> None:
    assert [clock(s) for s in (0.4, 65, 3599.9, 3723)] == ["0:00", "1:05", "59:59", "1:02:03"]


def test_a_loop_s_line_has_the_norm_of_the_gradient_that_came_last() -> None:
    seen = Progress(61.0, 48210, 12, "UNet", 3, True, 4_100_000, 0.0421)
    assert "in backward pass 3, |grad| 4.2e-02, 48,210 ops" in sentence(seen, 100)
    assert "|grad|" not in sentence(replace(seen, passes=1), 100)
