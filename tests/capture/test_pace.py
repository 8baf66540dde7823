"""How far a run is, told while it runs: rightly, rarely, and without a trace in the program."""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from dataclasses import replace
from itertools import pairwise

import pytest
import torch

import gradprobe
from gradprobe.capture import pace
from gradprobe.records import progress
from gradprobe.records.progress import Progress
from gradprobe.records.report import Cost, Report


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "AFTER", 0.0)
    monkeypatch.setattr(progress, "EVERY", 0.0)
    monkeypatch.setattr(pace, "_SOON", 0.0)


class Wrapper(torch.nn.Module):
    """A sampler that is a module: what it calls again and again is the denoiser."""

    def __init__(self) -> None:
        super().__init__()
        self.net = torch.nn.Linear(4, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        for _ in range(20):
            x = x + 0.1 * self.net(x).tanh()
        return x


def run(told: Callable[[Progress], None] | None) -> tuple[Report, list[torch.Tensor]]:
    torch.manual_seed(7)
    sampler = Wrapper()
    z0 = torch.randn(2, 4, requires_grad=True)
    with gradprobe.Probe(progress=told) as probe:
        for _ in range(3):
            (sampler(z0) + torch.rand(4)).square().sum().backward()
    return probe.report(), [z0.grad, torch.rand(5)]


def test_counts_are_those_of_the_run(at_once: None) -> None:
    seen: list[Progress] = []
    report, _ = run(seen.append)
    assert [p.ops for p in seen] == sorted(p.ops for p in seen)
    assert [p.seconds for p in seen] == sorted(p.seconds for p in seen)
    assert 0 <= report.counts.ops - seen[-1].ops < 16
    assert {p.passes for p in seen if p.in_backward} == {1, 2, 3}
    early = [p for p in seen if p.module == "Linear"]
    assert 2 <= early[0].calls < early[-1].calls <= 20  # until the wrapper is called again
    assert (seen[-1].module, seen[-1].calls) == ("Wrapper", 3)
    assert seen[-1].record_bytes > 0


def test_nothing_but_the_time_it_took_is_other_in_the_report(at_once: None) -> None:
    told, values = run(lambda seen: None)
    plain, values_plain = run(None)
    assert replace(told, cost=Cost(0, 0, 0)) == replace(plain, cost=Cost(0, 0, 0))
    assert all(map(torch.equal, values, values_plain))


def test_no_thread_is_started_and_no_timer(at_once: None) -> None:
    threads = set[str]()
    run(lambda seen: threads.update(t.name for t in threading.enumerate()))
    assert threads == {t.name for t in threading.enumerate()}
    report, _ = run(lambda seen: None)
    assert not any("thread" in sentence for sentence in report.unseen)


def test_nothing_is_told_of_a_short_run() -> None:
    seen: list[Progress] = []
    run(seen.append)
    assert seen == []


def test_it_is_told_no_more_often_than_it_may(monkeypatch: pytest.MonkeyPatch) -> None:
    now = iter(range(10**9))
    monkeypatch.setattr(time, "perf_counter", lambda: next(now) * 0.01)
    seen: list[Progress] = []
    x = torch.ones(2, requires_grad=True)
    with gradprobe.Probe(progress=seen.append):
        for _ in range(16 * 1000):
            x + 1
    times = [p.seconds for p in seen]
    assert progress.AFTER <= times[0] < progress.AFTER + 0.1
    gaps = [b - a for a, b in pairwise(times)]
    assert min(gaps) >= progress.EVERY - 1e-9
    assert max(gaps) < 2 * progress.EVERY


def test_a_listener_that_fails_costs_only_what_it_would_have_told(at_once: None) -> None:
    def fail(seen: Progress) -> None:
        raise OSError("no terminal any more")

    report, _ = run(fail)
    assert "progress was not told to the end: OSError('no terminal any more')" in report.unseen
    assert report.verdict == "flows"


def test_ctrl_c_while_it_is_told_reaches_the_program(at_once: None) -> None:
    def interrupt(seen: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(interrupt)
    assert sys.gettrace() is None
    torch.ones(1) + 1  # nothing of the probe is left
