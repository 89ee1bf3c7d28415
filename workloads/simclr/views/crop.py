"""Random crop, resize and horizontal flip (appendix A)."""

from dataclasses import dataclass
from functools import partial
from math import log

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import CropSpec
from workloads.simclr.views.resample import Interpolation, axis_weights, matrix_products
from workloads.simclr.views.samples import coin, moved, uniform, uniform_integer

__all__ = ["CropParameters", "apply_crop", "draw_crop", "resized"]

DRAWS, ATTEMPTS_A_DRAW = 10, 10  # 100 attempts in all, as in the authors' code


@dataclass(frozen=True)
class CropParameters:
    """Boxes in pixels of the input (int64) and whether to mirror (bool); every field `[N]`."""

    top: Tensor
    left: Tensor
    height: Tensor
    width: Tensor
    flip: Tensor


def draw_crop(
    crop: CropSpec, count: int, height: int, width: int, generator: Generator
) -> CropParameters:
    """Draw boxes at uniform positions, of area U(min_area, max_area) and log-uniform aspect.

    The area is a share of the image's, the aspect is width / height. A box that does not fit the
    image, or covers less than `min_covered` of it, is redrawn; after 100 attempts the box is the
    largest central one within the aspects. This is the paper's text and torchvision's
    RandomResizedCrop. The authors' code uses TensorFlow's sample_distorted_bounding_box, which
    draws the aspect uniformly and then the height uniformly over what the areas allow, and so
    favours small areas.
    """
    box_height, box_width, found = _draw_sizes(crop, count, height, width, generator)
    top = uniform_integer(height + 1 - box_height, generator)
    left = uniform_integer(width + 1 - box_width, generator)
    return CropParameters(
        top=torch.where(found, top, (height - box_height) // 2),
        left=torch.where(found, left, (width - box_width) // 2),
        height=box_height,
        width=box_width,
        flip=coin(crop.flip, count, generator),
    )


def apply_crop(images: Tensor, parameters: CropParameters, crop: CropSpec, side: int) -> Tensor:
    """Crop and resize `[N, C, H, W]` in [0, 1] to `[N, C, side, side]`, overshoot clipped.

    Only bicubic interpolation overshoots.
    """
    boxes = moved(parameters, images.device)
    height, width = images.shape[-2:]
    weights = partial(
        axis_weights, outputs=side, interpolation=crop.interpolation, antialias=crop.antialias
    )

    if height == width:
        # Both axes at once, which launches half as many operations.
        start, length = torch.cat([boxes.top, boxes.left]), torch.cat([boxes.height, boxes.width])
        mirrored = torch.cat([torch.zeros_like(boxes.flip), boxes.flip])
        rows, columns = weights(start, length, height, mirrored=mirrored).chunk(2)
    else:
        rows = weights(boxes.top, boxes.height, height)
        columns = weights(boxes.left, boxes.width, width, mirrored=boxes.flip)
    return matrix_products(images, rows, columns).clamp_(0, 1)


def resized(images: Tensor, side: int, interpolation: Interpolation, antialias: bool) -> Tensor:
    """Resize whole images, `[N, C, H, W]` in [0, 1], to `[N, C, side, side]`."""
    height, width = images.shape[-2:]
    if height == width == side:
        return images
    start = torch.zeros(1, dtype=torch.long, device=images.device)
    rows = axis_weights(
        start, start + height, height, side, interpolation=interpolation, antialias=antialias
    )
    columns = axis_weights(
        start, start + width, width, side, interpolation=interpolation, antialias=antialias
    )
    return (rows[0] @ images @ columns[0].T).clamp_(0, 1)


def _draw_sizes(
    crop: CropSpec, count: int, height: int, width: int, generator: Generator
) -> tuple[Tensor, ...]:
    """Heights, widths, and whether they were drawn rather than fallen back to; `[N]` each."""
    central_height, central_width = _central_size(crop, height, width)
    box_height = torch.full((count,), central_height)
    box_width = torch.full((count,), central_width)
    found = torch.zeros(count, dtype=torch.bool)
    for _ in range(DRAWS):
        pending = (~found).nonzero().squeeze(1)
        if not len(pending):
            break

        # Several attempts an image at once: one each would take a hundred draws.
        attempts = ATTEMPTS_A_DRAW * len(pending)
        area = uniform(crop.min_area, crop.max_area, attempts, generator) * (height * width)
        aspect = uniform(log(crop.min_aspect), log(crop.max_aspect), attempts, generator).exp()
        tall = (area / aspect).sqrt().round().long()
        wide = (area * aspect).sqrt().round().long()

        fits = (tall > 0) & (tall <= height) & (wide > 0) & (wide <= width)
        fits &= tall * wide >= crop.min_covered * height * width
        found[pending], first = fits.view(-1, ATTEMPTS_A_DRAW).max(dim=1)
        chosen = torch.arange(len(pending)) * ATTEMPTS_A_DRAW + first
        box_height[pending] = torch.where(found[pending], tall[chosen], central_height)
        box_width[pending] = torch.where(found[pending], wide[chosen], central_width)
    return box_height, box_width, found


def _central_size(crop: CropSpec, height: int, width: int) -> tuple[int, int]:
    """The largest box whose aspect is allowed, which is the whole image when its own aspect is."""
    if width / height < crop.min_aspect:
        return round(width / crop.min_aspect), width
    if width / height > crop.max_aspect:
        return height, round(height * crop.max_aspect)
    return height, width
