# A norm regulariser on z0 (ReNO, DNO) beside k-diffusion as installed: z0.grad is full, and all of it is the regulariser's
from _lib import *
from kd_stub import load_k_diffusion
K = load_k_diffusion(); m = ToyDenoiser(); z0 = latents((1, 3, 8, 8)); sig = K.sampling.get_sigmas_karras(4, 0.02, 80.)
def reward(image):
    return -(image - 0.25).pow(2).mean()
def reg(z):  # minus the log-likelihood of the norm of noise, up to a constant
    norm = z.pow(2).sum().sqrt(); d = z.numel()
    return -((d - 1) * norm.log() - norm.pow(2) / 2) / d
def loss_of(sample):
    return reg(z0) - reward(sample(m, z0 * 80., sig, disable=True))
ref = torch.autograd.grad(loss_of(K.sampling.sample_euler.__wrapped__), z0)[0]
verdict(z0, lambda: loss_of(K.sampling.sample_euler), ref)
