"""A policy that denoises actions (arXiv 2303.04137): our words, the names of diffusion_policy."""

import torch


class DiffusionUnetLowdimPolicy(torch.nn.Module):
    def __init__(self, model, noise_scheduler, horizon, action_dim, num_inference_steps, scale=2.0):
        super().__init__()
        self.model = model
        self.noise_scheduler = noise_scheduler
        self.horizon = horizon
        self.action_dim = action_dim
        self.num_inference_steps = num_inference_steps
        self.scale = scale

    def conditional_sample(
        self, condition_data, condition_mask, local_cond=None, global_cond=None, generator=None
    ):
        scheduler = self.noise_scheduler
        trajectory = torch.randn(condition_data.shape, generator=generator)
        scheduler.set_timesteps(self.num_inference_steps)
        for t in scheduler.timesteps:
            trajectory[condition_mask] = condition_data[condition_mask]
            model_output = self.model(trajectory, t, global_cond)
            trajectory = scheduler.step(
                model_output, t, trajectory, generator=generator
            ).prev_sample
        trajectory[condition_mask] = condition_data[condition_mask]
        return trajectory

    def predict_action(self, obs_dict):
        """Actions (N, horizon, action_dim) after the observations (N, steps, obs_dim)."""
        nobs = obs_dict["obs"]
        size = (nobs.shape[0], self.horizon, self.action_dim + nobs.shape[2])
        known = nobs.shape[1]
        cond_data = torch.zeros(size)
        cond_data[:, :known, self.action_dim :] = nobs
        cond_mask = torch.zeros(size, dtype=torch.bool)
        cond_mask[:, :known, self.action_dim :] = True
        nsample = self.conditional_sample(cond_data, cond_mask)
        action_pred = nsample[..., : self.action_dim] * self.scale
        return {"action": action_pred[:, known - 1 :], "action_pred": action_pred}
