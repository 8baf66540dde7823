"""torchdiffeq: `odeint`, and `odeint_adjoint`, which runs it inside a custom Function.

A step is one of the grid of a fixed-grid solver, or an accepted one of an adaptive solver, with the
attempts rejected before it and, in the first, what it costs to choose a step size. The calls
of the function pass through torchdiffeq's own module `_PerturbFunc`, so that it is the denoiser of
plain functions too.

Times are the solver's: torchdiffeq negates them all where the asked times descend.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Selector

_FIXED = "torchdiffeq._impl.solvers"
_ADAPTIVE = "torchdiffeq._impl.rk_common"
_SOLVER = "RKAdaptiveStepsizeODESolver"


ADAPTER = Adapter(
    "torchdiffeq",
    selectors=(
        Selector(
            "start_state", _FIXED, "FixedGridODESolver.integrate", "y0", "t[0]", "first of call"
        ),
        Selector("step_input", "torchdiffeq._impl.fixed_*", "*._step_func", "y0", "t0"),
        Selector("step_output", _FIXED, "FixedGridODESolver.integrate", "y1", "t1"),
        Selector("start_state", _ADAPTIVE, f"{_SOLVER}.__init__", "y0"),
        Selector("step_input", _ADAPTIVE, f"{_SOLVER}._adaptive_step", "y0", "t0", "first of step"),
        # Called for accepted steps alone. The solver still holds the state before this step.
        Selector("step_output", _ADAPTIVE, f"{_SOLVER}._interp_fit", "y1"),
        Selector(
            "final_output", "torchdiffeq._impl.odeint", "odeint", "solution", None, "first of call"
        ),
    ),
    clocks=(
        Clock(_FIXED, "FixedGridODESolver.integrate", "t0", sigma="t0"),
        Clock(_ADAPTIVE, f"{_SOLVER}._interp_fit", "y1", sigma="self.rk_state.t1", ends=True),
    ),
)
