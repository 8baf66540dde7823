"""Each denoiser call is checkpointed with reentry; the state that requires grad is its argument."""

from _parts import Denoiser, load_sampling, noise
from _right import check
from torch.utils.checkpoint import checkpoint

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(4, 0.1, 2.0)


def denoise(x, sigma, **kwargs):
    return checkpoint(model, x, sigma, use_reentrant=True)


def loss_of(z):
    x = sampling.sample_dpmpp_2m.__wrapped__(
        denoise, z * sigmas[0], sigmas.to(z.dtype), disable=True
    )
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
check(loss_of, z0, modules=[model])
