"""diffusion_policy (C. Chi et al., arXiv 2303.04137): policies that denoise a trajectory.

A policy's `conditional_sample` draws a trajectory, writes what is known into it in place, and lets
a scheduler of diffusers take the steps. Those have an adapter of their own, which tells of steps
and of what is in them; here is told what the policy alone knows: the start, and the actions.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Keep, Selector

FILES = (
    "diffusion_transformer_hybrid_image_policy.py",
    "diffusion_transformer_lowdim_policy.py",
    "diffusion_unet_hybrid_image_policy.py",
    "diffusion_unet_image_policy.py",
    "diffusion_unet_lowdim_policy.py",
    "diffusion_unet_video_policy.py",
)
_SAMPLE, _PREDICT = "Diffusion*Policy.conditional_sample", "Diffusion*Policy.predict_action"


def _stage(name: str, file: str, function: str, variable: str, keep: Keep = "each") -> Selector:
    return Selector(name, file, function, variable, None, keep)


ADAPTER = Adapter(
    "diffusion_policy",
    selectors=(
        *(_stage("start_state", file, _SAMPLE, "trajectory", "first of call") for file in FILES),
        *(_stage("final_output", file, _PREDICT, "action_pred") for file in FILES),
    ),
)
