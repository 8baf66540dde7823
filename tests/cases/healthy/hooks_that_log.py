"""Hooks on tensors, modules and the accumulated gradient, none of which changes anything."""

from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(clip_sample=False)
scheduler.set_timesteps(2)
said = []


def on_backward(module, given, got):
    said.append(f"{type(module).__name__} {got[0].norm().item():.4f}")


handles = [
    model.conv_in.register_forward_pre_hook(lambda m, args: said.append(f"{len(args)} in")),
    model.conv_out.register_forward_hook(lambda m, args, out: said.append(f"{out.std():.4f}")),
    model.conv_out.register_full_backward_hook(on_backward),
    model.mid_block.register_full_backward_pre_hook(lambda m, got: said.append("middle")),
]


def loss_of(z):
    x = z
    for t in scheduler.timesteps:
        x = scheduler.step(model(x, t).sample, t, x).prev_sample
        if x.requires_grad:
            x.register_hook(lambda g: said.append(f"state {g.norm().item():.4f}"))
    return (x - 0.25).square().mean()


z0 = noise()
z0.register_hook(lambda g: said.append(f"z0 {g.norm().item():.4f}"))
z0.register_post_accumulate_grad_hook(lambda p: said.append(f"kept {p.grad.norm().item():.4f}"))
loss_of(z0).backward()
print("\n".join(said))
for handle in handles:
    handle.remove()
check(loss_of, z0, modules=[model])
