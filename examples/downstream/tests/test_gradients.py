import pytest
import torch
from noise_search import sample


class Denoiser(torch.nn.Conv2d):
    def forward(self, x, t):
        return torch.tanh(super().forward(x)) * (1 + t / 1000)


@pytest.fixture
def probe(gradprobe):
    torch.manual_seed(0)
    with gradprobe.start():
        z0 = torch.randn(1, 4, 8, 8, requires_grad=True)
        image = sample(Denoiser(4, 4, 3, padding=1), z0, steps=4)
        (image - 1.0).square().mean().backward()
    return gradprobe


def test_gradient_of_the_noise(probe):
    probe.assert_records("pred_original_sample", steps=range(4))
    probe.assert_complete("z0", calls=4)
    probe.assert_healthy("z0", "start_state", "pred_original_sample")
    probe.assert_no_findings()
