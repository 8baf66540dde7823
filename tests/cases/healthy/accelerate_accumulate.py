"""accelerate's `backward` and `accumulate`, which call torch's own from inside."""

import torch
from _parts import Denoiser, load_sampling
from _right import check
from accelerate import Accelerator

sampling = load_sampling()
accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
sigmas = sampling.get_sigmas_karras(3, 0.1, 2.0)


class Noise(torch.nn.Module):
    """The initial noise as a module, so that accelerate can prepare it."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(0)
        self.z0 = torch.nn.Parameter(torch.randn(1, 3, 8, 8))

    def forward(self):
        return self.z0


def loss_of(z, level=0.25):
    x = sampling.sample_euler.__wrapped__(model, z * sigmas[0], sigmas.to(z.dtype), disable=True)
    return (x - level).square().mean()


model = Denoiser().requires_grad_(False)
start = Noise()
optimizer = torch.optim.SGD(start.parameters(), lr=0.1)
start, optimizer = accelerator.prepare(start, optimizer)
z0 = start.z0
where = z0.detach().clone()
for _ in range(2):
    with accelerator.accumulate(start):
        accelerator.backward(loss_of(start()))
        if accelerator.sync_gradients:
            accelerator.clip_grad_norm_(start.parameters(), 100.0)
        optimizer.step()
        if not accelerator.sync_gradients:
            optimizer.zero_grad()
check(loss_of, z0, at=where, modules=[model])
