"""diffusers' FluxPipeline, undecorated: rectified flow through a transformer, latents packed."""

import torch
from _parts import noise
from _right import check

from diffusers import (
    AutoencoderKL,
    FlowMatchEulerDiscreteScheduler,
    FluxPipeline,
    FluxTransformer2DModel,
)

torch.manual_seed(1)
model = FluxTransformer2DModel(
    patch_size=1,
    in_channels=4,
    num_layers=1,
    num_single_layers=1,
    attention_head_dim=16,
    num_attention_heads=2,
    joint_attention_dim=32,
    pooled_projection_dim=32,
    axes_dims_rope=[4, 4, 8],
    guidance_embeds=False,
)
decoder = AutoencoderKL(
    block_out_channels=[16, 16],
    norm_num_groups=8,
    latent_channels=1,
    down_block_types=["DownEncoderBlock2D"] * 2,
    up_block_types=["UpDecoderBlock2D"] * 2,
    sample_size=16,
    shift_factor=0.1,
)
pipe = FluxPipeline(
    scheduler=FlowMatchEulerDiscreteScheduler(),
    vae=decoder,
    text_encoder=None,
    tokenizer=None,
    text_encoder_2=None,
    tokenizer_2=None,
    transformer=model,
)
pipe.set_progress_bar_config(disable=True)
torch.manual_seed(3)
words, pooled = torch.randn(1, 5, 32), torch.randn(1, 32)


def loss_of(z):
    found = FluxPipeline.__call__.__wrapped__(
        pipe,
        prompt_embeds=words.to(z.dtype),
        pooled_prompt_embeds=pooled.to(z.dtype),
        latents=z,
        height=16,
        width=16,
        num_inference_steps=2,
        guidance_scale=3.5,
        output_type="pt",
    ).images
    return (found - 0.25).square().mean()


z0 = noise(1, 16, 4)
loss_of(z0).backward()
check(loss_of, z0, dtype=torch.float32, step=5e-3, tolerance=3e-2)
