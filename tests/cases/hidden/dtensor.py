"""The denoiser computes on DTensors, over a mesh of one process."""

import sys

import torch.distributed as dist
from _around import Denoiser, loss_on, noise, sample
from torch.distributed.tensor import DTensor, Replicate, Shard, init_device_mesh

which = sys.argv[1]
model = Denoiser()
dist.init_process_group("gloo", store=dist.HashStore(), rank=0, world_size=1)
mesh = init_device_mesh("cpu", (1,))


def denoise(x, sigma):
    sharded = DTensor.from_local(model(x, sigma), mesh, [Shard(0)])
    whole = (sharded.tanh() * 2).redistribute(mesh, [Replicate()])
    if which == "inside":
        return whole.to_local().detach()  # CULPRIT
    if which == "local":
        return whole._local_tensor  # CULPRIT
    return whole.full_tensor()


def loss_of(z):
    return loss_on(sample(denoise, z))


z0 = noise()
loss_of(z0).backward()
dist.destroy_process_group()
