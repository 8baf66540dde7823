"""Which denoiser calls gradient entered and left, and the sentence that says so."""

from __future__ import annotations

import textwrap
from pathlib import Path

import pytest

from gradprobe.probe import Probe
from gradprobe.records.report import Complete, Leaf, Report
from tests.traced import Traced, trace

PREAMBLE = """
import torch


class Denoiser(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.scale = torch.nn.Parameter(torch.ones(3) * 0.7)

    def forward(self, x, sigma=1.0):
        return self.scale * x.tanh() + 0.1


class HalfDead(Denoiser):
    def forward(self, x, sigma=1.0):
        return 0.5 * x + super().forward(x).detach()  # <- inside


model = Denoiser()
sigmas = (4.0, 3.0, 2.0, 1.0)
z0 = torch.ones(3, requires_grad=True)
x = z0 * 4.0
"""

END = """
loss = x.pow(2).sum()
loss.backward()
"""

NO, YES = ("no", "no"), ("yes", "yes")


def run(folder: Path, body: str, end: str = END) -> Traced:
    return trace(folder, PREAMBLE + textwrap.dedent(body) + end)


def rows(report: Report, leaf: str = "z0") -> list[tuple[str, str]]:
    return [(call.entered, call.left[leaf]) for call in report.calls]


def the_leaf(report: Report) -> Leaf:
    return next(leaf for leaf in report.leaves if leaf.name == "z0")


# By name: the loop, the rows, and what is said of them.
DEAD: dict[str, tuple[str, list[tuple[str, str]], str]] = {
    "what the calls gave is detached": (
        "for s in sigmas: x = x + 0.1 * (model(x).detach() - x)",
        [NO] * 4,
        "z0 has a gradient, and none of it went through the denoiser: 0 of 4 calls",
    ),
    "what the calls took is detached: gradient enters, to the weights": (
        "for s in sigmas: x = x + 0.1 * (model(x.detach()) - x)",
        [("yes", "no")] * 4,
        "z0 has a gradient, and none of it went through the denoiser: 0 of 4 calls",
    ),
    "the first steps": (
        """
        for n, s in enumerate(sigmas):
            denoised = model(x)
            x = x + 0.1 * ((denoised.detach() if n < 2 else denoised) - x)
        """,
        [NO, NO, YES, YES],
        "2 of 4 denoiser calls carry gradient: those of steps 0 and 1 do not",
    ),
    "all steps but the last": (
        """
        for n, s in enumerate(sigmas):
            denoised = model(x)
            x = x + 0.1 * ((denoised.detach() if n < 3 else denoised) - x)
        """,
        [NO, NO, NO, YES],
        "1 of 4 denoiser calls carry gradient: those of steps 0 to 2 do not",
    ),
    "one step": (
        """
        for n, s in enumerate(sigmas):
            denoised = model(x)
            x = x + 0.1 * ((denoised.detach() if n == 3 else denoised) - x)
        """,
        [YES, YES, YES, NO],
        "3 of 4 denoiser calls carry gradient: that of step 3 does not",
    ),
    "Heun's correction": (
        """
        for n, s in enumerate(sigmas[:2]):
            d = model(x) - x
            ahead = x + 0.1 * d
            x = x + 0.05 * (d + model(ahead).detach() - ahead)
        """,
        [YES, NO, YES, NO],
        "2 of 4 denoiser calls carry gradient: the 2nd call of every step does not",
    ),
    "two of three guidance branches": (
        """
        for n, s in enumerate(sigmas[:2]):
            free = model(0.3 * x)
            with torch.no_grad():
                first = model(x)
                other = model(0.5 * x)
            x = x + 0.1 * (free + 0.5 * (first - free) + 0.5 * (other - free))
        """,
        [YES, NO, NO, YES, NO, NO],
        "2 of 6 denoiser calls carry gradient: the 2nd and 3rd call of every step do not",
    ),
    "calls here and there": (
        """
        for n, s in enumerate(sigmas[:2]):
            d = model(x) - x
            d = d.detach() if n == 0 else d
            ahead = x + 0.1 * d
            e = model(ahead) - ahead
            x = x + 0.05 * (d + (e.detach() if n == 1 else e))
        """,
        [NO, YES, YES, NO],
        "2 of 4 denoiser calls carry gradient: the 1st and 4th do not",
    ),
    "all steps, and not the call that cleans the result": (
        """
        for s in sigmas:
            x = x + 0.1 * (model(x).detach() - x)
        x = model(x)
        """,
        [NO, NO, NO, NO, YES],
        "1 of 5 denoiser calls carry gradient: those of steps 0 to 3 do not",
    ),
    "only the call that cleans the result": (
        """
        for s in sigmas:
            x = x + 0.1 * (model(x) - x)
        x = x + model(x).detach()
        """,
        [YES, YES, YES, YES, NO],
        "4 of 5 denoiser calls carry gradient: the 5th does not",
    ),
    "no loop, no steps": (
        "x = x + model(x)\nx = x + model(x).detach()\nx = x + model(x)",
        [YES, NO, YES],
        "2 of 3 denoiser calls carry gradient: the 2nd does not",
    ),
    "many calls here and there": (
        """
        for n, s in enumerate(2 * sigmas):
            for half in (0, 1):
                d = model(x)
                x = x + 0.1 * (d.detach() if (n + half) % 2 else d)
        """,
        [YES, NO, NO, YES] * 4,
        "8 of 16 denoiser calls carry gradient: the 2nd, 3rd, 6th, 7th and 4 more do not",
    ),
    "an argument that is only handed on is no way through a call": (
        """
        class Pair(Denoiser):
            def forward(self, x):
                return super().forward(x).detach(), x

        pair = Pair()
        for s in sigmas:
            denoised, x = pair(x)
            x = x + 0.1 * denoised
        """,
        [NO] * 4,
        "z0 has a gradient, and none of it went through the denoiser: 0 of 4 calls",
    ),
}


@pytest.mark.parametrize(("body", "expected", "sentence"), DEAD.values(), ids=DEAD)
def test_dead_calls_are_counted_and_named(
    body: str, expected: list[tuple[str, str]], sentence: str, tmp_path: Path
) -> None:
    report = run(tmp_path, body).report
    live = expected.count(YES)
    assert rows(report) == expected
    layers = the_leaf(report).layers
    assert layers.connected.answer == "yes"
    assert layers.complete == Complete("no", sentence, live, len(expected))
    assert report.verdict == "partial"
    first = report.findings[0]
    assert report.headline.startswith(f"partial: {sentence}; {first.code} {first.name} at ")


def test_each_row_says_which_call_it_is(tmp_path: Path) -> None:
    traced = run(
        tmp_path,
        """
        for s in sigmas[:2]:
            d = model(x, s) - x  # <- first
            ahead = x + 0.1 * d
            x = x + 0.05 * (d + model(ahead, s - 1.0) - ahead)  # <- second
        """,
    )
    calls = traced.report.calls
    assert [(c.step, c.call, c.name) for c in calls] == [
        (0, 0, "Denoiser"),
        (0, 1, "Denoiser"),
        (1, 0, "Denoiser"),
        (1, 1, "Denoiser"),
    ]
    assert [c.sigma for c in calls] == [4.0, 3.0, 3.0, 2.0]
    for call, mark in zip(calls, ("first", "second") * 2, strict=True):
        assert traced.is_at(call.at, mark)
        assert (call.entered, dict(call.left)) == ("yes", {"z0": "yes"})
    assert the_leaf(traced.report).layers.complete == Complete(
        "yes", "all 4 denoiser calls carry gradient", 4, 4
    )


def test_a_part_that_is_lost_inside_live_calls_is_told(tmp_path: Path) -> None:
    traced = run(
        tmp_path,
        """
        dead = HalfDead()
        for s in sigmas:
            x = x + 0.1 * (dead(x) - x)
        """,
    )
    report = traced.report
    assert rows(report) == [YES] * 4
    sentence = "4 of 4 denoiser calls carry gradient, and 4 of 4 lose a part of it inside"
    assert the_leaf(report).layers.complete == Complete("no", sentence, 4, 4)
    assert report.verdict == "partial"
    assert traced.is_at(report.findings[0].at, "inside")
    assert report.headline.startswith(f"partial: {sentence}; GP101 ")


def test_a_way_that_is_cut_outside_every_call_is_no_fault_of_the_calls(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        "for s in sigmas: x = x + 0.1 * (model(x) - x)\nx = x + 0.1 * (x * z0).detach()",
    ).report
    assert rows(report) == [YES] * 4
    complete = the_leaf(report).layers.complete
    assert complete == Complete("no", "one way from z0 to loss carries no gradient", 4, 4)
    assert report.headline.startswith("partial: gradient reaches z0, but not along every way; ")


def test_a_regulariser_does_not_hide_a_dead_sampler(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        "for s in sigmas: x = x + 0.1 * (model(x) - x)",
        "\nloss = x.detach().pow(2).sum() + z0.pow(2).mean()\nloss.backward()",
    ).report
    assert rows(report) == [NO] * 4
    assert the_leaf(report).layers.complete.calls_live == 0
    assert report.headline.startswith(
        "partial: z0 has a gradient, and none of it went through the denoiser: 0 of 4 calls; GP101"
    )


def test_where_no_gradient_arrives_at_all_each_call_still_has_its_row(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        "for n, s in enumerate(sigmas): x = model(x.detach() if n == 2 else x)",
    ).report
    assert report.verdict == "broken"
    # The weights of the calls after the cut have their gradient.
    assert rows(report) == [NO, NO, ("yes", "no"), ("yes", "no")]
    assert the_leaf(report).layers.complete == Complete(
        "no", "no gradient arrives through any denoiser call", 0, 4
    )


def test_a_leaf_that_joins_later_has_no_answer_for_calls_before_it(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
        noise = torch.full((3,), 0.1, requires_grad=True)
        for n, s in enumerate(sigmas):
            x = x + 0.1 * (model(x) - x)
            if n == 1:
                x = x + noise
        """,
    ).report
    assert [dict(call.left) for call in report.calls] == [
        {"z0": "yes"},
        {"z0": "yes"},
        {"z0": "yes", "noise": "yes"},
        {"z0": "yes", "noise": "yes"},
    ]
    counted = {leaf.name: leaf.layers.complete.calls for leaf in report.leaves}
    assert counted["z0"] == 4
    assert counted["noise"] == 2


def test_calls_that_do_not_feed_the_root_are_not_counted(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
        for s in sigmas:
            shown = model(x).mean()
            with torch.no_grad():
                logged = model(x).abs().max().item()
            x = x + 0.1 * (model(x) - x)
        """,
    ).report
    assert (report.verdict, rows(report)) == ("flows", [YES] * 4)


def test_a_call_that_a_straight_through_estimator_passes_by_is_not_counted(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
        for s in sigmas:
            x = x + 0.1 * (model(x) - x)
        x = x + (model(x) - x).detach()
        """,
    ).report
    assert [f.severity for f in report.findings] == ["note"]
    assert (report.verdict, rows(report)) == ("flows", [YES] * 4)


def test_rejected_attempts_of_an_adaptive_solver_are_not_counted(tmp_path: Path) -> None:
    pytest.importorskip("torchdiffeq")
    traced = run(
        tmp_path,
        """
        from torchdiffeq import odeint


        class Slope(torch.nn.Module):
            calls, accepted, rejected = 0, 0, 0

            def forward(self, t, x):
                self.calls += 1
                return -x * (8.0 * t).cos().pow(3) * 20.0

            def callback_accept_step(self, t, y, dt):
                self.accepted += 1

            def callback_reject_step(self, t, y, dt):
                self.rejected += 1


        slope = Slope()
        x = odeint(slope, x, torch.tensor([0.0, 1.0]), rtol=1e-4, atol=1e-5, method="dopri5")[-1]
        """,
    )
    slope = traced.names["slope"]
    assert slope.rejected > 0
    report = traced.report
    assert report.verdict == "flows"
    # dopri5 takes six new slopes an attempt. Two come before: the first of all, and one for the
    # length of the first step, which is differentiated.
    assert rows(report) == [YES] * (2 + 6 * slope.accepted)
    assert slope.calls == 2 + 6 * (slope.accepted + slope.rejected)


def test_an_optimisation_has_the_rows_of_one_iteration(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
        optimizer = torch.optim.SGD([z0], 0.01)
        for iteration in range(3):
            x = z0 * 4.0
            for s in sigmas:
                x = x + 0.1 * (model(x).detach() - x)
            x.pow(2).sum().backward()
            optimizer.step()
        """,
        "",
    ).report
    assert [(c.step, c.call) for c in report.calls] == [(0, 0), (1, 0), (2, 0), (3, 0)]
    assert rows(report) == [NO] * 4


def test_a_backward_that_torch_stopped_proves_no_call_live(tmp_path: Path) -> None:
    report = run(
        tmp_path,
        """
        for s in sigmas:
            x = x + 0.1 * (model(x) - x)
        squared = x.pow(2)
        x.mul_(2.0)
        """,
        "loss = squared.sum() + model(x).detach().sum()\nloss.backward()\n",
    ).report
    assert report.verdict == "error"
    assert rows(report)[:4] == [("unknown", "unknown")] * 4


def test_a_named_root_without_a_backward_is_told_without_a_gradient(tmp_path: Path) -> None:
    text = PREAMBLE + "for s in sigmas: x = x + 0.1 * (model(x).detach() - x)\nloss = x.sum()\n"
    report = trace(tmp_path, text, root="loss", leaves=["z0"]).report
    assert rows(report) == [NO] * 4
    assert the_leaf(report).layers.complete.sentence == (
        "no gradient of loss goes through the denoiser to z0: 0 of 4 calls"
    )


def test_a_program_without_a_denoiser_has_no_rows(tmp_path: Path) -> None:
    report = run(tmp_path, "for s in sigmas: x = 0.9 * x.sin()").report
    assert report.calls == ()
    assert the_leaf(report).layers.complete == Complete(
        "yes", "every way that was seen carries gradient"
    )


@pytest.mark.parametrize("detached", [False, True])
def test_of_a_call_taken_as_one_op_it_is_not_known_whether_gradient_left(
    detached: bool, tmp_path: Path
) -> None:
    """The weights require grad, so a result that does too proves nothing of the state."""
    path = tmp_path / "program.py"
    taken = "x.detach()" if detached else "x"
    text = PREAMBLE.replace("* x.tanh()", f"* {taken}.tanh()")
    path.write_text(text + "for s in sigmas: x = x + 0.1 * (model(x) - x)\n" + END)
    with Probe(ops="sampler") as probe:
        exec(compile(path.read_text(), str(path), "exec"), {"__name__": "__main__"})
    first = ("yes", "no") if detached else YES  # the first call of a module is recorded whole
    assert rows(probe.report()) == [first] + [("yes", "unknown")] * 3
