"""What torch raises for autograd's reasons: the program sees the same, the report says why."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from gradprobe.diagnose.refusals import REFUSALS, refusal_of
from tests.traced import trace

CHECKPOINT = "torch.utils.checkpoint"
FUNCTION = """
class Scale(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x * 2
    @staticmethod
    def backward(ctx, g):{mark}
        {body}
"""


def function(body: str, mark: str = "") -> str:
    return FUNCTION.format(body=body, mark=mark)


@dataclass(frozen=True)
class Case:
    """A program past `z0 = ...`, a piece of torch's message, and the rule that explains it."""

    text: str
    said: str
    code: str
    verdict: str = "error"
    leaf: str = "z0"


CASES = {
    "no grad_fn": Case(
        "loss = (z0.detach() * 2).sum()  # <- at\nloss.backward()",
        *("does not require grad and does not have a grad_fn", "GP101", "broken"),
    ),
    "not asked for": Case(
        "w = torch.ones(4)  # <- at\ntorch.autograd.grad((z0 * w).sum(), w)",
        *("One of the differentiated Tensors does not require grad", "GP108", "broken", "w"),
    ),
    "not asked for, computed": Case(
        "x = z0.detach() * 2  # <- at\ntorch.autograd.grad((z0 * x).sum(), x)",
        *("One of the differentiated Tensors does not require grad", "GP108", "broken", "x"),
    ),
    "not used": Case(
        "w = torch.ones(4, requires_grad=True)  # <- at\ntorch.autograd.grad(z0.sum(), w)",
        *("appears to not have been used in the graph", "GP109", "broken", "w"),
    ),
    "freed": Case(
        "loss = z0.exp().sum()\nloss.backward()\nloss.backward()  # <- at",
        *("Trying to backward through the graph a second time", "GP203"),
    ),
    "freed, in a Function": Case(
        """
class Keep(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x * 2
    @staticmethod
    def backward(ctx, g):
        (x,) = ctx.saved_tensors
        return g * 2
loss = Keep.apply(z0).sum()
loss.backward()
loss.backward()  # <- at""",
        *("Trying to backward through the graph a second time", "GP203"),
    ),
    "written in place": Case(
        "h = z0.exp()\nh += 1  # <- at\nh.sum().backward()",
        *("modified by an inplace operation", "GP201"),
    ),
    "leaf": Case("z0 *= 2  # <- at", "a leaf Variable that requires grad", "GP204"),
    "view of a leaf": Case(
        "z0[0] = 2.0  # <- at", "a view of a leaf Variable that requires grad", "GP204"
    ),
    "inference": Case(
        "with torch.inference_mode():\n    s = torch.ones(4)\nloss = (z0 * s).sum()  # <- at",
        *("Inference tensors cannot be saved for backward", "GP205"),
    ),
    "inference, in place": Case(
        "with torch.inference_mode():\n    s = torch.ones(4)\ns += z0  # <- at",
        *("Inplace update to inference tensor", "GP205"),
    ),
    "shape of the gradient": Case(
        "x = z0 * 2\nx.backward(torch.ones(3))  # <- at", "Mismatch in shape: grad_output", "GP114"
    ),
    "no scalar": Case(
        "x = z0 * 2\nx.backward()  # <- at",
        *("grad can be implicitly created only for scalar outputs", "GP114"),
    ),
    "no scalar, after a backward": Case(
        "x = z0 * 2\nloss = x.sum()\nloss.backward()\nx.backward()  # <- at",
        *("grad can be implicitly created only for scalar outputs", "GP114"),
    ),
    "no scalar, by grad": Case(
        "x = z0 * 2\ntorch.autograd.grad(x, z0)  # <- at",
        *("grad can be implicitly created only for scalar outputs", "GP114"),
    ),
    "complex": Case(
        "x = (z0 * 2j).sum()\nx.backward()  # <- at",
        "grad can be implicitly created only for real scalar outputs",
        "GP114",
    ),
    "too many gradients": Case(
        function("return g, g", "  # <- at") + "Scale.apply(z0).sum().backward()",
        *("returned an incorrect number of gradients", "GP114"),
    ),
    "a gradient of another shape": Case(
        function("return g[:2]", "  # <- at") + "Scale.apply(z0).sum().backward()",
        *("returned an invalid gradient at index 0", "GP114"),
    ),
    "no tensor": Case(
        function("return 3.0") + "Scale.apply(z0).sum().backward()  # <- at",
        *("expected Variable or None", "GP114"),
    ),
    "once differentiable": Case(
        "from torch.autograd.function import once_differentiable\n"
        + function("return g * 2").replace(
            "    @staticmethod\n    def backward",
            "    @staticmethod\n    @once_differentiable\n    def backward",
        )
        + "(g,) = torch.autograd.grad(Scale.apply(z0).exp().sum(), z0, create_graph=True)\n"
        "g.sum().backward()  # <- at",
        *("marked with @once_differentiable", "GP114"),
    ),
    "a piece of a split": Case(
        "x = z0 * 1\na, b = x.split(2)\na *= 2  # <- at",
        *("is the output of a function that returns multiple views", "GP114"),
    ),
    "a piece of an unbind": Case(
        "x = z0 * 1\na = x.unbind()[0]\na *= 2  # <- at",
        *("is the output of a function that returns multiple views", "GP114"),
    ),
    "a view from no_grad": Case(
        "x = z0 * 1\nwith torch.no_grad():\n    v = x[:2]\nv *= 2",
        *("A view was created in no_grad mode", "GP102"),
    ),
    "detach_ of a view": Case(
        "x = z0 * 1\nv = x[:2]\nv.detach_()  # <- at", "Can't detach views in-place", "GP114"
    ),
    "the flag of a result": Case(
        "x = z0 * 1\nx.requires_grad_(False)  # <- at",
        *("you can only change requires_grad flags of leaf variables", "GP114"),
    ),
    "the flag of a result, set": Case(
        "x = z0 * 1\nx.requires_grad = False  # <- at",
        *("you can only change requires_grad flags of leaf variables", "GP114"),
    ),
    "integers": Case(
        "x = torch.arange(4)\nx.requires_grad_()  # <- at", "can require gradients", "GP114"
    ),
    "numpy": Case("x = z0 * 1\nx.numpy()  # <- at", "Can't call numpy() on Tensor", "GP104"),
    "deepcopy": Case(
        "import copy\nx = z0 * 1\ncopy.deepcopy(x)  # <- at",
        *("support the deepcopy protocol", "GP114"),
    ),
    "an optimizer": Case(
        "x = z0.to(torch.float64)  # <- at\ntorch.optim.Adam([x])",
        *("can't optimize a non-leaf Tensor", "GP110"),
    ),
    "an optimizer, by group": Case(
        "x = z0 * 1  # <- at\noptimizer = torch.optim.SGD([z0], lr=1.0)\n"
        "optimizer.add_param_group({'params': x})",
        *("can't optimize a non-leaf Tensor", "GP110"),
    ),
    "a hook's result": Case(
        "z0.register_hook(lambda g: g[:2])\nz0.sum().backward()  # <- at",
        *("has changed the size of value", "GP114"),
    ),
    "a hook on a constant": Case(
        "x = z0.detach()  # <- at\nx.register_hook(lambda g: g)",
        *("cannot register a hook on a tensor that doesn't require", "GP101"),
    ),
    "a hook on no leaf": Case(
        "x = z0 * 1\nx.register_post_accumulate_grad_hook(lambda p: None)  # <- at",
        *("post accumulate grad hooks cannot be registered on non-leaf tensors", "GP114"),
    ),
    "retain_grad": Case(
        "x = z0.detach()  # <- at\nx.retain_grad()", "can't retain_grad on Tensor", "GP101"
    ),
    "out=": Case(
        "x = torch.empty(4)\ntorch.mul(z0, 2, out=x)  # <- at",
        *("functions with out=... arguments don't support automatic differentiation", "GP114"),
    ),
    "resize_": Case("z0.resize_(2)  # <- at", "cannot resize variables that require grad", "GP114"),
    "assigned .grad": Case(
        "z0.grad = torch.ones(3)  # <- at", "attempting to assign a gradient", "GP114"
    ),
    "reentrant": Case(
        "from torch.utils.checkpoint import checkpoint\n"
        "out = checkpoint(torch.exp, z0 * 1, use_reentrant=True)\n"
        "torch.autograd.grad(out.sum(), z0)  # <- at",
        *("torch.utils.checkpoint is incompatible with .grad()", "GP114"),
    ),
    "another recomputation": Case(
        """
from torch.utils.checkpoint import checkpoint
calls = []
def again(x):
    calls.append(1)
    return x.exp() if len(calls) == 1 else (x * 2)[:2].exp()
checkpoint(again, z0 * 1, use_reentrant=False).sum().backward()  # <- at""",
        *(f"{CHECKPOINT}: Recomputed values for the following tensors have different", "GP114"),
    ),
    "a shorter recomputation": Case(
        """
from torch.utils.checkpoint import checkpoint
calls = []
def again(x):
    calls.append(1)
    return x.exp().sin() if len(calls) == 1 else x.exp()
checkpoint(again, z0 * 1, use_reentrant=False).sum().backward()  # <- at""",
        *(f"{CHECKPOINT}: A different number of tensors was saved", "GP114"),
    ),
    "a hook's result of another dtype": Case(
        "z0.register_hook(lambda g: g.double())\nz0.sum().backward()  # <- at",
        *("has changed the type of value", "GP114"),
    ),
    "a view from inference mode": Case(
        "x = z0 * 1\nwith torch.inference_mode():\n    v = x[:2]\nv *= 2",
        *("A view was created in inference mode", "GP103"),
    ),
    "no derivative": Case(
        "x = torch.igamma(z0.abs() + 1, torch.ones(4)).sum()\nx.backward()  # <- at",
        *("the derivative for", "GP114"),
    ),
}


def plain(text: str) -> BaseException | None:
    """What the program raises alone."""
    torch.manual_seed(0)
    try:
        exec(compile(text, "alone", "exec"), {"__name__": "__main__", "torch": torch})
    except Exception as error:
        return error
    return None


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_exception_is_torchs_and_the_report_explains_it(case: Case, tmp_path: Path) -> None:
    text = f"z0 = torch.randn(4, requires_grad=True)\n{case.text}\n"
    alone = plain(text)
    run = trace(tmp_path, text)
    assert run.raised is not None
    assert (type(run.raised), run.raised.args, str(run.raised)) == (
        *(type(alone), alone.args if alone else None, str(alone)),
    )
    assert not getattr(run.raised, "__notes__", [])
    assert case.said in str(run.raised)
    first = run.first
    assert (first.code, first.severity, run.report.verdict) == (case.code, "error", case.verdict)
    assert first.leaf == case.leaf
    if "# <- at" in case.text:
        assert run.is_at(first.at, "at"), first.at
    refusal = refusal_of(str(run.raised))
    assert refusal is not None
    if case.code == "GP114":
        assert first.message.startswith(refusal.means)
        assert first.fix == refusal.fix
    assert len(run.report.findings) == 1


def test_every_refusal_with_words_of_its_own_was_provoked() -> None:
    provoked = {refusal_of(case.said) for case in CASES.values() if case.code == "GP114"}
    left = {r.said for r in REFUSALS if r.means and r not in provoked}
    assert left == {
        "A view was created in no_grad mode",  # a case above, where GP102 says it
        "A view was created in inference mode",  # and GP103
        "cannot register a hook on a tensor that doesn't require",  # GP101 says it
        "can't retain_grad on Tensor",  # GP101 says it
    }


def test_words_are_found_by_the_first_piece_that_fits() -> None:
    for refusal in REFUSALS:
        assert refusal_of(f"torch says: {refusal.said}, and more") is refusal
        assert bool(refusal.means) == bool(refusal.fix)
        assert re.fullmatch(r"[^A-Z].*[^.]|", refusal.means)


FOREIGN = {
    "a hook": "x = z0 * 2\nx.register_hook(lambda g: [].pop())\nx.sum().backward()  # <- at",
    "a hook, RuntimeError": """
def check(g):
    raise RuntimeError("not mine")
x = z0 * 2
x.register_hook(check)
x.sum().backward()  # <- at""",
    "an op of a Function's backward": function("return g @ torch.ones(3)")
    + "Scale.apply(z0).sum().backward()  # <- at",
}


@pytest.mark.parametrize("text", FOREIGN.values(), ids=FOREIGN)
def test_what_the_programs_own_code_raises_in_backward_is_no_finding(
    text: str, tmp_path: Path
) -> None:
    run = trace(tmp_path, f"z0 = torch.randn(4, requires_grad=True)\n{text}\n")
    assert run.raised is not None
    assert (run.report.verdict, run.report.findings) == ("no-root", ())
    assert f"{run.path.name}:{run.line('at')} was ended by" in run.report.headline


def test_an_exception_that_was_caught_before_a_backward_does_not_count(tmp_path: Path) -> None:
    run = trace(
        tmp_path,
        """
        import copy
        z0 = torch.randn(4, requires_grad=True)
        x = z0 * 2
        for attempt in (lambda: copy.deepcopy(x), lambda: torch.optim.SGD([x]), x.backward):
            try:
                attempt()
            except (RuntimeError, ValueError):
                pass
        x.sum().backward()
        """,
    )
    assert run.raised is None
    assert (run.report.verdict, run.report.findings) == ("flows", ())
