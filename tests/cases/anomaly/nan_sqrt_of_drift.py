"""A penalty on the drift of the state: at the first step it is 0, where sqrt has slope Inf."""

from _parts import Denoiser, load_sampling, noise

sampling = load_sampling()
model = Denoiser().requires_grad_(False)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)
reference = []


def drift(info):
    if not reference:
        reference.append(info["x"].detach())
    gap = (info["x"] - reference[0]).square().sum()  # NAN
    penalties.append(gap.sqrt())  # CULPRIT


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(
        model, z * sigmas[0], sigmas, disable=True, callback=drift
    )
    return (x - 0.25).square().mean() + 0.1 * sum(penalties)


penalties = []
z0 = noise()
loss_of(z0).backward()
