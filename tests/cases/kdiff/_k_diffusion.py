"""k_diffusion.sampling without its package's heavy extras, and a small random denoiser."""

import importlib
import importlib.machinery
import importlib.util
import sys
import types

import torch
from torch import nn


class _Absent(types.ModuleType):
    """Stands in for torchvision, which k_diffusion imports but these samplers never use."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return _Absent(f"{self.__name__}.{name}")


def _absent(name):
    module = _Absent(name)
    module.__spec__ = importlib.machinery.ModuleSpec(name, None)
    module.__path__ = []
    return module


def load_sampling():
    """Import k_diffusion.sampling alone: the package's __init__ asks for training extras."""
    if importlib.util.find_spec("torchvision") is None:
        for name in ("torchvision", "torchvision.transforms", "torchvision.transforms.functional"):
            sys.modules[name] = _absent(name)
    if "k_diffusion" not in sys.modules:
        spec = importlib.util.find_spec("k_diffusion")
        package = types.ModuleType("k_diffusion")
        package.__path__ = list(spec.submodule_search_locations)
        package.__spec__ = spec
        sys.modules["k_diffusion"] = package
    return importlib.import_module("k_diffusion.sampling")


class Denoiser(nn.Module):
    """A random convolutional denoiser, called as model(x, sigma) with one sigma per image."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.net = nn.Sequential(
            nn.Conv2d(3, 8, 3, padding=1), nn.SiLU(), nn.Conv2d(8, 3, 3, padding=1)
        )

    def forward(self, x, sigma, **kwargs):
        sigma = sigma.view(-1, 1, 1, 1)
        keep = 1 / (1 + sigma**2)
        return keep * x + sigma * keep.sqrt() * self.net(x * keep.sqrt())
