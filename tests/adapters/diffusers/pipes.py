"""Tiny random pipelines, run past the decorator that turns gradient off."""

from __future__ import annotations

from typing import Any

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from torch import Tensor

STEPS = 3


def stable_diffusion() -> Any:
    torch.manual_seed(1)
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
    pipe = StableDiffusionPipeline(
        vae=_decoder(),
        text_encoder=None,
        tokenizer=None,
        unet=unet,
        scheduler=DDIMScheduler(clip_sample=False, set_alpha_to_one=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def flux() -> Any:
    torch.manual_seed(1)
    transformer = FluxTransformer2DModel(
        patch_size=1,
        in_channels=16,
        num_layers=1,
        num_single_layers=1,
        attention_head_dim=16,
        num_attention_heads=2,
        joint_attention_dim=16,
        pooled_projection_dim=16,
        axes_dims_rope=(4, 4, 8),
    )
    pipe = FluxPipeline(
        scheduler=FlowMatchEulerDiscreteScheduler(),
        vae=_decoder(shift_factor=0.1),
        text_encoder=None,
        tokenizer=None,
        text_encoder_2=None,
        tokenizer_2=None,
        transformer=transformer,
    )
    pipe.set_progress_bar_config(disable=True)
    return pipe


def _decoder(**config: float) -> AutoencoderKL:
    return AutoencoderKL(
        sample_size=16,
        block_out_channels=(8,),
        norm_num_groups=1,
        latent_channels=4,
        layers_per_block=1,
        **config,
    )


def latents(pipe: Any) -> Tensor:
    torch.manual_seed(2)
    packed = isinstance(pipe, FluxPipeline)  # two by two elements become one with four times more
    return torch.randn((1, 16, 16) if packed else (1, 4, 8, 8)).requires_grad_()


def prompts(pipe: Any, *, guided: bool) -> dict[str, Any]:
    torch.manual_seed(3)
    shape = (1, 7, 16)
    given: dict[str, Any] = {"prompt_embeds": torch.randn(shape)}
    if guided:
        given["negative_prompt_embeds"] = torch.randn(shape)
    if isinstance(pipe, FluxPipeline):
        given |= {"pooled_prompt_embeds": torch.randn(1, 16), "height": 8, "width": 8}
        if guided:
            given |= {"negative_pooled_prompt_embeds": torch.randn(1, 16), "true_cfg_scale": 2.0}
    else:
        given["guidance_scale"] = 5.0 if guided else 0.0
    return given


def image_of(pipe: Any, z0: Tensor, *, guided: bool, decode: bool = True) -> Tensor:
    image: Tensor = (
        type(pipe)
        .__call__.__wrapped__(
            pipe,
            latents=z0,
            num_inference_steps=STEPS,
            output_type="pt" if decode else "latent",
            **prompts(pipe, guided=guided),
        )
        .images
    )
    return image
