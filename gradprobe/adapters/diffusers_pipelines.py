"""diffusers: what a pipeline's own functions hold around the scheduler.

Only of pipelines whose variables were looked at: `prepare_latents` holds in `latents` what the loop
starts from, and `__call__` in `image` or `video` what it returns.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Selector

_PLACE = "diffusers.pipelines"

STARTS = (
    "allegro.*",
    "animatediff.*",
    "chroma.*",
    "cogvideo.*",
    "cogview4.*",
    "controlnet.*",
    "controlnet_sd3.*",
    "flux.*",
    "hidream_image.*",
    "hunyuan_video.*",
    "hunyuandit.*",
    "kandinsky2_2.*",
    "kandinsky3.*",
    "kandinsky5.*",
    "kolors.*",
    "latent_consistency_models.*",
    "latte.*",
    "lumina2.*",
    "mochi.*",
    "pag.*",
    "pixart_alpha.*",
    "qwenimage.*",
    "sana.pipeline_sana",  # not its sprint, which scales what prepare_latents gave
    "sana_video.*",
    "stable_diffusion.pipeline_stable*",  # those for ONNX hold no tensors
    "stable_diffusion_3.*",
    "stable_diffusion_xl.*",
    "stable_video_diffusion.*",
    "t2i_adapter.*",
    "wan.*",
    "z_image.*",
)

# None of them takes an argument of that name.
IMAGES = (
    "ChromaPipeline",
    "CogView4Pipeline",
    "FluxControlPipeline",
    "FluxPipeline",
    "HiDreamImagePipeline",
    "HunyuanDiTPipeline",
    "Kandinsky3Pipeline",
    "Kandinsky5T2IPipeline",
    "KandinskyV22Pipeline",
    "KolorsPipeline",
    "LatentConsistencyModelPipeline",
    "Lumina2Pipeline",
    "PixArtAlphaPipeline",
    "PixArtSigmaPipeline",
    "QwenImagePipeline",
    "SanaPipeline",
    "StableDiffusion3Pipeline",
    "StableDiffusionPipeline",
    "StableDiffusionXLPipeline",
    "ZImagePipeline",
)
VIDEOS = (
    "AllegroPipeline",
    "AnimateDiffPipeline",
    "CogVideoXPipeline",
    "HunyuanVideoPipeline",
    "LattePipeline",
    "MochiPipeline",
    "WanPipeline",
)

# The two branches of guidance, where a pipeline tells them apart.
BRANCHES = ("noise_pred_uncond", "noise_pred_text", "noise_uncond", "neg_noise_pred")


def _final(pipeline: str, variable: str) -> Selector:
    return Selector(
        "final_output",
        f"{_PLACE}.*",
        f"{pipeline}.__call__",
        variable,
        keep="last of call",
    )


SELECTORS = (
    *(
        Selector(
            "start_state",
            f"{_PLACE}.{family}",
            "*.prepare_latents",
            "latents",
            keep="last of call",
        )
        for family in STARTS
    ),
    *(Selector(branch, f"{_PLACE}.*", "*.__call__", branch) for branch in BRANCHES),
    *(_final(pipeline, "image") for pipeline in IMAGES),
    *(_final(pipeline, "video") for pipeline in VIDEOS),
)
