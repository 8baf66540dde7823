"""DDPM in a latent space (arXiv 2006.11239, 2112.10752): our words, latent diffusion's names."""

import torch
from schedule import noise_like


class DDPM(torch.nn.Module):
    def __init__(self, model, betas, clip_denoised=True):
        super().__init__()
        self.model = model
        self.clip_denoised = clip_denoised
        self.num_timesteps = len(betas)
        self.register_buffer("betas", betas)
        self.register_buffer("alphas_cumprod", torch.cumprod(1 - betas, dim=0))

    def at(self, table, t):
        return table[t].view(-1, 1, 1, 1)

    def q_sample(self, x_start, t, noise=None):
        bar = self.at(self.alphas_cumprod, t)
        noise = torch.randn_like(x_start) if noise is None else noise
        return bar.sqrt() * x_start + (1 - bar).sqrt() * noise

    def predict_start_from_noise(self, x_t, t, noise):
        bar = self.at(self.alphas_cumprod, t)
        return (x_t - (1 - bar).sqrt() * noise) / bar.sqrt()

    def q_posterior(self, x_start, x_t, t):
        """Mean and log variance of the state before `t`."""
        beta, bar = self.at(self.betas, t), self.at(self.alphas_cumprod, t)
        before = bar / (1 - beta)
        mean = before.sqrt() * beta * x_start + (1 - beta).sqrt() * (1 - before) * x_t
        variance = beta * (1 - before) / (1 - bar)
        return mean / (1 - bar), variance.clamp(min=1e-20).log()

    def p_mean_variance(self, x, t, clip_denoised):
        model_out = self.model(x, t)
        x_recon = self.predict_start_from_noise(x, t=t, noise=model_out)
        if clip_denoised:
            x_recon.clamp_(-1, 1)
        return self.q_posterior(x_start=x_recon, x_t=x, t=t)

    @torch.no_grad()
    def p_sample(self, x, t, clip_denoised=True, repeat_noise=False):
        model_mean, model_log_variance = self.p_mean_variance(x, t, clip_denoised)
        noise = noise_like(x.shape, x.device, repeat_noise)
        later = (t > 0).float().view(-1, 1, 1, 1)
        return model_mean + later * (model_log_variance / 2).exp() * noise

    @torch.no_grad()
    def p_sample_loop(self, shape, return_intermediates=False):
        img = torch.randn(shape)
        intermediates = [img]
        for i in reversed(range(self.num_timesteps)):
            img = self.p_sample(img, torch.full(shape[:1], i), clip_denoised=self.clip_denoised)
            intermediates.append(img)
        return (img, intermediates) if return_intermediates else img


class LatentDiffusion(DDPM):
    def apply_model(self, x_noisy, t, cond):
        return self.model(x_noisy, t, cond)

    def p_mean_variance(self, x, c, t, clip_denoised, quantize_denoised=False, return_x0=False):
        model_out = self.apply_model(x, t, c)
        x_recon = self.predict_start_from_noise(x, t=t, noise=model_out)
        if clip_denoised:
            x_recon.clamp_(-1, 1)
        if quantize_denoised:
            x_recon = self.quantize(x_recon)
        model_mean, log_variance = self.q_posterior(x_start=x_recon, x_t=x, t=t)
        return (model_mean, log_variance, x_recon) if return_x0 else (model_mean, log_variance)

    @torch.no_grad()
    def p_sample(self, x, c, t, clip_denoised=False, return_x0=False, temperature=1.0):
        outputs = self.p_mean_variance(x, c, t, clip_denoised, return_x0=return_x0)
        model_mean, model_log_variance = outputs[:2]
        noise = noise_like(x.shape, x.device) * temperature
        later = (t > 0).float().view(-1, 1, 1, 1)
        drawn = model_mean + later * (model_log_variance / 2).exp() * noise
        return (drawn, outputs[2]) if return_x0 else drawn

    @torch.no_grad()
    def progressive_denoising(self, cond, shape, x_T=None, mask=None, x0=None, start_T=None):
        timesteps = min(self.num_timesteps, start_T or self.num_timesteps)
        img = torch.randn(shape) if x_T is None else x_T
        intermediates = []
        for i in reversed(range(timesteps)):
            ts = torch.full(shape[:1], i)
            img, x0_partial = self.p_sample(img, cond, ts, self.clip_denoised, return_x0=True)
            if mask is not None:
                img = self.q_sample(x0, ts) * mask + img * (1 - mask)
            intermediates.append(x0_partial)
        return img, intermediates

    @torch.no_grad()
    def p_sample_loop(self, cond, shape, x_T=None, mask=None, x0=None, timesteps=None):
        img = torch.randn(shape) if x_T is None else x_T
        for i in reversed(range(timesteps or self.num_timesteps)):
            ts = torch.full(shape[:1], i)
            img = self.p_sample(img, cond, ts, clip_denoised=self.clip_denoised)
            if mask is not None:
                img = self.q_sample(x0, ts) * mask + img * (1 - mask)
        return img
