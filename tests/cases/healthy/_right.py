"""What every program of this folder asserts of itself: its gradient is finite, nonzero and right.

Central differences in double precision, along the gradient and along two random directions.
"""

import contextlib

import torch


def check(
    loss_of,
    z0,
    gradient=None,
    *,
    at=None,
    modules=(),
    dtype=torch.float64,
    step=1e-4,
    tolerance=1e-3,
    recording=False,
):
    """Assert that `gradient` (`z0.grad`) is the slope of `loss_of` at the point `at` (z0 as it is).

    `modules` are moved to `dtype`. `recording`: the loss itself takes gradients inside.
    """
    gradient = z0.grad if gradient is None else gradient
    assert gradient is not None, "there is no gradient"
    gradient = gradient.detach().double()
    assert gradient.isfinite().all(), "the gradient is not finite"
    assert gradient.any(), "the gradient is zero"
    for module in modules:
        module.to(dtype)
    point = (z0 if at is None else at).detach().double()
    generator = torch.Generator().manual_seed(11)
    norm = gradient.norm()
    for random in (False, True, True):
        direction = gradient / norm
        if random:
            drawn = torch.randn(point.shape, generator=generator, dtype=torch.float64)
            direction = direction + drawn / drawn.norm()
            direction = direction / direction.norm()
        values = []
        for sign in (1, -1):
            with contextlib.nullcontext() if recording else torch.no_grad():
                values.append(float(loss_of((point + sign * step * direction).to(dtype))))
        measured = (values[0] - values[1]) / (2 * step)
        claimed = float((gradient * direction).sum())
        assert abs(measured - claimed) < tolerance * float(norm), (measured, claimed)
