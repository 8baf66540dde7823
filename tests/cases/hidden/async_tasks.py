"""Two tasks take turns; the broken run's second one is suspended with recording off."""

import asyncio
import sys

import torch
from _around import Denoiser, loss_on, noise

which = sys.argv[1]
model = Denoiser()


async def preview(x):
    for _ in range(4):
        if which == "inside":
            with torch.no_grad():  # CULPRIT
                model(x, torch.tensor(1.0))
                await asyncio.sleep(0)  # the other task runs with recording off
        else:
            with torch.no_grad():
                model(x, torch.tensor(1.0))
            await asyncio.sleep(0)


async def steps(x):
    for level in torch.linspace(2.0, 0.5, 3):
        x = x + 0.5 * (model(x, level) - x)
        await asyncio.sleep(0)
    return x


async def both(z):
    x = z * 4.0
    other = asyncio.ensure_future(preview(x))
    x = await steps(x)
    await other
    return x


def loss_of(z):
    return loss_on(asyncio.run(both(z)))


z0 = noise()
loss_of(z0).backward()
