"""A gate that overflows: exp is Inf, its reciprocal 0, and 0 times Inf in backward is NaN."""

from _parts import Denoiser, load_sampling, noise

sampling = load_sampling()
net = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def model(x, sigma, **kwargs):
    denoised = net(x, sigma)
    grown = (-4000 * denoised).exp()  # CULPRIT
    gate = 1 / (1 + grown)
    return denoised * gate


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas, disable=True)
    return (x - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
