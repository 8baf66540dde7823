"""diffusers: its schedulers, in pipelines and in loops written by hand, and its pipelines."""

from __future__ import annotations

from gradprobe.adapters import diffusers_pipelines, diffusers_schedulers
from gradprobe.capture.stage_selectors import Adapter

ADAPTER = Adapter(
    "diffusers",
    selectors=(*diffusers_schedulers.SELECTORS, *diffusers_pipelines.SELECTORS),
    clocks=diffusers_schedulers.CLOCKS,
)
