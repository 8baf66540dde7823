"""The benchmark harness, in a configuration too small to time anything."""

from __future__ import annotations

import gc
import json
from contextlib import nullcontext
from pathlib import Path

import pytest
from click.testing import CliRunner

from benchmarks import __main__ as command
from benchmarks import watching
from benchmarks.interleave import Timings, interleave
from benchmarks.memory import kept_bytes
from benchmarks.results import Row
from benchmarks.turns import Turns, take_turns
from benchmarks.workloads import FULL, SMALL, chain_of_tiny_ops, euler_over_unet


@pytest.fixture(autouse=True)
def _without_collections(monkeypatch: pytest.MonkeyPatch) -> None:
    """In a process full of tests a collection before each run takes most of the time."""
    monkeypatch.setattr(gc, "collect", lambda *_: 0)


def test_every_arm_runs_once_a_round_and_each_goes_first_in_turn() -> None:
    seen: list[str] = []

    class Arm:
        def __init__(self, name: str) -> None:
            self.name = name

        def __call__(self) -> Arm:
            return self

        def __enter__(self) -> None:
            seen.append(self.name)

        def __exit__(self, *_: object) -> None:
            pass

    timings = interleave(lambda: None, {name: Arm(name) for name in "abc"}, rounds=3)

    rounds = ["".join(seen[i : i + 3]) for i in range(0, len(seen), 3)]
    assert rounds == ["cab", "abc", "bca", "cab"]  # the first is the warm-up
    assert {arm: len(taken) for arm, taken in timings.seconds.items()} == {"a": 3, "b": 3, "c": 3}


def test_ratios_and_differences_are_taken_within_a_round() -> None:
    # The second round was slow for both arms: it must not move the ratio.
    timings = Timings({"a": (2.0, 20.0, 3.0), "b": (1.0, 10.0, 1.5)})

    assert timings.ratio("a", to="b") == pytest.approx(2.0)
    assert timings.extra("a", to="b") == pytest.approx(1.5)
    assert timings.fastest("a") == pytest.approx(2.0)
    assert timings.middle("a") == pytest.approx(3.0)


def test_kept_bytes_counts_what_the_context_keeps_and_not_what_it_lets_go() -> None:
    class Keeps:
        def __enter__(self) -> None:
            self.kept = bytearray(100_000)
            bytearray(500_000)

        def __exit__(self, *_: object) -> None:
            pass

    keeps = Keeps()
    assert 100_000 <= kept_bytes(lambda: None, keeps) < 110_000
    assert kept_bytes(lambda: None, nullcontext()) < 5_000


def test_a_row_holds_only_at_or_below_its_target() -> None:
    assert Row("x", 1.2, "x", target=1.2).holds is True
    assert Row("x", 1.21, "x", target=1.2).holds is False
    assert Row("x", 1.2, "x").holds is None


def test_the_workloads_are_the_stated_ones() -> None:
    _, parameters = euler_over_unet(FULL)
    assert 1.4e6 < parameters < 1.6e6

    run, _ = euler_over_unet(SMALL)
    assert run().requires_grad
    end = chain_of_tiny_ops(SMALL)()
    assert end.shape == (1, 2, 2, 8, 8)
    nodes, node = 0, end.grad_fn
    while node is not None:
        nodes += 1
        node = node.next_functions[0][0] if node.next_functions else None
    assert nodes == SMALL.tiny_ops + 1  # and the leaf's AccumulateGrad


def test_the_command_prints_every_figure_with_its_target(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    latest = tmp_path / "results" / "latest.json"
    monkeypatch.setattr(command, "LATEST", latest)

    result = CliRunner().invoke(
        command.main, ["--small", "--rounds", "1", "--threads", "1", "--save"]
    )

    assert result.exit_code == 0, result.output
    assert all(len(line) <= 80 for line in result.output.splitlines() if str(tmp_path) not in line)
    for target in ("<= 1.2 x", "<= 1.05 x", "<= 2 x", "<= 1.1 x", "<= 6 us", "<= 200 B"):
        assert target in result.output
    saved = json.loads(latest.read_text(encoding="utf-8"))
    assert saved["conditions"]["ops_recorded"] >= SMALL.tiny_ops
    assert [row["target"] for row in saved["rows"] if row["target"]] == [
        1.2,
        1.05,
        2.0,
        1.1,
        6.0,
        200.0,
        200.0,
    ]
    assert all(row["value"] > 0 for row in saved["rows"] if row["what"].startswith("records"))


def test_watching_is_measured_beside_a_plain_loop() -> None:
    done = CliRunner().invoke(watching.main, ["--small", "--threads", "1"])
    assert done.exit_code == 0, done.output
    assert "watched, of plain" in done.output
    assert "records at the end" in done.output


def test_turns_are_told_as_ratios() -> None:
    turns = Turns(
        (1.0, 2.0, 1.0, 1.0), (2.0, 2.0, 1.1, 0.9), (5, 6, 7, 8), (4, 0, 4, 0), (6, 6, 0, 0)
    )
    assert turns.ratio == pytest.approx(6.0 / 5.0)
    assert turns.middle == pytest.approx(1.05)
    told = {row.what: row for row in watching.rows(turns)}
    assert told["all iterations, watched, of plain"].holds is False
    assert told["  before the processes changed places"].value == pytest.approx(4.0 / 3.0)
    assert told["  after it"].value == pytest.approx(1.0)
    assert told["records at the end"].value == pytest.approx(0.008)


def test_each_process_runs_the_loop_in_both_ways() -> None:
    told: list[None] = []
    turns = take_turns(SMALL, 3, 1, lambda: told.append(None))
    assert len(told) == len(turns.plain) == len(turns.watched) == len(turns.record_bytes) == 6
    assert len(turns.plain_pages) == len(turns.watched_pages) == 6
    assert turns.record_bytes[3] < turns.record_bytes[2]  # another probe, with fewer iterations
