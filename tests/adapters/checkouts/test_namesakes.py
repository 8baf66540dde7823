"""Files with a known name and other contents: nothing of them is labelled."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch

from gradprobe import Probe
from gradprobe.adapters import adapter_for, files
from tests.fresh_environment import ROOT
from tests.traced import trace

# Other functions: a program of its own, with the variables' names.
OTHER_FUNCTIONS = """
def generate(net, latents):
    x_next = latents * 8.0
    for i in range(3):
        x_hat = x_next
        t_cur = 3.0 - i
        denoised = net(x_hat)
        x_next = x_hat + 0.5 * (denoised - x_hat)
        img, noise, x, x_prev, sample = x_next, x_hat, x_hat, x_next, x_next
        trajectory = x_next
    return x_next

net = torch.nn.Linear(4, 4)
z0 = torch.ones(2, 4, requires_grad=True)
generate(net, z0).square().mean().backward()
"""

# The function's name alone, as of a program that samples text, or a class of another name.
OTHER_VARIABLES = """
def edm_sampler(net, tokens):
    state = tokens * 8.0
    for turn in range(3):
        state = state + 0.5 * (net(state) - state)
    return state

class DDIMScheduler:
    def p_sample_ddim(self, x, t):
        x_prev = 0.5 * x
        noise = 0.1 * x
        return x_prev + noise

class GaussianDiffusion:
    def p_sample(self, model, state, when):
        answer = model(state)
        return 0.5 * state + 0.5 * answer

class Sampler:
    def _forward_impl(self, x):
        return self.step(x)
    def step(self, x):
        def step_fn(i, state):
            return 0.5 * state
        return step_fn(0, x)

net = torch.nn.Linear(4, 4)
z0 = torch.ones(2, 4, requires_grad=True)
x = edm_sampler(net, z0)
x = DDIMScheduler().p_sample_ddim(x, 3)
x = GaussianDiffusion().p_sample(net, x, 2)
x = Sampler()._forward_impl(x)
x.square().mean().backward()
"""

KEYS = sorted(files)


@pytest.mark.parametrize("file", KEYS)
@pytest.mark.parametrize("text", [OTHER_FUNCTIONS, OTHER_VARIABLES])
def test_a_namesake_gets_no_label(tmp_path: Path, file: str, text: str) -> None:
    traced = trace(tmp_path, text, file=file)
    assert traced.raised is None
    assert {stage.source for stage in traced.report.stages} == {"discovered"}
    assert traced.report.unseen == ()


def test_the_files_that_are_known() -> None:
    assert KEYS == [
        "ddim.py",
        "ddpm.py",
        "diffusion_transformer_hybrid_image_policy.py",
        "diffusion_transformer_lowdim_policy.py",
        "diffusion_unet_hybrid_image_policy.py",
        "diffusion_unet_image_policy.py",
        "diffusion_unet_lowdim_policy.py",
        "diffusion_unet_video_policy.py",
        "gaussian_diffusion.py",
        "generate.py",
        "plms.py",
        "res_sampler.py",
    ]


@pytest.mark.parametrize("file", KEYS)
def test_every_place_is_known_by_its_file(file: str) -> None:
    """A table names no file but its own, and of the solvers that `res_sampler.py` calls."""
    adapter = adapter_for("somebodys_package", file)
    assert adapter is not None
    places = {part.place for part in (*adapter.selectors, *adapter.clocks)}
    assert file in places
    assert places <= {*KEYS, "runge_kutta.py"}
    assert {selector.source for selector in adapter.selectors} == {"adapted"}


def test_a_namesake_with_a_variable_of_another_function(tmp_path: Path) -> None:
    """`noise` and `x` of a method that is none of the sampler's."""
    text = """
    class GaussianDiffusion:
        def training_losses(self, model, x, t):
            noise = torch.ones_like(x)
            model_output = model(x + noise)
            return model_output

    z0 = torch.ones(2, 4, requires_grad=True)
    loss = GaussianDiffusion().training_losses(torch.nn.Linear(4, 4), z0, 1)
    loss.square().mean().backward()
    """
    traced = trace(tmp_path, text, file="gaussian_diffusion.py")
    assert traced.raised is None
    assert {stage.source for stage in traced.report.stages} == {"discovered"}


def test_our_own_selftest_is_a_namesake() -> None:
    """Its sampler is a `res_sampler.py` too, and marks its stages itself."""
    from gradprobe.selftest.res_sampler import SamplerConfig, sample

    with Probe() as probe:
        z0 = torch.ones(1, 3, 4, 4, requires_grad=True)
        sample(lambda x, sigma: 0.5 * x, z0, SamplerConfig()).output.mean().backward()
    assert "adapted" not in {stage.source for stage in probe.records}
    assert "start_state" in {s.name for s in probe.records if s.source == "declared"}


def test_tables_are_read_without_torch() -> None:
    program = (
        "import sys; from gradprobe.adapters import files; [files.load(f) for f in files];"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", program], cwd=ROOT).returncode == 0
