"""k-diffusion: its samplers without the decorator that turns gradients off."""

from __future__ import annotations

from collections.abc import Iterator

from benchmarks.breaks.programs import Program
from benchmarks.breaks.programs.absent import load_alone
from benchmarks.breaks.programs.script import IMAGE, KARRAS_DENOISER, both

# The calls, with what is no default of theirs.
CALLS = {
    "euler": "sample_euler.__wrapped__(model, x, sigmas, disable=True)",
    "euler-churn": "sample_euler.__wrapped__(model, x, sigmas, disable=True, s_churn=1.0)",
    "euler-ancestral": "sample_euler_ancestral.__wrapped__(model, x, sigmas, disable=True)",
    "heun": "sample_heun.__wrapped__(model, x, sigmas, disable=True)",
    "dpm-2": "sample_dpm_2.__wrapped__(model, x, sigmas, disable=True)",
    "dpm-2-ancestral": "sample_dpm_2_ancestral.__wrapped__(model, x, sigmas, disable=True)",
    "lms": "sample_lms.__wrapped__(model, x, sigmas, disable=True)",
    "dpm-fast": "sample_dpm_fast.__wrapped__(model, x, 0.1, 10.0, 7, disable=True)",
    "dpm-adaptive": "sample_dpm_adaptive.__wrapped__(\n"
    "    model, x, 0.1, 10.0, disable=True, h_init=2.0\n)",
    "dpmpp-2s-ancestral": "sample_dpmpp_2s_ancestral.__wrapped__(model, x, sigmas, disable=True)",
    "dpmpp-sde": "sample_dpmpp_sde.__wrapped__(model, x, sigmas, disable=True)",
    "dpmpp-2m": "sample_dpmpp_2m.__wrapped__(model, x, sigmas, disable=True)",
    "dpmpp-2m-sde": "sample_dpmpp_2m_sde.__wrapped__(model, x, sigmas, disable=True)",
    "dpmpp-2m-sde-heun": "sample_dpmpp_2m_sde.__wrapped__(\n"
    "    model, x, sigmas, disable=True, solver_type='heun'\n)",
    "dpmpp-3m-sde": "sample_dpmpp_3m_sde.__wrapped__(model, x, sigmas, disable=True)",
}

_SETUP = (
    KARRAS_DENOISER.format(imports="from k_diffusion import sampling")
    + "sigmas = sampling.get_sigmas_karras(4, 0.1, 10.0)\n"
)

_WAY = """
x = z0 * 10.0
image = sampling.{call}
loss = (image - target).square().mean()
"""


def programs() -> Iterator[Program]:
    load_alone("k_diffusion.sampling")  # its package's `__init__` wants what is not installed
    for name, call in CALLS.items():
        yield from both(
            "k_diffusion",
            name,
            setup=_SETUP,
            shape=IMAGE,
            way=_WAY.format(call=call),
            modules=("k_diffusion.sampling",),
        )
