"""Rectified flow over a diffusion transformer that is written here: patches, adaLN, attention."""

import torch
from torch import Tensor, nn


class Block(nn.Module):
    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_a, self.norm_b = (nn.LayerNorm(width, elementwise_affine=False) for _ in "ab")
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.mlp = nn.Sequential(
            nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width)
        )
        self.modulation = nn.Linear(width, 4 * width)

    def forward(self, tokens: Tensor, condition: Tensor) -> Tensor:
        shift_a, scale_a, shift_b, scale_b = self.modulation(condition).chunk(4, dim=-1)
        normed = self.norm_a(tokens) * (1 + scale_a) + shift_a
        attended = self.attend(normed)
        tokens = tokens + attended
        again = self.norm_b(tokens) * (1 + scale_b) + shift_b
        tokens = tokens + self.mlp(again)
        return tokens

    def attend(self, tokens: Tensor) -> Tensor:
        q, k, v = self.qkv(tokens).unflatten(-1, (3, 2, -1)).permute(2, 0, 3, 1, 4)
        heads = nn.functional.scaled_dot_product_attention(q, k, v)
        joined = heads.transpose(1, 2).flatten(2)
        return self.out(joined)


class DiT(nn.Module):
    def __init__(self, width: int = 16) -> None:
        super().__init__()
        self.patches = nn.Conv2d(3, width, 2, stride=2)
        self.position = nn.Parameter(0.1 * torch.randn(1, 16, width))
        self.time = nn.Sequential(nn.Linear(1, width), nn.SiLU())
        self.blocks = nn.ModuleList(Block(width) for _ in range(2))
        self.last = nn.Linear(width, 12)

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        tokens = self.patches(x).flatten(2).transpose(1, 2)
        tokens = tokens + self.position
        condition = self.time(t.view(1, 1, 1))
        for block in self.blocks:
            tokens = block(tokens, condition)
        pixels = self.last(tokens).transpose(1, 2)
        image = nn.functional.pixel_shuffle(pixels.unflatten(2, (4, 4)), 2)
        return image


torch.manual_seed(0)
model = DiT()
model.requires_grad_(False)
target = torch.randn(1, 3, 8, 8)
z0 = torch.randn(1, 3, 8, 8, requires_grad=True)

x = z0 * 1.0
for step in range(4):
    t = torch.tensor(1 - step / 4)
    velocity = model(x, t)
    x = x - velocity / 4
loss = (x - target).square().mean()
loss.backward()
grad = z0.grad
