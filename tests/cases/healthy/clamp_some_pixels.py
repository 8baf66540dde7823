"""The prediction is clipped as in DDIM: some pixels saturate, the others carry gradient."""

from _parts import noise, unet
from _right import check

from diffusers import DDIMScheduler

model = unet()
scheduler = DDIMScheduler(num_train_timesteps=50, clip_sample=True, clip_sample_range=1.0)
scheduler.set_timesteps(3)
saturated = []


def loss_of(z):
    x = z * 0.5
    for t in scheduler.timesteps[1:]:
        step = scheduler.step(model(x, t).sample, t, x)
        saturated.append(float((step.pred_original_sample.abs() == 1).double().mean()))
        x = step.prev_sample
    return (x.clamp(-1, 1) - 0.25).square().mean()


z0 = noise()
loss_of(z0).backward()
print("saturated", " ".join(f"{share:.2f}" for share in saturated))
assert any(0 < share < 1 for share in saturated)
check(loss_of, z0, modules=[model], step=1e-6)
