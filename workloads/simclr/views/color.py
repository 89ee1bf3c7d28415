"""Colour distortion (appendix A): jitter in random order, then grayscale.

Jitter is of brightness, contrast, saturation and hue. The formulas are torchvision's. The authors'
code differs: its contrast blends with the mean of each channel, and its saturation scales S in HSV
where torchvision's blends with the gray image.
"""

from dataclasses import dataclass

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import ColorSpec
from workloads.simclr.views.samples import coin, indices, uniform

__all__ = [
    "BRIGHTNESS",
    "CONTRAST",
    "HUE",
    "SATURATION",
    "ColorParameters",
    "apply_color",
    "draw_color",
    "luma",
    "turn_hue",
]

BRIGHTNESS, CONTRAST, SATURATION, HUE = range(4)
RED, GREEN, BLUE = 0.2989, 0.587, 0.114  # ITU-R 601-2 luma, with torchvision's digits


@dataclass(frozen=True)
class ColorParameters:
    """The drawn jitter of each image, and whether it becomes grey; every field `[N]` but `order`.

    Factors multiply, `brightness_shift` adds, `hue` is a share of the colour circle. `order` `[N,
    4]` holds BRIGHTNESS, CONTRAST, SATURATION and HUE in the order in which each image sees them.
    """

    jittered: Tensor
    grayscale: Tensor
    order: Tensor
    brightness: Tensor
    brightness_shift: Tensor
    contrast: Tensor
    saturation: Tensor
    hue: Tensor


def draw_color(color: ColorSpec, count: int, generator: Generator) -> ColorParameters:
    """Draw jitter of strength s and the choice of grey images.

    Factors are U(max(0, 1 - 0.8 s), 1 + 0.8 s), or the shift U(-0.8 s, 0.8 s); hue is U(-0.2 s, 0.2
    s), in +-0.5.
    """
    wide, narrow = 0.8 * color.strength, min(0.2 * color.strength, 0.5)
    low, high = max(0.0, 1 - wide), 1 + wide

    # In this order, which decides what each image gets of a generator's numbers.
    jittered = coin(color.jitter_probability, count, generator)
    grayscale = coin(color.grayscale_probability, count, generator)
    order = torch.rand(count, 4, generator=generator).argsort(dim=1)
    brightness = torch.ones(count, dtype=torch.float64)
    shift = torch.zeros(count, dtype=torch.float64)
    if color.brightness == "additive":
        shift = uniform(-wide, wide, count, generator)
    else:
        brightness = uniform(low, high, count, generator)
    return ColorParameters(
        jittered=jittered,
        grayscale=grayscale,
        order=order,
        brightness=brightness,
        brightness_shift=shift,
        contrast=uniform(low, high, count, generator),
        saturation=uniform(low, high, count, generator),
        hue=uniform(-narrow, narrow, count, generator),
    )


def apply_color(images: Tensor, parameters: ColorParameters) -> Tensor:
    """Distort the colours of `[N, C, H, W]` in [0, 1], clipped to [0, 1] after each part.

    One channel has no hue to turn.
    """
    blends = _blends(parameters).to(images.device, non_blocking=True)
    for position in range(4):
        images = _blend(images, *blends[position])
        turned = parameters.jittered & (parameters.order[:, position] == HUE)
        if images.shape[1] == 3 and turned.any():
            where = indices(turned, images.device)
            images[where] = turn_hue(
                images[where], parameters.hue[turned].to(images.device, non_blocking=True)
            )

    where = indices(parameters.grayscale, images.device)
    images[where] = luma(images[where]).expand(-1, images.shape[1], -1, -1)
    return images


def turn_hue(images: Tensor, turn: Tensor) -> Tensor:
    """Turn the hue of HSV of RGB `[N, 3, H, W]` by `turn` `[N]`, where 1 is the whole circle."""
    red, green, blue = images.unbind(dim=1)
    low = torch.minimum(torch.minimum(red, green), blue)
    high = torch.maximum(torch.maximum(red, green), blue)
    chroma = high - low

    # Hue in sixths of the circle: red at 0, green at 2, blue at 4.
    hue = torch.where(high == green, blue - red + 2 * chroma, red - green + 4 * chroma)
    hue = torch.where(high == red, green - blue, hue).div_(
        chroma.clamp(min=torch.finfo(chroma.dtype).tiny)
    )
    hue += 6 * turn.to(hue.dtype).view(-1, 1, 1)
    hue -= 6 * (hue / 6).floor_()

    # Back to RGB: each channel rises and falls along the circle, a third of it apart.
    turned = torch.empty_like(images)
    torch.addcmul(low, chroma, (hue - 3).abs_().sub_(1).clamp_(0, 1), out=turned[:, 0])
    torch.addcmul(low, chroma, (hue - 2).abs_().neg_().add_(2).clamp_(0, 1), out=turned[:, 1])
    torch.addcmul(low, chroma, (hue - 4).abs_().neg_().add_(2).clamp_(0, 1), out=turned[:, 2])
    return turned


def luma(images: Tensor) -> Tensor:
    """Convert `[N, C, H, W]` to gray `[N, 1, H, W]`. Raises ValueError unless C is 1 or 3."""
    if images.shape[1] == 1:
        return images
    if images.shape[1] != 3:
        raise ValueError(
            f"images of shape {list(images.shape)}: need 1 (gray) or 3 (RGB) channels in "
            "dimension 1"
        )
    red, green, blue = images[:, 0:1], images[:, 1:2], images[:, 2:3]
    return (red * RED).add_(green, alpha=GREEN).add_(blue, alpha=BLUE)


def _blends(parameters: ColorParameters) -> Tensor:
    """Brightness, contrast and saturation as one form, `[4, 4, N, 1, 1, 1]`.

    The first dimension is a position in the order, the second a coefficient. The form is `factor *
    image + shift + gray_share * gray + mean_share * mean(gray)`; an image that sees none of the
    three at a position has the identity there.
    """
    kind, jittered = parameters.order.T, parameters.jittered
    brightens, contrasts, saturates = (
        jittered & (kind == part) for part in (BRIGHTNESS, CONTRAST, SATURATION)
    )
    factor = torch.ones(kind.shape, dtype=torch.float64)
    factor = torch.where(brightens, parameters.brightness, factor)
    factor = torch.where(contrasts, parameters.contrast, factor)
    factor = torch.where(saturates, parameters.saturation, factor)

    shift = brightens * parameters.brightness_shift
    coefficients = torch.stack(
        [factor, shift, saturates * (1 - factor), contrasts * (1 - factor)], dim=1
    )
    return coefficients.to(torch.float32).view(4, 4, -1, 1, 1, 1)


def _blend(
    images: Tensor, factor: Tensor, shift: Tensor, gray_share: Tensor, mean_share: Tensor
) -> Tensor:
    gray = luma(images)
    flat = torch.addcmul(shift, mean_share, gray.mean(dim=(2, 3), keepdim=True))
    return torch.addcmul(torch.addcmul(flat, gray_share, gray), images, factor).clamp_(0, 1)
