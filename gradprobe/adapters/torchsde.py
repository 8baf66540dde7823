"""torchsde: `sdeint`, and `sdeint_adjoint`, which solves inside a custom Function.

A step begins when the solver's current time moves, so that the attempts which adaptive stepping
rejects belong to the step that is accepted. Step noise is the increment of the Brownian motion over
a step. Drift and diffusion keep the library's words, `f` and `g_prod`: which of them a
denoiser is in, nobody can tell from here.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Selector

_SOLVER = "torchsde._core.base_solver"
_METHODS = "torchsde._core.methods.*"

# At what time a method evaluates a second time.
_SECOND = {"Heun": "t1", "EulerHeun": "t1", "Midpoint": "t_prime", "LogODEMidpoint": "t_prime"}


ADAPTER = Adapter(
    "torchsde",
    selectors=(
        Selector("start_state", _SOLVER, "BaseSDESolver.integrate", "y0", "ts[0]", "first of call"),
        Selector("step_input", _METHODS, "*step", "y0", "t0", "first of step"),
        Selector("step_noise", _METHODS, "*step", "I_k", "t0"),
        Selector("step_noise", _METHODS, "ReversibleHeun.step", "dW", "t0"),
        Selector("f", _METHODS, "*.step", "f", "t0"),
        Selector("g_prod", _METHODS, "*.step", "g_prod", "t0"),
        *(
            Selector("f_prime", _METHODS, f"{name}.step", "f_prime", t)
            for name, t in _SECOND.items()
        ),
        *(
            Selector("g_prod_prime", _METHODS, f"{name}.step", "g_prod_prime", t)
            for name, t in _SECOND.items()
        ),
        # Of an adaptive attempt, its second half.
        Selector("step_output", _METHODS, "*step", "y1", "t1", "last of step"),
        Selector("final_output", "torchsde._core.sdeint", "sdeint", "ys", None, "first of call"),
        Selector("final_output", "torchsde._core.adjoint", "sdeint_adjoint", "ys"),
    ),
    clocks=(Clock(_SOLVER, "BaseSDESolver.integrate", "curr_t", sigma="curr_t"),),
)
