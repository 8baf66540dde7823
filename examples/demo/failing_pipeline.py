"""Optimise the starting noise of a diffusers pipeline, the way people first try it.

The pipeline is Stable Diffusion's, tiny and randomly initialised: nothing is downloaded. It runs,
it returns latents, and `backward` then fails, because no gradient connects the latents to z0.
Where it was lost is not in this file:

    gradprobe trace examples/demo/failing_pipeline.py
"""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TRANSFORMERS_VERBOSITY"] = "error"  # else a word on image tools that are not used here

import torch
from diffusers import AutoencoderKL, DDIMScheduler, StableDiffusionPipeline, UNet2DConditionModel


def tiny_pipeline() -> StableDiffusionPipeline:
    torch.manual_seed(0)
    unet = UNet2DConditionModel(
        sample_size=8,
        in_channels=4,
        out_channels=4,
        layers_per_block=1,
        block_out_channels=(16, 32),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=16,
        attention_head_dim=8,
    )
    vae = AutoencoderKL(
        block_out_channels=(16,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        latent_channels=4,
        norm_num_groups=8,
    )
    pipeline = StableDiffusionPipeline(
        vae=vae,
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


pipeline = tiny_pipeline()
prompt = torch.randn(1, 6, 16)
target = torch.zeros(1, 4, 8, 8)

z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
latents = pipeline(
    latents=z0,
    prompt_embeds=prompt,
    guidance_scale=1.0,
    num_inference_steps=4,
    output_type="latent",
).images

loss = torch.nn.functional.mse_loss(latents, target)
loss.backward()
