"""Where the stages of a library's samplers are: one file per library, tables of selectors.

An adapter is loaded when the program runs code that its key names: a package that was imported, or
for code that lies in checkouts, the name of a file. Nothing of the library is patched.
"""

from __future__ import annotations

from gradprobe.capture.stage_selectors import Adapter, Clock, Selector
from gradprobe.registry import Registry

# What an adapter is made of, for those of other packages too.
__all__ = ["Adapter", "Clock", "Selector", "adapter_for", "files", "packages"]

# By the name of the package that the running code belongs to.
packages = Registry(
    "gradprobe.adapters",
    {
        "azula": "gradprobe.adapters.azula:ADAPTER",
        "denoising_diffusion_pytorch": "gradprobe.adapters.denoising_diffusion_pytorch:ADAPTER",
        "diffusers": "gradprobe.adapters.diffusers:ADAPTER",
        "flow_matching": "gradprobe.adapters.flow_matching:ADAPTER",
        "k_diffusion": "gradprobe.adapters.k_diffusion:ADAPTER",
        "torchdiffeq": "gradprobe.adapters.torchdiffeq:ADAPTER",
        "torchsde": "gradprobe.adapters.torchsde:ADAPTER",
    },
)

# By the file's own name, for repositories that people copy rather than install.
files = Registry(
    "gradprobe.adapters.files",
    {
        "ddim.py": "gradprobe.adapters.latent_diffusion:ADAPTER",
        "ddpm.py": "gradprobe.adapters.latent_diffusion:ADAPTER",
        "diffusion_transformer_hybrid_image_policy.py": (
            "gradprobe.adapters.diffusion_policy:ADAPTER"
        ),
        "diffusion_transformer_lowdim_policy.py": "gradprobe.adapters.diffusion_policy:ADAPTER",
        "diffusion_unet_hybrid_image_policy.py": "gradprobe.adapters.diffusion_policy:ADAPTER",
        "diffusion_unet_image_policy.py": "gradprobe.adapters.diffusion_policy:ADAPTER",
        "diffusion_unet_lowdim_policy.py": "gradprobe.adapters.diffusion_policy:ADAPTER",
        "diffusion_unet_video_policy.py": "gradprobe.adapters.diffusion_policy:ADAPTER",
        "gaussian_diffusion.py": "gradprobe.adapters.guided_diffusion:ADAPTER",
        "generate.py": "gradprobe.adapters.edm:ADAPTER",
        "plms.py": "gradprobe.adapters.latent_diffusion:ADAPTER",
        "res_sampler.py": "gradprobe.adapters.res_sampler:ADAPTER",
    },
)


def adapter_for(package: str, file: str) -> Adapter | None:
    """The adapter that knows code of this package, or failing that of a file with this base name.

    Importing it may raise whatever the module of a third party raises.
    """
    for registry, key in ((packages, package), (files, file)):
        if key in registry:
            adapter: Adapter = registry.load(key)
            return adapter
    return None
