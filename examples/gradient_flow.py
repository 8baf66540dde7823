"""Does the gradient of a sampler's output reach the noise z0 that it started from?

    python examples/gradient_flow.py                           step noise off
    LEARNABLE_STEP_NOISE=1 python examples/gradient_flow.py    step noise derived from z0
    gradprobe trace --leaf z0 examples/gradient_flow.py        either one, diagnosed

BREAK=a ... BREAK=e loses the gradient in one of five ways: see docs/gradient-flow.md.
"""

import os
import sys

import torch

from gradprobe.selftest.res_sampler import SamplerConfig, sample

STEP_NOISE = os.environ.get("LEARNABLE_STEP_NOISE") == "1"
BREAK = os.environ.get("BREAK", "")

torch.manual_seed(0)
z0 = torch.randn(1, 2, 2, 8, 8)
target = torch.linspace(-1, 1, z0.numel()).view_as(z0)
if BREAK != "b":
    z0.requires_grad_()

config = SamplerConfig(  # 4 Euler steps from sigma 5 to 0.5, rho 3
    allow_grad=BREAK != "a",
    learn_noise=BREAK != "d",
    learn_start=BREAK != "e",  # e: z0 could enter by the step noise alone, which is fresh noise
    step_noise="fresh" if BREAK == "e" else "from_z0" if STEP_NOISE else "off",
    s_churn=1.0,  # with 0 the step noise would be multiplied by exactly 0
)
with torch.set_grad_enabled(BREAK != "c"):
    result = sample(lambda x, sigma: 0.7 * x + 0.1, z0, config)
    loss = torch.nn.functional.mse_loss(result.output, target)
print(f"1. forward: shape {tuple(result.output.shape)}, {result.output.requires_grad = }")

anchor = result.anchor  # the z0 that entered the sampler, None if none did
print(f"2. z0 anchor: {'not set' if anchor is None else f'set, {anchor.requires_grad = }'}")

try:
    (-loss).backward()  # ascent
    print(f"3. loss and backward: loss {loss.item():.6f}")
except RuntimeError as error:
    print(f"3. backward failed: {error}")
if z0.grad is None or not z0.grad.any():
    print("4. FAILED: no gradient at z0")
    sys.exit(1)
size = z0.grad.abs()
print(f"4. |z0.grad|: mean {size.mean():.3e}, max {size.max():.3e}, min {size.min():.3e}")

before = z0.detach().clone()
torch.optim.Adam([z0], lr=0.1).step()
print(f"5. Adam moved z0 by {(z0.detach() - before).abs().mean():.3e} (mean absolute difference)")
print("PASSED: the gradient reaches z0.")
