"""Straight-through estimators as people write them, beside DiCE's ratio and a loss over itself."""

import torch
from _parts import Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign()

    @staticmethod
    def backward(ctx, grad):
        return grad


def subtracted(x):
    soft = x.softmax(1)
    hard = torch.zeros_like(soft).scatter_(1, soft.max(1, keepdim=True)[1], 1.0)
    return hard - soft.detach() + soft


def compared(x):
    soft = x.sigmoid()
    return soft + ((soft > 0.5).float() - soft).detach()


def in_place(x):
    y = x.clone()
    y += (x.round() - x).detach()
    return y


def of_bytes(x):
    pixels = (x * 127.5 + 127.5).clamp(0, 255).to(torch.uint8)
    return x + ((pixels.float() - 127.5) / 127.5 - x).detach()


@torch.no_grad()
def offset_of(x):
    return (x * 8).floor() / 8 - x


def by_numpy(x):
    levels = torch.from_numpy(x.detach().numpy().round(1))
    return x + (levels - x).detach()


FORMS = [
    (Sign.apply, lambda x: x),
    (subtracted, lambda x: x.softmax(1)),
    (compared, lambda x: x.sigmoid()),
    (in_place, lambda x: x),
    (of_bytes, lambda x: x),
    (lambda x: x + offset_of(x), lambda x: x),
    (by_numpy, lambda x: x),
    (lambda x: x + x.round().detach() - x.detach(), lambda x: x),
]


def through(hard, smooth, x):
    """`hard(x)`; when its offsets are replayed, `smooth(x)` and the same offset again."""
    if replay is not None:
        return smooth(x) + next(replay).to(x.dtype)
    y = hard(x)
    kept.append((y - smooth(x)).detach())
    return y


def constant(x):
    """What a value is divided by or differs from: itself when first met, later that of then."""
    if replay is not None:
        return next(replay).to(x.dtype)
    kept.append(x.detach())
    return x.detach()


def loss_of(z):
    global replay
    replay = iter(list(first)) if first else None
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    near = sum((through(*form, x) - 0.25).square().mean() for form in FORMS)
    likely = x.square().mean()
    surrogate = (likely - constant(likely)).exp()
    return near / constant(near) + surrogate


kept, first, replay = [], [], None
z0 = noise()
loss = loss_of(z0)
loss.backward()
first = list(kept)
# Each gradient is by design that of the loss in which what was detached is a constant.
check(loss_of, z0, modules=[model])
