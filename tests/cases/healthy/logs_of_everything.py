"""Numbers of every step are logged: item, tolist, numpy, histograms, argmax of the scores."""

import json

import numpy as np
import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier()
sigmas = sampling.get_sigmas_karras(4, 0.1, 2.0)
lines = []


def log(info):
    x, denoised = info["x"], info["denoised"]
    lines.append(
        {
            "step": info["i"],
            "sigma": float(info["sigma"]),
            "norm": x.norm().item(),
            "mean": denoised.detach().mean(dim=(0, 2, 3)).tolist(),
            "std": float(np.std(denoised.detach().cpu().numpy())),
            "histogram": torch.histc(x.detach().float(), 4).tolist(),
        }
    )


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(
        model, z * sigmas[0], sigmas.to(z.dtype), disable=True, callback=log
    )
    scores = judge(x)
    lines.append({"class": scores.argmax(-1).tolist()})
    return torch.nn.functional.cross_entropy(scores, torch.tensor([2]))


z0 = noise()
loss = loss_of(z0)
loss.backward()
lines.append({"loss": loss.item(), "gradient": z0.grad.norm().item()})
print(len(json.dumps(lines)) > 100)
check(loss_of, z0, modules=[model, judge])
