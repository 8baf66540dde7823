"""torch.func beside the run: per-sample gradients and a Jacobian-vector product, to be printed."""

import torch
from _parts import Classifier, Denoiser, load_sampling, noise
from _right import check
from torch.func import functional_call, grad, jvp, vmap

sampling = load_sampling()
model, judge = Denoiser().requires_grad_(False), Classifier()
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


def loss_of(z):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return judge(x).log_softmax(-1)[:, 0].neg().mean()


z0 = noise(2, 3, 8, 8)
parameters = {name: p.detach() for name, p in judge.named_parameters()}


def one(parameters, image):
    return functional_call(judge, parameters, (image[None],)).square().sum()


images = z0.detach()
each = vmap(grad(one), in_dims=(None, 0))(parameters, images)
_, along = jvp(lambda x: model(x, sigmas[:1]), (images,), (torch.ones_like(images),))
print(f"{len(each)} gradients, {along.norm().item():.4f}")
loss_of(z0).backward()
check(loss_of, z0, modules=[model, judge])
