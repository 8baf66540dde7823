# Guidance in two calls a step of k-diffusion's Euler sampler: the unconditional branch saves memory under no_grad
from _lib import *
from kd_stub import load_k_diffusion
K = load_k_diffusion(); z0 = latents((1, 3, 8, 8)); sig = K.sampling.get_sigmas_karras(3, 0.1, 80.)
class Labelled(ToyDenoiser):
    def forward(self, x, sigma, label=0.0):
        return super().forward(x + label * sigma.reshape(-1, 1, 1, 1), sigma)
m = Labelled()
def guided(grad):
    def denoise(x, sigma):
        if grad:
            uncond = m(x, sigma)
        else:
            with torch.no_grad():  # <-BREAK
                uncond = m(x, sigma)
        cond = m(x, sigma, label=0.5)
        return uncond + 3.0 * (cond - uncond)
    return denoise
def loss_of(grad):
    return (K.sampling.sample_euler.__wrapped__(guided(grad), z0 * 80., sig, disable=True) - 0.25).pow(2).mean()
ref = torch.autograd.grad(loss_of(True), z0)[0]
verdict(z0, lambda: loss_of(False), ref)
