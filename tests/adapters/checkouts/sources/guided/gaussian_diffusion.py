"""DDPM and DDIM (arXiv 2006.11239, 2010.02502): our words, the names of guided-diffusion."""

import torch as th


class GaussianDiffusion:
    """`learned` says that the network predicts a variance too, in as many channels again."""

    def __init__(self, betas, learned=False, keep_grad=True):
        self.betas = betas
        self.learned = learned
        self.keep_grad = keep_grad
        self.num_timesteps = len(betas)
        self.alphas_cumprod = th.cumprod(1 - betas, dim=0)
        self.alphas_cumprod_prev = th.cat([th.ones(1).to(betas), self.alphas_cumprod[:-1]])

    def at(self, table, t):
        return table[t].view(-1, 1, 1, 1)

    def p_mean_variance(self, model, x, t, clip_denoised=True, denoised_fn=None, model_kwargs=None):
        beta = self.at(self.betas, t)
        bar, bar_prev = self.at(self.alphas_cumprod, t), self.at(self.alphas_cumprod_prev, t)
        posterior = beta * (1 - bar_prev) / (1 - bar)
        model_output = model(x, t, **(model_kwargs or {}))
        if self.learned:
            model_output, values = model_output.chunk(2, dim=1)
            share = (values + 1) / 2
            log_variance = share * beta.log() + (1 - share) * posterior.clamp(min=1e-20).log()
        else:
            log_variance = beta.log().expand_as(x)
        pred_xstart = (x - (1 - bar).sqrt() * model_output) / bar.sqrt()
        if denoised_fn is not None:
            pred_xstart = denoised_fn(pred_xstart)
        if clip_denoised:
            pred_xstart = pred_xstart.clamp(-1, 1)
        towards = bar_prev.sqrt() * beta * pred_xstart
        staying = (1 - beta).sqrt() * (1 - bar_prev) * x
        mean = (towards + staying) / (1 - bar)
        return {"mean": mean, "log_variance": log_variance, "pred_xstart": pred_xstart}

    def p_sample(
        self,
        model,
        x,
        t,
        clip_denoised=True,
        denoised_fn=None,
        cond_fn=None,
        model_kwargs=None,
    ):
        out = self.p_mean_variance(model, x, t, clip_denoised, denoised_fn, model_kwargs)
        noise = th.randn_like(x)
        if cond_fn is not None:
            out["mean"] = out["mean"] + out["log_variance"].exp() * cond_fn(x, t)
        sample = out["mean"] + self.later(t) * (out["log_variance"] / 2).exp() * noise
        return {"sample": sample, "pred_xstart": out["pred_xstart"]}

    def later(self, t):
        """0 for the last timestep, which draws no noise."""
        return (t > 0).float().view(-1, 1, 1, 1)

    def p_sample_loop(self, model, shape, **options):
        final = None
        for sample in self.p_sample_loop_progressive(model, shape, **options):
            final = sample
        return final["sample"]

    def p_sample_loop_progressive(
        self,
        model,
        shape,
        noise=None,
        clip_denoised=True,
        denoised_fn=None,
        cond_fn=None,
        model_kwargs=None,
    ):
        if noise is not None:
            img = noise
        else:
            img = th.randn(*shape)
        for i in reversed(range(self.num_timesteps)):
            t = th.full((shape[0],), i)
            with th.set_grad_enabled(self.keep_grad):
                out = self.p_sample(
                    model, img, t, clip_denoised, denoised_fn, cond_fn, model_kwargs
                )
                yield out
                img = out["sample"]

    def ddim_sample(
        self,
        model,
        x,
        t,
        clip_denoised=True,
        denoised_fn=None,
        cond_fn=None,
        model_kwargs=None,
        eta=0.0,
    ):
        out = self.p_mean_variance(model, x, t, clip_denoised, denoised_fn, model_kwargs)
        bar, bar_prev = self.at(self.alphas_cumprod, t), self.at(self.alphas_cumprod_prev, t)
        eps = (x - bar.sqrt() * out["pred_xstart"]) / (1 - bar).sqrt()
        sigma = eta * ((1 - bar_prev) / (1 - bar) * (1 - bar / bar_prev)).sqrt()
        noise = th.randn_like(x)
        mean_pred = bar_prev.sqrt() * out["pred_xstart"] + (1 - bar_prev - sigma**2).sqrt() * eps
        sample = mean_pred + self.later(t) * sigma * noise
        return {"sample": sample, "pred_xstart": out["pred_xstart"]}

    def ddim_sample_loop(self, model, shape, **options):
        final = None
        for sample in self.ddim_sample_loop_progressive(model, shape, **options):
            final = sample
        return final["sample"]

    def ddim_sample_loop_progressive(
        self,
        model,
        shape,
        noise=None,
        clip_denoised=True,
        denoised_fn=None,
        cond_fn=None,
        model_kwargs=None,
        eta=0.0,
    ):
        if noise is not None:
            img = noise
        else:
            img = th.randn(*shape)
        for i in reversed(range(self.num_timesteps)):
            t = th.full((shape[0],), i)
            with th.set_grad_enabled(self.keep_grad):
                out = self.ddim_sample(
                    model, img, t, clip_denoised, denoised_fn, cond_fn, model_kwargs, eta
                )
                yield out
                img = out["sample"]
