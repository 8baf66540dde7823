"""Classifier-free guidance: a denoiser asked twice, with its condition and without."""

from collections.abc import Callable

from torch import Tensor, nn


class Guided(nn.Module):
    """Moves the answer of `model(x, sigma, condition)` away from that without a condition.

    `scale` 1 is the conditioned answer itself, 0 the other one.
    """

    def __init__(self, model: Callable[..., Tensor], condition: Tensor, scale: float = 2.0) -> None:
        super().__init__()
        self.model = model
        self.condition = condition
        self.scale = scale

    def forward(self, x: Tensor, sigma: Tensor) -> Tensor:
        without = self.model(x, sigma, None)
        conditioned = self.model(x, sigma, self.condition)
        return without + self.scale * (conditioned - without)
