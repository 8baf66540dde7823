"""Straight-through estimators of libraries: code books, a finite scalar quantiser, hard choices."""

import torch
from _parts import noise, unet
from _right import check
from diffusers.models.autoencoders.autoencoder_vidtok import FSQRegularizer
from diffusers.models.autoencoders.vae import VectorQuantizer
from transformers import ChameleonVQVAEConfig
from transformers.models.chameleon.modeling_chameleon import ChameleonVQVAEVectorQuantizer
from transformers.models.groupvit.modeling_groupvit import hard_softmax

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)
torch.manual_seed(4)
book = VectorQuantizer(16, 3, beta=0.25, legacy=False).requires_grad_(False)
config = ChameleonVQVAEConfig(num_embeddings=16, embed_dim=3)
second = ChameleonVQVAEVectorQuantizer(config).requires_grad_(False)
scalar = FSQRegularizer([8, 5, 5])


def same(x):
    return x


def bounded(z):
    """What FSQRegularizer.quantize rounds, and then divides."""
    half = (scalar._levels - 1) * (1 + 1e-3) / 2
    offset = torch.where(scalar._levels % 2 == 0, 0.5, 0.0)
    return ((z + (offset / half).atanh()).tanh() * half - offset) / (scalar._levels // 2)


def through(hard, smooth, x):
    """`hard(x)`; when its offsets are replayed, `smooth(x)` and the same offset again."""
    if replay is not None:
        return smooth(x) + next(replay).to(x.dtype)
    y = hard(x)
    kept.append((y - smooth(x)).detach())
    return y


def loss_of(z):
    global replay
    replay = iter(list(first)) if first else None
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
    a = through(lambda x: book(x)[0], same, x)
    b = through(lambda x: second(x)[0], same, x)
    c = through(scalar.quantize, bounded, x.permute(0, 2, 3, 1))
    d = through(lambda x: hard_softmax(x, 1), lambda x: x.softmax(1), x)
    return sum((part - 0.25).square().mean() for part in (a, b, c, d))


kept, first, replay = [], [], None
z0 = noise()
loss = loss_of(z0)
loss.backward()
first = list(kept)
# The estimator's gradient is by design that of the loss whose hard steps are constant offsets.
check(loss_of, z0, modules=[model, book, second])
