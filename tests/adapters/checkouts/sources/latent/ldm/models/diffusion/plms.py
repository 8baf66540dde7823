"""Pseudo linear multistep sampling (arXiv 2202.09778): our words, latent diffusion's names."""

import numpy as np
import torch
from schedule import noise_like, spaced

# Of the newest prediction and those before it, newest first (table 1 of the paper).
ADAMS_BASHFORTH = {
    1: (3 / 2, -1 / 2),
    2: (23 / 12, -16 / 12, 5 / 12),
    3: (55 / 24, -59 / 24, 37 / 24, -9 / 24),
}


class PLMSSampler:
    def __init__(self, model, schedule="linear", **kwargs):
        self.model = model
        self.schedule = schedule

    def make_schedule(self, ddim_num_steps):
        bars = self.model.alphas_cumprod
        self.ddim_timesteps = spaced(ddim_num_steps, len(bars))
        self.ddim_alphas = bars[self.ddim_timesteps]
        self.ddim_alphas_prev = torch.cat([bars[:1], self.ddim_alphas[:-1]])

    @torch.no_grad()
    def sample(self, S, batch_size, shape, conditioning=None, x_T=None, **options):
        self.make_schedule(S)
        samples, intermediates = self.plms_sampling(
            conditioning, (batch_size, *shape), x_T=x_T, **options
        )
        return samples, intermediates

    @torch.no_grad()
    def plms_sampling(self, cond, shape, x_T=None, callback=None, **options):
        img = torch.randn(shape) if x_T is None else x_T
        intermediates = {"x_inter": [img], "pred_x0": [img]}
        time_range = np.flip(self.ddim_timesteps)
        old_eps = []
        for i, step in enumerate(time_range):
            ts = torch.full(shape[:1], int(step))
            ts_next = torch.full(shape[:1], int(time_range[min(i + 1, len(time_range) - 1)]))
            outs = self.p_sample_plms(
                img, cond, ts, len(time_range) - i - 1, old_eps=old_eps, t_next=ts_next, **options
            )
            img, pred_x0, e_t = outs
            old_eps = [*old_eps, e_t][-3:]
            if callback:
                callback(i)
            intermediates["pred_x0"].append(pred_x0)
        return img, intermediates

    @torch.no_grad()
    def p_sample_plms(
        self,
        x,
        c,
        t,
        index,
        unconditional_guidance_scale=1.0,
        unconditional_conditioning=None,
        old_eps=None,
        t_next=None,
    ):
        def get_model_output(x, t):
            if unconditional_conditioning is None or unconditional_guidance_scale == 1.0:
                e_t = self.model.apply_model(x, t, c)
            else:
                both = torch.cat([unconditional_conditioning, c])
                twice = self.model.apply_model(torch.cat([x, x]), torch.cat([t, t]), both)
                e_t_uncond, e_t = twice.chunk(2)
                e_t = torch.lerp(e_t_uncond, e_t, unconditional_guidance_scale)
            return e_t

        def get_x_prev_and_pred_x0(e_t, index):
            a_t, a_prev = self.ddim_alphas[index], self.ddim_alphas_prev[index]
            pred_x0 = (x - e_t * (1 - a_t).sqrt()) / a_t.sqrt()
            noise = 0.0 * noise_like(x.shape, x.device)
            x_prev = pred_x0 * a_prev.sqrt() + e_t * (1 - a_prev).sqrt() + noise
            return x_prev, pred_x0

        e_t = get_model_output(x, t)
        if not old_eps:
            x_prev, pred_x0 = get_x_prev_and_pred_x0(e_t, index)
            e_t_next = get_model_output(x_prev, t_next)
            e_t_prime = (e_t_next + e_t) / 2
        else:
            weights = ADAMS_BASHFORTH[len(old_eps)]
            predicted = [e_t, *reversed(old_eps)]
            e_t_prime = sum(w * e for w, e in zip(weights, predicted, strict=True))
        x_prev, pred_x0 = get_x_prev_and_pred_x0(e_t_prime, index)
        return x_prev, pred_x0, e_t
