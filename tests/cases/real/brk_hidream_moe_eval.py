# HiDream in eval(): the routed experts run in moe_infer under @torch.no_grad. The loss is right, the gradient is not.
from _lib import *
from diffusers import FlowMatchEulerDiscreteScheduler, HiDreamImageTransformer2DModel
torch.manual_seed(1)
model = HiDreamImageTransformer2DModel(patch_size=2, in_channels=4, out_channels=4, num_layers=1, num_single_layers=1, attention_head_dim=8,
    num_attention_heads=4, caption_channels=[32, 16], text_emb_dim=64, num_routed_experts=4, num_activated_experts=2, axes_dims_rope=(4, 2, 2),
    max_resolution=(32, 32), llama_layers=(0, 1)).requires_grad_(False)
with torch.no_grad():  # the gate that weighs each block's feed-forward is small at random: an image model's is not
    for block in [*model.double_stream_blocks, *model.single_stream_blocks]:
        block.block.adaLN_modulation[1].bias.fill_(1.0)
torch.manual_seed(2)
text = dict(encoder_hidden_states_t5=torch.randn(1, 8, 32), encoder_hidden_states_llama3=torch.randn(2, 1, 8, 16), pooled_embeds=torch.randn(1, 64))
s = FlowMatchEulerDiscreteScheduler(shift=3.0); z0 = latents()
def unpatch(y):  # what train() leaves to the trainer: (1, 4, patches, 4) -> (1, 4, 8, 8)
    return y if y.shape == z0.shape else y.reshape(1, 4, 4, 4, 2, 2).permute(0, 1, 2, 4, 3, 5).reshape(1, 4, 8, 8)
def loop():
    s.set_timesteps(3); x = z0
    for t in s.timesteps:
        velocity = unpatch(model(x, timesteps=t.expand(1), return_dict=False, **text)[0])
        x = s.step(-velocity, t, x).prev_sample
    return x.pow(2).mean()
model.train(); loss = loop(); ref = torch.autograd.grad(loss, z0)[0]
model.eval()
assert torch.allclose(loop(), loss, atol=1e-4)
verdict(z0, loop, ref)
