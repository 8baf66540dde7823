# diffusers PNDM: set_timesteps once before the optimisation loop; the scheduler's `ets` still hold the freed graph of the turn before
from _lib import *
from diffusers import PNDMScheduler
unet = tiny_unet(); s = PNDMScheduler(skip_prk_steps=True)
z0 = latents((1, 3, 16, 16))
s.set_timesteps(3)  # <-BREAK
def run():
    x = z0
    for t in s.timesteps: x = s.step(unet(x, t).sample, t, x).prev_sample
    return x.pow(2).mean()
run().backward(); z0.grad = None
verdict(z0, run)
