"""`Probe` and `tap`: what a program that uses gradprobe itself can rely on."""

from __future__ import annotations

import io
import re
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode, _len_torch_function_stack

import gradprobe
from gradprobe import Probe
from gradprobe.capture.build import build
from gradprobe.capture.gradient_stats import as_stats, statistics
from gradprobe.errors import UsageError
from gradprobe.records.report import Stage


def sampler(x: Tensor, hook: bool = False) -> tuple[Tensor, dict[tuple[str, int], Tensor]]:
    """Two taps a step; with `hook` also hooks put by hand, whose gradients are returned."""
    grads: dict[tuple[str, int], Tensor] = {}
    for step, sigma in enumerate((4.0, 2.0, 1.0)):
        denoised = gradprobe.tap("denoised", 0.7 * x + 0.1, step=step, sigma=sigma)
        before = x
        x = gradprobe.tap("state", before + 0.3 * (denoised - before).tanh(), step, sigma)
        if hook:
            for name, tensor in (("denoised", denoised), ("state", x)):
                tensor.register_hook(lambda g, key=(name, step): grads.update({key: g.clone()}))
    return x, grads


def leaf() -> Tensor:
    return torch.linspace(-1.0, 1.0, 8).view(2, 4).requires_grad_()


def taps(probe: gradprobe.Probe) -> list[Stage]:
    return [stage for stage in probe.records if stage.name in ("denoised", "state")]


def test_a_tap_gives_back_the_very_object() -> None:
    x, other = leaf(), object()
    assert gradprobe.tap("x", x) is x
    assert gradprobe.tap("other", other, step=3) is other
    with gradprobe.Probe():
        assert gradprobe.tap("x", x, step=1, sigma=0.5) is x
        assert gradprobe.tap("other", other) is other
        assert gradprobe.tap("none", None) is None
        assert gradprobe.tap("number", 1.5) == 1.5
    assert gradprobe.tap("x", x) is x


def test_taps_become_records_in_order() -> None:
    with gradprobe.Probe() as probe:
        z0 = leaf()
        loss = sampler(z0 * 4.0)[0].pow(2).mean()
        loss.backward()
    stages = taps(probe)
    assert [(s.name, s.step, s.sigma) for s in stages] == [
        (name, step, sigma)
        for step, sigma in enumerate((4.0, 2.0, 1.0))
        for name in ("denoised", "state")
    ]
    assert {s.shape for s in stages} == {(2, 4)}
    assert {s.dtype for s in stages} == {"float32"}
    assert all(s.requires_grad and s.connected == {"z0": "yes"} for s in stages)
    assert {s.grad_fn for s in stages} == {"AddBackward0"}
    assert all(s.at is not None and "gradprobe.tap(" in s.at.source for s in stages)
    names = [record.name for record in probe.records]
    assert (names[0], names[-1]) == ("z0", "loss")


def test_gradients_at_taps_are_those_of_hooks_put_by_hand() -> None:
    with gradprobe.Probe() as probe:
        z0 = leaf()
        x, grads = sampler(z0 * 4.0, hook=True)
        x.pow(2).mean().backward()
    plain = leaf()
    sampler(plain * 4.0)[0].pow(2).mean().backward()
    assert torch.equal(z0.grad, plain.grad)
    stages = taps(probe)
    assert len(stages) == len(grads) == 6
    for stage in stages:
        assert stage.step is not None
        assert stage.grad == as_stats(statistics(grads[stage.name, stage.step]))


def test_a_tap_that_gradient_does_not_reach_has_no_statistics() -> None:
    with gradprobe.Probe() as probe:
        z0 = leaf()
        gradprobe.tap("unused", z0 * 2.0)
        gradprobe.tap("constant", torch.ones(3))
        x = gradprobe.tap("detached", (z0 * 3.0).detach())
        (x + z0).sum().backward()
    found = {stage.name: stage for stage in probe.records}
    assert [found[name].grad for name in ("unused", "constant", "detached")] == [None] * 3
    assert found["unused"].connected == {"z0": "unknown"}
    assert found["detached"].connected == {"z0": "no"}
    assert found["constant"].requires_grad is False
    assert probe.report().verdict == "partial"


def test_a_stage_is_lost_after_a_cut() -> None:
    with gradprobe.Probe() as probe:
        z0 = leaf()
        x = gradprobe.tap("before", z0 * 2.0)
        x = gradprobe.tap("after", x.detach())
        with pytest.raises(RuntimeError):
            x.sum().backward()
    found = {stage.name: stage.connected["z0"] for stage in probe.records}
    assert (found["before"], found["after"]) == ("yes", "no")
    assert probe.report().verdict == "broken"


def test_a_report_can_be_had_inside_the_block() -> None:
    with gradprobe.Probe() as probe:
        assert probe.report().verdict == "no-root"
        z0 = leaf()
        (z0 * 2.0).sum().backward()
        early = probe.report()
        assert (early.verdict, len(early.findings)) == ("flows", 0)
        z0.grad = None
        (z0.detach() * 3.0 + z0).sum().backward()
        late = probe.report()
        assert late.counts.ops > early.counts.ops
        assert late.verdict == "partial"
    assert probe.report().verdict == "partial"


def test_a_report_after_the_block_is_one_object() -> None:
    with gradprobe.Probe() as probe:
        leaf().sum().backward()
    assert probe.report() is probe.report()
    assert probe.records is probe.report().stages


def test_a_report_can_be_had_after_an_exception() -> None:
    def failing() -> None:
        z0 = leaf()
        x = z0.detach() * 2.0
        loss = (x + 0.1 * z0).sum()
        loss.backward()
        raise ZeroDivisionError

    probe = gradprobe.Probe()
    with pytest.raises(ZeroDivisionError), probe:
        failing()
    report = probe.report()
    assert report.verdict == "partial"
    assert [f.code for f in report.findings] == ["GP101"]
    assert report.findings[0].at.source.strip() == "x = z0.detach() * 2.0"


def test_start_and_stop() -> None:
    probe = gradprobe.Probe()
    assert probe.start() is probe
    leaf().sum().backward()
    probe.stop()
    probe.stop()
    assert probe.report().verdict == "flows"


def test_a_probe_runs_once() -> None:
    probe = gradprobe.Probe()
    with probe:
        with pytest.raises(UsageError, match="a probe runs once: make a new one"):
            probe.start()
        leaf().sum().backward()
    probe.report()
    with pytest.raises(UsageError, match="a probe runs once: make a new one"), probe:
        pass


def test_a_stopped_probe_does_not_run_again_before_its_report_either() -> None:
    probe = gradprobe.Probe()
    with probe:
        leaf().sum().backward()
    with pytest.raises(UsageError, match="a probe runs once"):
        probe.start()
    probe.stop()


def test_a_probe_that_never_ran_has_an_empty_report() -> None:
    report = gradprobe.Probe().report()
    assert (report.verdict, report.leaves, report.counts.ops) == ("no-root", (), 0)


def test_the_command_goes_into_the_report() -> None:
    probe = gradprobe.Probe(command=["python", "run.py"])
    assert probe.report().environment.command == ("python", "run.py")
    assert probe.report().environment.torch == str(torch.__version__)


def nodes(dot: str) -> list[str]:
    """The labels of a DOT graph's nodes, without the addresses that name them."""
    return sorted(re.findall(r"^\t\d+ \[label=\"?(.*?)\"?(?: fillcolor.*)?\]$", dot, re.MULTILINE))


def test_raw_keeps_the_graph_as_torchviz_draws_it() -> None:
    from torchviz import make_dot

    def root() -> Tensor:
        z0 = leaf()
        return (z0.exp() @ torch.ones(4, 3) + z0.sum()).tanh().mean()

    with gradprobe.Probe(raw=True) as probe:
        root().backward()
    with gradprobe.Probe() as bare:
        root().backward()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = str(make_dot(root()).source)
    drawn = probe.report().autograd_dot
    assert drawn is not None
    assert nodes(drawn) == nodes(expected)
    assert len(nodes(drawn)) == 7  # exp, matmul, sum, add, tanh, mean, AccumulateGrad
    assert drawn.count("label=") == expected.count("label=") == 9  # leaf and root besides
    assert drawn.count("->") == expected.count("->")
    assert bare.report().autograd_dot is None


def test_a_stage_shows_nothing_of_being_watched() -> None:
    """A hook on the tensor itself would be seen, and torch warns of it when the tensor is saved."""
    model = torch.nn.Linear(4, 4)
    z0 = torch.randn(4, requires_grad=True)
    with gradprobe.Probe() as probe:
        x = gradprobe.tap("start_state", z0 * 5.0)
        for step in range(2):
            x = gradprobe.tap("denoised_output", model(x), step=step)
            assert not x._backward_hooks
            torch.save(x, io.BytesIO())
        x.sum().backward()
    marked = [s for s in probe.records if s.name in ("start_state", "denoised_output")]
    assert len(marked) == 3
    assert all(stage.grad is not None for stage in marked)


def test_what_is_asked_of_stages_goes_into_the_trace() -> None:
    for asked in ("auto", "declared", "none"):
        probe = gradprobe.Probe(find_stages=asked, denoiser="UNet")
        trace = build(probe._recorder)
        assert (trace.looks, trace.denoiser) == (asked, "UNet")
    with pytest.raises(UsageError, match="find_stages is 'all'; it is one of auto, declared, none"):
        gradprobe.Probe(find_stages="all")  # type: ignore[arg-type]


def test_without_stages_no_selector_is_looked_for() -> None:
    with gradprobe.Probe(stages=["a=absent.py:f:x"], find_stages="none") as probe:
        leaf().sum().backward()
    assert probe.report().unseen == ()
    with pytest.raises(UsageError, match="stage selector 'a' is not "):
        gradprobe.Probe(stages=["a"], find_stages="none")


def overwrite() -> None:
    z0 = torch.ones(4, requires_grad=True)
    h = z0.exp()
    h += 1
    h.sum().backward()


def test_an_exception_is_left_as_it_is_and_explained_on_demand() -> None:
    with (
        pytest.raises(RuntimeError, match="inplace operation") as caught,
        gradprobe.Probe() as probe,
    ):
        overwrite()
    assert not hasattr(caught.value, "__notes__")
    said = probe.explain().splitlines()
    assert said[0].startswith(f"gradprobe: GP201 saved-tensor-overwritten at {__file__}:")
    assert said[1].startswith("fix: ")


def test_an_exception_of_autograds_can_be_annotated() -> None:
    with (
        pytest.raises(RuntimeError, match="inplace operation") as plain,
        gradprobe.Probe(annotate=True) as probe,
    ):
        overwrite()
    assert plain.value.__notes__ == [probe.explain()]
    assert "GP201" not in str(plain.value)


def detach_and_raise() -> None:
    (torch.ones(4, requires_grad=True).detach() * 2).sum()
    raise RuntimeError("not torch's")


def raise_in_a_hook() -> None:
    def check(g: Tensor) -> None:
        raise RuntimeError("not torch's")

    x = torch.ones(4, requires_grad=True) * 2
    x.register_hook(check)
    x.sum().backward()


@pytest.mark.parametrize("program", [detach_and_raise, raise_in_a_hook])
def test_another_exception_is_not_annotated(program: Callable[[], None]) -> None:
    with (
        pytest.raises(RuntimeError, match="not torch's") as caught,
        gradprobe.Probe(annotate=True),
    ):
        program()
    assert not hasattr(caught.value, "__notes__")


def test_nothing_is_explained_where_gradient_flows() -> None:
    with gradprobe.Probe() as probe:
        torch.ones(4, requires_grad=True).exp().sum().backward()
    assert probe.explain() == ""


def test_a_probe_that_gives_way_is_stopped_by_the_next_one() -> None:
    outer = Probe(gives_way=True).start()
    z0 = torch.ones(2, requires_grad=True)
    (2.0 * z0).sum().backward()
    with Probe() as inner:
        (3.0 * z0).sum().backward()
    assert _len_torch_function_stack() == 0
    outer.stop()  # harmless
    assert len(outer.report().passes) == len(inner.report().passes) == 1
    with Probe(), pytest.raises(UsageError, match="already active"):
        Probe(gives_way=True).start()


def test_a_mode_entered_after_the_probe_stays_when_the_probe_stops() -> None:
    class Own(TorchFunctionMode):
        calls = 0

        def __torch_function__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
            Own.calls += 1
            return func(*args, **(kwargs or {}))

    outer = Probe(gives_way=True).start()
    with Own():
        with Probe():
            pass
        before = Own.calls
        torch.ones(1) + 1
        assert Own.calls > before
        assert _len_torch_function_stack() == 1
    outer.stop()
    assert _len_torch_function_stack() == 0


def test_names_given_at_the_stop_are_leaves() -> None:
    def made() -> torch.Tensor:
        return torch.ones(2, requires_grad=True)

    probe = Probe(leaves=["noise"]).start()
    held = [made()]
    (2.0 * held[0]).sum().backward()
    probe.stop({"noise": held[0]})
    assert [(leaf.name, leaf.verdict) for leaf in probe.report().leaves] == [("noise", "flows")]
