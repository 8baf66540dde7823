"""The table of rules, in order of priority: a break belongs to the first that explains it."""

from __future__ import annotations

RULES: dict[str, str] = {
    "GP111": "gradprobe.diagnose.rules.gp111_function_returns_none",
    "GP112": "gradprobe.diagnose.rules.gp112_reentrant_checkpoint",
    "GP103": "gradprobe.diagnose.rules.gp103_inference_mode",
    "GP102": "gradprobe.diagnose.rules.gp102_grad_mode_off",
    "GP104": "gradprobe.diagnose.rules.gp104_left_torch",
    "GP105": "gradprobe.diagnose.rules.gp105_copied_as_new",
    "GP101": "gradprobe.diagnose.rules.gp101_detached",
    "GP106": "gradprobe.diagnose.rules.gp106_integer_cast",
    "GP107": "gradprobe.diagnose.rules.gp107_not_differentiable",
    "GP110": "gradprobe.diagnose.rules.gp110_leaf_replaced",
    "GP109": "gradprobe.diagnose.rules.gp109_leaf_unused",
    "GP108": "gradprobe.diagnose.rules.gp108_leaf_not_tracking",
    "GP201": "gradprobe.diagnose.rules.gp201_saved_tensor_overwritten",
    "GP202": "gradprobe.diagnose.rules.gp202_silent_overwrite",
    "GP204": "gradprobe.diagnose.rules.gp204_leaf_written_in_place",
    "GP301": "gradprobe.diagnose.rules.gp301_flat_op",
    "GP203": "gradprobe.diagnose.rules.gp203_graph_freed",
    "GP205": "gradprobe.diagnose.rules.gp205_inference_tensor_saved",
    "GP114": "gradprobe.diagnose.rules.gp114_unexplained",
}
