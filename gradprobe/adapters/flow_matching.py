"""flow_matching: `RiemannianODESolver`, whose loop is its own.

`ODESolver` runs torchdiffeq, whose adapter knows its steps. A step is an interval of the time grid;
the time is that of its beginning. The discrete solver's states are classes: no gradient is theirs.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Keep, Selector

_PLACE = "flow_matching.solver.riemannian_ode_solver"
_SAMPLE = "RiemannianODESolver.sample"


def _stage(
    name: str, function: str, variable: str, sigma: str | None = None, keep: Keep = "each"
) -> Selector:
    return Selector(name, _PLACE, function, variable, sigma, keep)


ADAPTER = Adapter(
    "flow_matching",
    selectors=(
        _stage("start_state", _SAMPLE, "x_init", None, "first of call"),
        _stage("step_input", "_*_step", "xt", "t0", "first of call"),
        _stage("step_output", _SAMPLE, "xt_next", "t1"),
        _stage("final_output", _SAMPLE, "xt", None, "last of call"),
    ),
    clocks=(Clock(_PLACE, _SAMPLE, "t0", sigma="t0"),),
)
