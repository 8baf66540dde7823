"""diffusers' LatentConsistencyModelPipeline, undecorated, with z0 as its latents."""

import torch
from _parts import noise
from _right import check
from _tiny import pipeline

from diffusers import LatentConsistencyModelPipeline, LCMScheduler, UNet2DConditionModel

parts = pipeline()
torch.manual_seed(1)
model = UNet2DConditionModel.from_config(parts.unet.config, time_cond_proj_dim=8)
pipe = LatentConsistencyModelPipeline(
    vae=parts.vae,
    text_encoder=None,
    tokenizer=None,
    unet=model,
    scheduler=LCMScheduler(),
    safety_checker=None,
    feature_extractor=None,
    requires_safety_checker=False,
)
pipe.set_progress_bar_config(disable=True)
torch.manual_seed(3)
prompt = torch.randn(1, 7, 16)


def loss_of(z):
    image = LatentConsistencyModelPipeline.__call__.__wrapped__(
        pipe,
        prompt_embeds=prompt.to(z.dtype),
        latents=z,
        num_inference_steps=2,
        generator=torch.Generator().manual_seed(7),
        output_type="latent",
    ).images
    return (pipe.vae.decode(image / 5.0).sample - 0.25).square().mean()


z0 = noise(1, 4, 8, 8)
loss_of(z0).backward()
# In double precision the pipeline draws other noise: float32 throughout.
check(loss_of, z0, dtype=torch.float32, step=5e-3, tolerance=3e-2)
