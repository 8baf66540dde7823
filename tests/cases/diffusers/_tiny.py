"""Tiny random diffusers models."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")

import torch

from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
    UNet2DModel,
)


def unet():
    torch.manual_seed(1)
    return UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(16, 16),
        norm_num_groups=8,
        down_block_types=("DownBlock2D", "DownBlock2D"),
        up_block_types=("UpBlock2D", "UpBlock2D"),
    )


def pipeline():
    torch.manual_seed(1)
    denoiser = UNet2DConditionModel(
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
    decoder = AutoencoderKL(
        block_out_channels=[16, 16],
        norm_num_groups=8,
        latent_channels=4,
        down_block_types=["DownEncoderBlock2D"] * 2,
        up_block_types=["UpDecoderBlock2D"] * 2,
        sample_size=16,
    )
    pipe = StableDiffusionPipeline(
        vae=decoder,
        text_encoder=None,
        tokenizer=None,
        unet=denoiser,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def prompt():
    torch.manual_seed(3)
    return {
        "prompt_embeds": torch.randn(1, 7, 16),
        "negative_prompt_embeds": torch.randn(1, 7, 16),
        "num_inference_steps": 3,
        "guidance_scale": 5.0,
    }
