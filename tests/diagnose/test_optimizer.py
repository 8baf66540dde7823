"""GP401 to GP404: what becomes of a gradient that arrived, by optimisers and by hand."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path
from typing import Any

import pytest
import torch

from tests.traced import Traced, trace

HEAD = """
    import torch
    from torch import nn

    def loss_of(z):
        return (0.7 * z + 0.1).pow(2).mean()
"""

# By name: the code, certainty, severity, and the program; its guilty line is marked.
BREAKS = {
    "a copy of what is sampled from": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0.detach().clone().requires_grad_()])  # <- GP401
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "set back through .data": """
        z0 = torch.randn(4, requires_grad=True)
        start = z0.detach().clone()
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            z0.data.copy_(start)  # <- GP403
            loss_of(z0).backward()
            optimizer.step()
    """,
    "a new draw after the optimizer": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)  # <- GP401
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "held before it required grad": """
        z0 = torch.randn(4)
        optimizer = torch.optim.SGD([z0], lr=0.1)  # <- GP401
        z0 = z0.double().requires_grad_()
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "made anew in each turn, held as it was at first": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)  # <- GP401
        for _ in range(3):
            z0 = z0.detach().requires_grad_()
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "beside a tensor that is trained": """
        z0 = torch.randn(4, requires_grad=True)
        shift = torch.zeros(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0, shift], lr=0.1)  # <- GP401
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0 + shift).backward()
            optimizer.step()
    """,
    "a frozen model's parameters": """
        model = nn.Linear(4, 4).requires_grad_(False)
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)  # <- GP401
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model(z0)).backward()
            optimizer.step()
    """,
    "made inside a class": """
        class Optimise(torch.optim.SGD):
            def __init__(self, tensors):
                super().__init__(tensors, lr=0.1)

        z0 = torch.randn(4, requires_grad=True)
        optimizer = Optimise([z0])  # <- GP401
        z0 = z0.detach().double().requires_grad_()
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "LBFGS over the tensor of before": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.LBFGS([z0], max_iter=2)  # <- GP401
        z0 = z0.detach().double().requires_grad_()
        def closure():
            optimizer.zero_grad()
            loss = loss_of(z0)
            loss.backward()
            return loss
        for _ in range(3):
            optimizer.step(closure)
    """,
    "zero_grad, step, backward": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            loss = loss_of(z0)
            optimizer.zero_grad()
            optimizer.step()  # <- GP402
            loss.backward()
    """,
    "step, backward, zero_grad": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1, momentum=0.9)
        for _ in range(3):
            loss = loss_of(z0)
            optimizer.step()  # <- GP402
            loss.backward()
            optimizer.zero_grad()
    """,
    "filled with zeros between backward and step": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            loss_of(z0).backward()
            optimizer.zero_grad(set_to_none=False)  # <- GP402
            optimizer.step()
    """,
    "zeroed by hand between backward and step": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            loss_of(z0).backward()
            z0.grad.zero_()  # <- GP402
            optimizer.step()
    """,
    "set to None between backward and step": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            loss_of(z0).backward()
            z0.grad = None  # <- GP402
            optimizer.step()
    """,
    "deleted between backward and step": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            loss_of(z0).backward()
            del z0.grad  # <- GP402
            optimizer.step()
    """,
    "once is enough where a gradient was thrown away": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        loss_of(z0).backward()
        print(z0.grad.norm())
        optimizer.zero_grad()  # <- GP402
        optimizer.step()
    """,
    "nn.Parameter of the same noise in each turn": """
        noise = torch.randn(4)
        for _ in range(3):
            z0 = nn.Parameter(noise.detach().clone())  # <- GP403
            optimizer = torch.optim.Adam([z0], lr=0.1)
            loss_of(z0).backward()
            optimizer.step()
    """,
    "made again by a function, into the same optimizer": """
        noise = torch.randn(4)
        def fresh():
            return noise.clone()
        optimizer = None
        for _ in range(3):
            z0 = fresh().requires_grad_()  # <- GP403
            if optimizer is None:
                optimizer = torch.optim.Adam([z0], lr=0.1)
            optimizer.param_groups[0]["params"] = [z0]
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "overwritten in each turn": """
        noise = torch.randn(4)
        z0 = torch.zeros(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            with torch.no_grad():
                z0.copy_(noise)  # <- GP403
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "overwritten through .data in each turn": """
        noise = torch.randn(4)
        z0 = noise.clone().requires_grad_()
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
            z0.data = noise.clone()  # <- GP403
    """,
    "computed once before the loop": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        start = z0 * 80.0  # <- GP403
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(start).backward(retain_graph=True)
            optimizer.step()
        print(z0.detach().norm())
    """,
    "the loss itself computed once": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)
        loss = (
            z0 * 0.5  # <- GP403
        ).sum()
        for _ in range(3):
            optimizer.zero_grad()
            loss.backward(retain_graph=True)
            optimizer.step()
    """,
}

MEANT_PERHAPS = {
    "a model is trained, and the kept leaf's gradient is not used": """
        model = nn.Linear(4, 4)
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)  # <- GP401
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model(z0)).backward()
            optimizer.step()
    """,
    "a fresh draw in each turn": """
        for _ in range(3):
            z0 = torch.randn(4, requires_grad=True)  # <- GP403
            optimizer = torch.optim.Adam([z0], lr=0.1)
            loss_of(z0).backward()
            optimizer.step()
    """,
}

ONE_STEP = """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        loss = loss_of(z0)
        optimizer.step()  # <- GP402
        loss.backward()
"""

NOTED = {
    "no zero_grad": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            loss_of(z0).backward()  # <- GP404
            optimizer.step()
    """,
    "an update by hand that does not clear": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            loss_of(z0).backward()  # <- GP404
            with torch.no_grad():
                z0 -= 0.1 * z0.grad
    """,
    "a closure that does not clear": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.LBFGS([z0], max_iter=3)
        def closure():
            loss = loss_of(z0)
            loss.backward()  # <- GP404
            return loss
        optimizer.step(closure)
    """,
    "another optimizer is cleared": """
        z0 = torch.randn(4, requires_grad=True)
        model = nn.Linear(4, 4)
        ours = torch.optim.Adam([z0], lr=0.1)
        theirs = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            theirs.zero_grad()
            loss_of(model(z0)).backward()  # <- GP404
            ours.step()
            theirs.step()
    """,
}

HEALTHY = {
    "Adam": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            torch.nn.utils.clip_grad_norm_([z0], 1.0)
            optimizer.step()
    """,
    "SGD with momentum, filled with zeros": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1, momentum=0.9, foreach=True)
        for _ in range(3):
            optimizer.zero_grad(set_to_none=False)
            loss_of(z0).backward()
            optimizer.step()
    """,
    "LBFGS": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.LBFGS([z0], max_iter=4, line_search_fn="strong_wolfe")
        def closure():
            optimizer.zero_grad()
            loss = loss_of(z0)
            loss.backward()
            return loss
        for _ in range(3):
            optimizer.step(closure)
    """,
    "Adam with a closure": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        def closure():
            optimizer.zero_grad()
            loss = loss_of(z0)
            loss.backward()
            return loss
        for _ in range(3):
            optimizer.step(closure)
    """,
    "step, zero_grad, backward": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(4):
            optimizer.step()
            optimizer.zero_grad()
            loss_of(z0).backward()
    """,
    "accumulation over four micro-batches": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for turn in range(8):
            (loss_of(z0 * (1 + 0.1 * turn)) / 4).backward()
            if turn % 4 == 3:
                optimizer.step()
                optimizer.zero_grad()
    """,
    "accumulation without an optimizer": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            loss_of(z0).backward()
    """,
    "a discriminator with an optimizer of its own": """
        model = nn.Linear(4, 1)
        real = torch.randn(4)
        z0 = torch.randn(4, requires_grad=True)
        of_z0 = torch.optim.Adam([z0], lr=0.1)
        of_model = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            of_model.zero_grad()
            (model(z0.detach()) - model(real)).mean().backward()
            of_model.step()
            of_z0.zero_grad()
            (-model(z0).mean()).backward()
            of_z0.step()
    """,
    "a gradient penalty on interpolated data": """
        model = nn.Linear(4, 1)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            z0 = torch.randn(4, requires_grad=True)
            score = model(z0).pow(2).sum()
            (slope,) = torch.autograd.grad(score, z0, create_graph=True)
            optimizer.zero_grad()
            (score + (slope.norm() - 1) ** 2).backward()
            optimizer.step()
    """,
    "data that requires grad, new in each turn": """
        model = nn.Linear(4, 4)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(4):
            z0 = torch.randn(4).requires_grad_()
            optimizer.zero_grad()
            loss_of(model(z0)).backward()
            optimizer.step()
    """,
    "an average of z0 over time": """
        z0 = torch.randn(4, requires_grad=True)
        average = z0.detach().clone()
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
            average.lerp_(z0.detach(), 0.1)
    """,
    "a gradient scaler": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        scaler = torch.amp.GradScaler("cpu")
        for _ in range(3):
            optimizer.zero_grad()
            scaler.scale(loss_of(z0)).backward()
            scaler.unscale_(optimizer)
            torch.nn.utils.clip_grad_norm_([z0], 1.0)
            scaler.step(optimizer)
            scaler.update()
    """,
    "a gradient scaler that skips the first steps": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)
        scaler = torch.amp.GradScaler("cpu", init_scale=2.0**126)
        for _ in range(4):
            optimizer.zero_grad()
            loss = (80.0 * z0).pow(2).sum()
            scaler.scale(loss * 1e-4).backward()
            scaler.step(optimizer)
            scaler.update(new_scale=1.0)
    """,
    "an update through .data": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            loss_of(z0).backward()
            z0.data -= 0.1 * z0.grad
            z0.grad = None
    """,
    "an update under no_grad, zeroed": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            loss_of(z0).backward()
            with torch.no_grad():
                z0 -= 0.1 * z0.grad
                z0.grad.zero_()
    """,
    "an update under no_grad, zeroed through .data": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            loss_of(z0).backward()
            with torch.no_grad():
                z0 -= 0.1 * z0.grad
            z0.grad.data.zero_()
    """,
    "a new leaf from the gradient of the old one": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            loss_of(z0).backward()
            z0 = (z0 - 0.1 * z0.grad).detach().requires_grad_()
    """,
    "torch.autograd.grad without an optimizer": """
        z0 = torch.randn(4, requires_grad=True)
        for _ in range(3):
            (slope,) = torch.autograd.grad(loss_of(z0), z0)
            z0 = (z0 - 0.1 * slope).detach().requires_grad_()
    """,
    "a gradient that is given to the optimizer by hand": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (z0.grad,) = torch.autograd.grad(loss_of(z0), z0)
            optimizer.step()
    """,
    "added as a group of its own": """
        scale = torch.ones(4, requires_grad=True)
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([{"params": [scale], "lr": 0.01}], lr=0.1)
        optimizer.add_param_group({"params": [z0]})
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(scale * z0).backward()
            optimizer.step()
    """,
    "added later": """
        scale = torch.ones(4, requires_grad=True)
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([scale], lr=0.1)
        for turn in range(4):
            if turn == 2:
                optimizer.add_param_group({"params": [z0]})
            optimizer.zero_grad(set_to_none=True)
            z0.grad = None
            loss_of(scale * z0).backward()
            optimizer.step()
    """,
    "a model is tuned, the leaf's gradient is printed": """
        model = nn.Linear(4, 4)
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(model(z0)).backward()
            print(z0.grad.norm())
            optimizer.step()
    """,
    "another leaf is trained": """
        z0 = torch.randn(4, requires_grad=True)
        scale = torch.ones(4, requires_grad=True)
        optimizer = torch.optim.Adam([scale], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(scale * z0).backward()
            optimizer.step()
    """,
    "kept as it is by a gradient of None": """
        z0 = torch.randn(4, requires_grad=True)
        scale = torch.ones(4, requires_grad=True)
        optimizer = torch.optim.Adam([scale, z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(scale * z0).backward()
            z0.grad = None
            optimizer.step()
    """,
    "a step to set up the state, and then the loop": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.Adam([z0], lr=0.1)
        optimizer.step()
        schedule = torch.optim.lr_scheduler.StepLR(optimizer, 1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
            schedule.step()
    """,
    "started again from fresh noise": """
        for _ in range(2):
            z0 = torch.randn(4, requires_grad=True)
            optimizer = torch.optim.Adam([z0], lr=0.1)
            for _ in range(3):
                optimizer.zero_grad()
                loss_of(z0).backward()
                optimizer.step()
    """,
    "one step for each image, whose result is kept": """
        noise, kept = torch.randn(4), []
        for _ in range(3):
            z0 = noise.clone().requires_grad_()
            optimizer = torch.optim.SGD([z0], lr=0.1)
            loss_of(z0).backward()
            optimizer.step()
            kept.append(0.7 * z0.detach())
    """,
    "projected after each step": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            optimizer.step()
            with torch.no_grad():
                z0.clamp_(-1, 1)
                z0.copy_(z0 / z0.norm())
    """,
    "stepped from a hook": """
        z0 = torch.randn(4, requires_grad=True)
        optimizer = torch.optim.SGD([z0], lr=0.1)
        def step(tensor):
            optimizer.step()
            optimizer.zero_grad()
        z0.register_post_accumulate_grad_hook(step)
        for _ in range(3):
            loss_of(z0).backward()
    """,
    "points at which a network's derivative is taken": """
        model = nn.Sequential(nn.Linear(1, 4), nn.Tanh(), nn.Linear(4, 1))
        z0 = torch.linspace(0, 1, 8)[:, None].requires_grad_()
        optimizer = torch.optim.Adam(model.parameters(), lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            (slope,) = torch.autograd.grad(model(z0).sum(), z0, create_graph=True)
            (slope - 1).pow(2).mean().backward()
            optimizer.step()
    """,
    "a copy in full precision": """
        z0 = torch.randn(4).bfloat16().requires_grad_()
        full = z0.detach().float().requires_grad_()
        optimizer = torch.optim.Adam([full], lr=0.1)
        for _ in range(3):
            loss_of(z0).backward()
            full.grad = z0.grad.float()
            optimizer.step()
            z0.grad = None
            with torch.no_grad():
                z0.copy_(full)
    """,
    "by turns with another leaf": """
        z0 = torch.randn(4, requires_grad=True)
        scale = torch.ones(4, requires_grad=True)
        turns = torch.optim.SGD([z0], lr=0.1), torch.optim.SGD([scale], lr=0.1)
        for turn in range(6):
            loss_of(scale * z0).backward()
            turns[turn % 2].step()
            turns[turn % 2].zero_grad()
    """,
    "sharpness-aware, with two optimizers over one leaf": """
        class Aware(torch.optim.Optimizer):
            def __init__(self, tensors):
                super().__init__(tensors, {})
                self.base = torch.optim.SGD(self.param_groups, lr=0.1)
            @torch.no_grad()
            def climb(self):
                self.saved = z0.detach().clone()
                z0.add_(0.05 * z0.grad / z0.grad.norm())
                self.zero_grad()
            @torch.no_grad()
            def step(self, closure=None):
                z0.copy_(self.saved)
                self.base.step()
                self.zero_grad()
        z0 = torch.randn(4, requires_grad=True)
        optimizer = Aware([z0])
        for _ in range(3):
            loss_of(z0).backward()
            optimizer.climb()
            loss_of(z0).backward()
            optimizer.step()
    """,
    "an optimizer that raised": """
        z0 = torch.randn(4, requires_grad=True)
        class Fails(torch.optim.SGD):
            def step(self, closure=None):
                raise ValueError("not now")
        broken, optimizer = Fails([z0], lr=0.1), torch.optim.SGD([z0], lr=0.1)
        for _ in range(3):
            optimizer.zero_grad()
            loss_of(z0).backward()
            try:
                broken.step()
            except ValueError:
                optimizer.step()
    """,
}


SETTINGS = [
    (torch.optim.Adam, {}),
    (torch.optim.Adam, {"foreach": True}),
    (torch.optim.Adam, {"fused": True}),
    (torch.optim.Adam, {"capturable": False, "amsgrad": True}),
    (torch.optim.AdamW, {"weight_decay": 0.1}),
    (torch.optim.SGD, {"lr": 0.1, "fused": True}),
    (torch.optim.SGD, {"lr": 0.1, "momentum": 0.9, "nesterov": True, "foreach": True}),
    *[
        (getattr(torch.optim, name), {})
        for name in (
            "Adadelta",
            "Adafactor",
            "Adagrad",
            "Adamax",
            "ASGD",
            "NAdam",
            "RAdam",
            "RMSprop",
            "Rprop",
        )
    ],
    (torch.optim.LBFGS, {"max_iter": 2}),
    (torch.optim.LBFGS, {"max_iter": 2, "line_search_fn": "strong_wolfe"}),
]
each_optimizer = pytest.mark.parametrize(
    ("kind", "options"), SETTINGS, ids=[f"{k.__name__}{o or ''}" for k, o in SETTINGS]
)


def run_of(folder: Path, text: str) -> Traced:
    run = trace(folder, textwrap.dedent(HEAD) + textwrap.dedent(text))
    assert run.raised is None
    return run


def code_in(text: str) -> str:
    return text.partition("# <- ")[2][:5]


@pytest.mark.parametrize("text", BREAKS.values(), ids=BREAKS)
def test_an_update_without_effect_is_an_error_at_its_line(text: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, text)
    code, first = code_in(text), run.first
    assert (first.code, first.severity, first.certainty, first.leaf) == (
        code,
        "error",
        "proven",
        "z0",
    )
    assert run.is_at(first.at, code), first.at
    assert [f.code for f in run.report.findings if f.severity != "note"] == [code]
    assert run.report.verdict == "flows"
    start = rf"flows: gradient of .* reaches z0, but to no effect; {code} "
    assert re.match(start, run.report.headline), run.report.headline


@pytest.mark.parametrize("text", MEANT_PERHAPS.values(), ids=MEANT_PERHAPS)
def test_what_is_often_meant_is_a_note(text: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, text)
    (only,) = run.report.findings
    assert (only.code, only.severity, only.certainty) == (code_in(text), "note", "suspected")
    assert run.is_at(only.at, code_in(text)), only.at
    assert run.report.headline.endswith("and no way to it is cut")


def test_one_step_that_may_be_meant_is_suspected(tmp_path: Path) -> None:
    run = run_of(tmp_path, ONE_STEP)
    (only,) = run.report.findings
    assert (only.code, only.severity, only.certainty) == ("GP402", "warning", "suspected")
    assert run.is_at(only.at, "GP402"), only.at
    assert "perhaps to no effect; GP402 " in run.report.headline
    assert run.report.verdict == "flows"


@pytest.mark.parametrize("text", NOTED.values(), ids=NOTED)
def test_gradients_that_pile_up_are_noted(text: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, text)
    assert [(f.code, f.severity) for f in run.report.findings] == [("GP404", "note")]
    assert run.is_at(run.first.at, "GP404"), run.first.at
    assert run.report.verdict == "flows"
    assert run.report.headline.endswith("and no way to it is cut")


@pytest.mark.parametrize("text", HEALTHY.values(), ids=HEALTHY)
def test_a_healthy_optimisation_has_no_finding(text: str, tmp_path: Path) -> None:
    run = run_of(tmp_path, text)
    assert run.report.findings == ()
    assert run.report.verdict == "flows"
    assert run.report.unseen == ()


def turns(folder: Path, kind: Any, options: dict[str, Any], *, again: bool) -> Traced:
    """Three turns of an optimisation; `again`: from the same start, by an optimiser of its own."""
    text = """
        def make():
            global z0, optimizer
            z0 = start.clone().requires_grad_()
            optimizer = kind([z0], **options)
        def closure():
            optimizer.zero_grad()
            loss = (0.7 * z0 + 0.1).pow(2).mean()
            loss.backward()
            return loss
        start = torch.randn(4, 4)
        make()
        for _ in range(3):
            if again:
                make()
            optimizer.step(closure)
    """
    run = trace(folder, text, given={"kind": kind, "options": options, "again": again})
    assert run.raised is None
    return run


@each_optimizer
def test_updates_of_every_optimizer_are_seen(
    kind: Any, options: dict[str, Any], tmp_path: Path
) -> None:
    assert turns(tmp_path, kind, options, again=False).report.findings == ()
    lost = turns(tmp_path, kind, options, again=True)
    assert [f.code for f in lost.report.findings] == ["GP403"]
