"""Operations of Figure 5 whose parameters the paper leaves out: cutout, noise and rotation.

Noise is Gaussian, and rotation by quarter turns.
"""

from dataclasses import dataclass
from math import prod, tau

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import CutoutSpec, NoiseSpec, RotateSpec
from workloads.simclr.views.samples import indices, moved

__all__ = [
    "CutoutParameters",
    "NoiseParameters",
    "RotateParameters",
    "apply_cutout",
    "apply_noise",
    "apply_rotate",
    "counter_normal",
    "draw_cutout",
    "draw_noise",
    "draw_rotate",
]

# SplitMix64 (Steele, Lea, Flood 2014): its increment and the two multipliers of its finaliser, as
# signed integers.
GOLDEN, FIRST, SECOND = (
    value - 2**64 for value in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB)
)


@dataclass(frozen=True)
class CutoutParameters:
    """Pixel at the centre of the square, int64 `[N]` each."""

    row: Tensor
    column: Tensor


@dataclass(frozen=True)
class NoiseParameters:
    """One 63-bit seed per image, int64 `[N]`.

    The noise itself is a function of it and of the pixel's number.
    """

    seed: Tensor


@dataclass(frozen=True)
class RotateParameters:
    """Counter-clockwise quarter turns, int64 `[N]`."""

    quarter_turns: Tensor


def draw_cutout(count: int, side: int, generator: Generator) -> CutoutParameters:
    """Draw centres that are uniform over the pixels of a `side` x `side` image."""
    row, column = torch.randint(side, (2, count), generator=generator)
    return CutoutParameters(row=row, column=column)


def apply_cutout(images: Tensor, parameters: CutoutParameters, cutout: CutoutSpec) -> Tensor:
    """Fill a square of `round(S * side_fraction)` pixels in each of `[N, C, S, S]`.

    Its part outside the image is lost.
    """
    side = images.shape[-1]
    hole = round(side * cutout.side_fraction)
    center = moved(parameters, images.device)
    pixel = torch.arange(side, device=images.device)
    covered = []
    for middle in (center.row, center.column):
        first = (middle - hole // 2).unsqueeze(1)
        covered.append((pixel >= first) & (pixel < first + hole))
    rows, columns = covered
    inside = rows.unsqueeze(2) & columns.unsqueeze(1)
    return images.masked_fill(inside.unsqueeze(1), cutout.fill)


def draw_noise(count: int, generator: Generator) -> NoiseParameters:
    """Draw seeds only, so that a worker draws for the whole batch at no cost."""
    return NoiseParameters(seed=torch.randint(2**63 - 1, (count,), generator=generator))


def apply_noise(images: Tensor, parameters: NoiseParameters, noise: NoiseSpec) -> Tensor:
    """Add independent N(0, std^2) to every channel of every pixel, clipped to [0, 1].

    Images are `[N, C, H, W]`.
    """
    seed = parameters.seed.to(images.device, non_blocking=True)
    normal = counter_normal(seed, prod(images.shape[1:]))
    return torch.add(images, normal.view_as(images), alpha=noise.std).clamp_(0, 1)


def counter_normal(seed: Tensor, numbers: int) -> Tensor:
    """Draw standard normal `[N, numbers]`, row n a function of `seed[n]` alone.

    It is the same on every device up to rounding. SplitMix64 of seed and position gives 64 bits,
    two uniforms of 24 bits and, by Box and Muller, two normals.
    """
    position = torch.arange(1, (numbers + 1) // 2 + 1, device=seed.device)
    bits = seed.unsqueeze(1) + position * GOLDEN
    bits = (bits ^ _shifted(bits, 30)) * FIRST
    bits = (bits ^ _shifted(bits, 27)) * SECOND
    bits = bits ^ _shifted(bits, 31)

    above_zero = (_shifted(bits, 40) + 1).to(torch.float32) * 2**-24
    angle = (_shifted(bits, 16) & 0xFFFFFF).to(torch.float32) * (tau * 2**-24)
    radius = above_zero.log_().mul_(-2).sqrt_()
    return torch.cat([radius * angle.cos(), radius * angle.sin()], dim=1)[:, :numbers]


def _shifted(bits: Tensor, count: int) -> Tensor:
    """Logical shift to the right: torch's `>>` repeats the sign."""
    return (bits >> count) & ((1 << (64 - count)) - 1)


def draw_rotate(rotate: RotateSpec, count: int, generator: Generator) -> RotateParameters:
    """Draw angles that are uniform over `rotate.angles`."""
    turns = torch.tensor(rotate.angles) // 90
    return RotateParameters(
        quarter_turns=turns[torch.randint(len(turns), (count,), generator=generator)]
    )


def apply_rotate(images: Tensor, parameters: RotateParameters) -> Tensor:
    """Turn each of `[N, C, S, S]` exactly, pixel for pixel."""
    rotated = images.clone()
    for turns in (1, 2, 3):
        chosen = indices(parameters.quarter_turns == turns, images.device)
        rotated[chosen] = torch.rot90(images[chosen], turns, dims=(2, 3))
    return rotated
