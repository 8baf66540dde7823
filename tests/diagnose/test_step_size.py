"""Numbers that left torch to choose the next step of an adaptive solver."""

from __future__ import annotations

from pathlib import Path

from tests.adapters.absent import load_alone
from tests.traced import trace

sampling = load_alone("k_diffusion.sampling")

ADAPTIVE = """
import torch
from k_diffusion.sampling import sample_dpm_adaptive
torch.manual_seed(0)
net = torch.nn.Linear(8, 8).requires_grad_(False)
def model(x, sigma, **extra):
    return x + 0.1 * net(x).tanh() * sigma.view(-1, 1)
z0 = torch.randn(1, 8, requires_grad=True)
"""


def test_the_step_size_of_a_library_is_a_note(tmp_path: Path) -> None:
    text = ADAPTIVE + (
        "sample = sample_dpm_adaptive.__wrapped__\n"
        "x = sample(model, z0 * 10.0, 0.1, 10.0, disable=True)\n"
        "x.square().mean().backward()\n"
    )
    report = trace(tmp_path, text, follow_host=True).report
    assert report.verdict == "flows", report.headline
    (note,) = [f for f in report.findings if f.code == "GP104"]
    assert note.severity == "note"
    assert note.at.source.strip() == "inv_error = 1 / (float(error) + self.eps)"
    assert "step size" in note.message


def test_a_number_that_scales_the_state_is_no_step_size(tmp_path: Path) -> None:
    text = ADAPTIVE + (
        "x = z0 * 10.0\n"
        "x = x * (1.0 / (float(x.std()) + 1e-8))  # <- left\n"
        "x.square().mean().backward()\n"
    )
    run = trace(tmp_path, text, follow_host=True)
    assert (run.first.code, run.first.severity) == ("GP104", "warning")
    assert run.is_at(run.first.at, "left")


def test_a_step_size_of_the_program_s_own_is_told(tmp_path: Path) -> None:
    text = ADAPTIVE + (
        "x, t = z0 * 10.0, torch.tensor(1.0)\n"
        "error = float((model(x, t) - x).abs().max())  # <- left\n"
        "t = t * (0.5 / (error + 1e-8))\n"
        "x = x + t * (model(x, t) - x)\n"
        "x.square().mean().backward()\n"
    )
    run = trace(tmp_path, text, follow_host=True)
    assert (run.first.code, run.first.severity) == ("GP104", "warning")
    assert run.is_at(run.first.at, "left")
