"""Operations on the levels of pixels: solarize and equalize (B.2), AutoAugment (Table 1).

The paper names them and leaves their parameters out. All three have steps: where rounding in an
operation before them moves a value across a threshold or to the next of the 256 levels, as between
devices it may, that pixel's result jumps.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import AutoAugmentSpec, SolarizeSpec

__all__ = [
    "AutoAugmentParameters",
    "apply_auto_augment",
    "apply_equalize",
    "apply_solarize",
    "as_float",
    "as_levels",
    "draw_auto_augment",
]


@dataclass(frozen=True)
class AutoAugmentParameters:
    """One 63-bit seed per image, int64 `[N]`.

    What torchvision draws for the image is a function of it.
    """

    seed: Tensor


def as_float(images: Tensor) -> Tensor:
    """Convert uint8 levels to float32 in [0, 1]; float32 stays as it is.

    Raises TypeError for another dtype.
    """
    if images.dtype == torch.float32:
        return images
    if images.dtype != torch.uint8:
        raise TypeError(f"images of {images.dtype}: need uint8, or float32 in [0, 1]")
    return images.to(torch.float32).div_(255)


def as_levels(images: Tensor) -> Tensor:
    """Convert float32 in [0, 1] to the nearest of the 256 uint8 levels."""
    return (images * 255).round_().to(torch.uint8)


def apply_solarize(images: Tensor, solarize: SolarizeSpec) -> Tensor:
    """Invert every value from the threshold on, of `[N, C, H, W]` in [0, 1]."""
    return torch.where(images >= solarize.threshold, 1 - images, images)


def apply_equalize(images: Tensor) -> Tensor:
    """Make the histogram even, of each channel of each of `[N, C, H, W]` in [0, 1].

    The formula is PIL's on 256 levels, as torchvision has it for a whole batch. A channel of one
    level stays.
    """
    # here: torchvision takes seconds to import
    from torchvision.transforms.v2.functional import equalize

    return as_float(equalize(as_levels(images)))


def draw_auto_augment(count: int, generator: Generator) -> AutoAugmentParameters:
    """Draw seeds only: the operations that an image sees are drawn when it is made."""
    return AutoAugmentParameters(seed=torch.randint(2**63 - 1, (count,), generator=generator))


def apply_auto_augment(
    images: Tensor, parameters: AutoAugmentParameters, auto_augment: AutoAugmentSpec
) -> Tensor:
    """Apply torchvision's AutoAugment, its defaults, to `[N, C, H, W]` in [0, 1] as uint8.

    Image by image on the CPU whatever the device, so that a view is a function of its image and
    seed alone. On one core of an AMD EPYC an image costs 0.19 ms at 32 pixels (n = 1024), 0.4 ms at
    96 (n = 512) and 1.4 ms at 224 (n = 256). torchvision draws from torch's global CPU generator,
    which is left in the state that it was in.
    """
    # here: torchvision takes seconds to import
    from torchvision.transforms.v2 import AutoAugment, AutoAugmentPolicy

    transform = AutoAugment(AutoAugmentPolicy(auto_augment.policy))
    views = as_levels(images).cpu()
    with torch.random.fork_rng(devices=[]):
        for row, seed in enumerate(parameters.seed.tolist()):
            # torch.manual_seed would seed the accelerators too
            torch.default_generator.manual_seed(seed)
            views[row] = transform(views[row])
    return as_float(views.to(images.device))
