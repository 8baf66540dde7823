"""Integers that only choose: experts by topk, the nearest code as a target, the best of a batch."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check
from diffusers.models.transformers.transformer_hidream_image import MOEFeedForwardSwiGLU

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
torch.manual_seed(5)
experts = MOEFeedForwardSwiGLU(
    dim=3,
    hidden_dim=8,
    num_routed_experts=4,
    num_activated_experts=2,
    _force_inference_output=False,
)
experts.train().requires_grad_(False)
codes = torch.randn(16, 3)


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    tokens = x.permute(0, 2, 3, 1).reshape(x.shape[0], -1, 3).contiguous()
    routed = experts(tokens)
    flat = tokens.reshape(-1, 3)
    nearest = codes.to(x.dtype)[torch.cdist(flat, codes.to(x.dtype)).argmin(1)]
    commitment = (flat - nearest).square().mean()
    score = x.mean(dim=(1, 2, 3))
    best = x[score.argmax()]
    largest = flat.square().sum(1).topk(8).indices
    order = flat[:, 0].argsort()
    kept = flat[order][: len(order) // 2]
    mask = (flat.abs().amax(1) < 1.5).unsqueeze(1)
    inside = torch.where(mask, flat, 0.5 * flat)
    parts = (routed, best, flat[largest], kept, inside)
    return commitment + sum((part - 0.25).square().mean() for part in parts)


z0 = noise(2, 3, 8, 8)
loss_of(z0).backward()
check(loss_of, z0, modules=[model, experts], step=1e-6)
