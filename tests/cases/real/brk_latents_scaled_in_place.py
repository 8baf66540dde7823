# diffusers EulerDiscreteScheduler: the caller's latents are scaled to the first sigma in place, as `latents *= init_noise_sigma`
from _lib import *
from diffusers import EulerDiscreteScheduler
unet = tiny_unet(); s = EulerDiscreteScheduler(); s.set_timesteps(2)
z0 = latents((1, 3, 16, 16))
def run(x):
    x *= s.init_noise_sigma  # <-BREAK
    for t in s.timesteps: x = s.step(unet(s.scale_model_input(x, t), t).sample, t, x).prev_sample
    return x.pow(2).mean()
verdict(z0, lambda: run(z0))
