"""Resizing each image of a batch from a box of its own, as two batched matrix products.

Interpolation is separable: `out = R @ image @ C^T` with one row matrix R `[H', H]` and one column
matrix C `[W', W]` per sample, most of their entries zero. A batch of differently cropped images is
then one product on every device. float32 products follow `torch.set_float32_matmul_precision`.

Shapes: N images, C channels, H x W input, S output pixels along an axis.
"""

from typing import Literal

import torch
from torch import Tensor

__all__ = ["Interpolation", "axis_weights", "matrix_products"]

Interpolation = Literal["bicubic", "bilinear"]


def matrix_products(images: Tensor, rows: Tensor, columns: Tensor) -> Tensor:
    """Compute `rows @ images @ columns^T` per sample.

    `[N, C, H, W]`, `[N, H', H]`, `[N, W', W]` to `[N, C, H', W']`.
    """
    count, channels, height, width = images.shape
    wide = torch.bmm(images.reshape(count, channels * height, width), columns.transpose(1, 2))
    return torch.matmul(rows.unsqueeze(1), wide.view(count, channels, height, columns.shape[1]))


def axis_weights(
    start: Tensor,
    length: Tensor,
    inputs: int,
    outputs: int,
    *,
    interpolation: Interpolation,
    antialias: bool,
    mirrored: Tensor | None = None,
) -> Tensor:
    """Return matrices that resize `[start, start + length)` of an axis to `outputs` pixels.

    They are `[N, outputs, inputs]`. start, length and mirrored (reverse the outputs) are `[N]`.
    Pixels outside the box are never read: at its borders the kernel sees the border pixel again
    without antialiasing and is renormalised with it, as in torch and torchvision.
    """
    position = torch.arange(outputs, device=start.device).expand(len(start), -1)
    if mirrored is not None:
        position = torch.where(mirrored.unsqueeze(1), outputs - 1 - position, position)

    # The centre of each output pixel, in pixels of the box.
    scale = length.to(torch.float32).unsqueeze(1) / outputs
    center = (position + 0.5) * scale - 0.5
    if antialias:
        return _low_pass(center, scale.clamp(min=1), start, length, inputs, interpolation)
    return _point_samples(center, start, length, inputs, interpolation)


def _point_samples(
    center: Tensor, start: Tensor, length: Tensor, inputs: int, interpolation: Interpolation
) -> Tensor:
    """The 2 or 4 taps around each center `[N, S]`, those beyond the box moved to its border."""
    first, taps = (-1, 4) if interpolation == "bicubic" else (0, 2)
    weights = center.new_zeros(*center.shape, inputs)
    floor = center.floor()
    last = length.unsqueeze(1) - 1
    for tap in range(first, first + taps):
        value = _kernel(center - (floor + tap), interpolation, a=-0.75)
        index = (floor.long() + tap).clamp(min=0).minimum(last) + start.unsqueeze(1)
        # One tap at a time: no index occurs twice in a row of one call, so that the sum has one
        # order on every device.
        weights.scatter_add_(2, index.unsqueeze(2), value.unsqueeze(2))
    return weights


def _low_pass(
    center: Tensor,
    stretch: Tensor,
    start: Tensor,
    length: Tensor,
    inputs: int,
    interpolation: Interpolation,
) -> Tensor:
    """The kernel stretched over `stretch` input pixels when shrinking, cut at the box.

    Weights are normalised.
    """
    pixel = torch.arange(inputs, device=center.device) - start.unsqueeze(1)
    inside = (pixel >= 0) & (pixel < length.unsqueeze(1))
    distance = (pixel.unsqueeze(1) - center.unsqueeze(2)) / stretch.unsqueeze(2)
    weights = _kernel(distance, interpolation, a=-0.5) * inside.unsqueeze(1)
    return weights / weights.sum(dim=2, keepdim=True)


def _kernel(distance: Tensor, interpolation: Interpolation, *, a: float) -> Tensor:
    """The triangle, or Keys' cubic convolution (1981) with its free parameter.

    That is -0.75 in torch, -0.5 in PIL.
    """
    x = distance.abs()
    if interpolation == "bilinear":
        return (1 - x).clamp(min=0)
    near = ((a + 2) * x - (a + 3)) * x * x + 1
    far = a * (((x - 5) * x + 8) * x - 4)
    return torch.where(x <= 1, near, torch.where(x < 2, far, 0.0))
