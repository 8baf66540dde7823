"""DDIM in a latent space (arXiv 2010.02502): our words, the names of latent diffusion."""

import numpy as np
import torch
from schedule import noise_like, spaced


class DDIMSampler:
    def __init__(self, model, schedule="linear", **kwargs):
        self.model = model
        self.schedule = schedule

    def make_schedule(self, ddim_num_steps, ddim_eta=0.0):
        bars = self.model.alphas_cumprod
        self.ddim_timesteps = spaced(ddim_num_steps, len(bars))
        self.ddim_alphas = bars[self.ddim_timesteps]
        self.ddim_alphas_prev = torch.cat([bars[:1], self.ddim_alphas[:-1]])
        ratio = (1 - self.ddim_alphas_prev) / (1 - self.ddim_alphas)
        self.ddim_sigmas = (
            ddim_eta * (ratio * (1 - self.ddim_alphas / self.ddim_alphas_prev)).sqrt()
        )

    @torch.no_grad()
    def sample(self, S, batch_size, shape, conditioning=None, x_T=None, eta=0.0, **options):
        self.make_schedule(S, eta)
        samples, intermediates = self.ddim_sampling(
            conditioning, (batch_size, *shape), x_T=x_T, **options
        )
        return samples, intermediates

    @torch.no_grad()
    def ddim_sampling(
        self, cond, shape, x_T=None, callback=None, mask=None, x0=None, img_callback=None, **options
    ):
        img = torch.randn(shape) if x_T is None else x_T
        intermediates = {"x_inter": [img], "pred_x0": [img]}
        iterator = np.flip(self.ddim_timesteps)
        total_steps = len(iterator)
        for i, step in enumerate(iterator):
            index = total_steps - i - 1
            ts = torch.full(shape[:1], int(step))
            if mask is not None:
                img = self.model.q_sample(x0, ts) * mask + img * (1 - mask)
            outs = self.p_sample_ddim(img, cond, ts, index, **options)
            img, pred_x0 = outs
            if callback:
                callback(i)
            if img_callback:
                img_callback(pred_x0, i)
            intermediates["pred_x0"].append(pred_x0)
        return img, intermediates

    @torch.no_grad()
    def p_sample_ddim(
        self,
        x,
        c,
        t,
        index,
        repeat_noise=False,
        temperature=1.0,
        noise_dropout=0.0,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
    ):
        if unconditional_conditioning is None or unconditional_guidance_scale == 1.0:
            e_t = self.model.apply_model(x, t, c)
        else:
            both = torch.cat([unconditional_conditioning, c])
            twice = self.model.apply_model(torch.cat([x, x]), torch.cat([t, t]), both)
            e_t_uncond, e_t = twice.chunk(2)
            e_t = torch.lerp(e_t_uncond, e_t, unconditional_guidance_scale)
        a_t, a_prev = self.ddim_alphas[index], self.ddim_alphas_prev[index]
        sigma_t = self.ddim_sigmas[index]
        pred_x0 = (x - e_t * (1 - a_t).sqrt()) / a_t.sqrt()
        dir_xt = e_t * (1 - a_prev - sigma_t.square()).sqrt()
        noise = sigma_t * temperature * noise_like(x.shape, x.device, repeat_noise)
        if noise_dropout > 0:
            noise = torch.nn.functional.dropout(noise, noise_dropout)
        x_prev = pred_x0 * a_prev.sqrt() + dir_xt + noise
        return x_prev, pred_x0

    @torch.no_grad()
    def decode(self, x_latent, cond, t_start, **options):
        """From a latent that was noised up to the step `t_start`."""
        iterator = np.flip(self.ddim_timesteps[:t_start])
        x_dec = x_latent
        for i, step in enumerate(iterator):
            ts = torch.full(x_latent.shape[:1], int(step))
            x_dec, _ = self.p_sample_ddim(x_dec, cond, ts, len(iterator) - i - 1, **options)
        return x_dec
