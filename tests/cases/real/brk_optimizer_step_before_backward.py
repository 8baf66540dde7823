# diffusers UNet in a two-optimiser loop: the denoiser's torch.optim step is taken between the sampler's forward and its backward
from _lib import *
from diffusers import DDIMScheduler
unet = tiny_unet().requires_grad_(True); s = DDIMScheduler(); s.set_timesteps(2)
z0 = latents((1, 3, 16, 16)); opt = torch.optim.Adam(unet.parameters(), lr=1e-4)
def sample():
    x = z0
    for t in s.timesteps: x = s.step(unet(x, t).sample, t, x).prev_sample
    return x.pow(2).mean()
sample().backward(); z0.grad = None
loss = sample()
opt.step()  # <-BREAK
verdict(z0, lambda: loss)
