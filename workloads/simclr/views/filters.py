"""Filters of a view: Gaussian blur (appendix A), motion blur (B.2) and Sobel (Figure 4)."""

from dataclasses import dataclass
from math import pi, sqrt

import torch
import torch.nn.functional as F
from torch import Generator, Tensor

from workloads.simclr.spec import BlurSpec, MotionBlurSpec
from workloads.simclr.views.color import luma
from workloads.simclr.views.resample import matrix_products
from workloads.simclr.views.samples import coin, indices, uniform

__all__ = [
    "BlurParameters",
    "MotionBlurParameters",
    "apply_blur",
    "apply_motion_blur",
    "apply_sobel",
    "blur_kernel_size",
    "draw_blur",
    "draw_motion_blur",
    "motion_kernels",
]

# Largest Sobel magnitude of an image in [0, 1]: gx = 4 and gy = 2 where five of the eight
# neighbours are chosen best.
SOBEL_MAXIMUM = sqrt(20)


@dataclass(frozen=True)
class BlurParameters:
    """Standard deviation in pixels and whether the image is blurred; both `[N]`."""

    sigma: Tensor
    blurred: Tensor


@dataclass(frozen=True)
class MotionBlurParameters:
    """Angle of the line in radians, from rightward towards downward, float64 `[N]`."""

    angle: Tensor


def draw_blur(blur: BlurSpec, count: int, generator: Generator) -> BlurParameters:
    """Draw sigma ~ U(min_sigma, max_sigma), per image or once for the call, and coins.

    The coin is always per image.
    """
    sigmas = 1 if blur.one_sigma_per_batch else count
    drawn = uniform(blur.min_sigma, blur.max_sigma, sigmas, generator)
    blurred = coin(blur.probability, count, generator)
    return BlurParameters(sigma=drawn.expand(count), blurred=blurred)


def blur_kernel_size(side: int, fraction: float) -> int:
    """Return the odd number of taps of a kernel that covers a share of the side.

    That is 23 for 224 pixels and 3 for 32 pixels at a tenth; 1, which blurs nothing, below 20
    pixels.
    """
    return int(side * fraction) // 2 * 2 + 1


def apply_blur(images: Tensor, parameters: BlurParameters, blur: BlurSpec) -> Tensor:
    """Blur the chosen ones of `[N, C, S, S]`.

    Borders are reflected, as in torchvision; the authors' code pads with zeros.
    """
    side, device = images.shape[-1], images.device
    taps = blur_kernel_size(side, blur.kernel_fraction)

    chosen = indices(parameters.blurred, device)
    sigma = parameters.sigma[parameters.blurred].to(device, torch.float32, non_blocking=True)
    matrices = _blur_matrices(sigma, taps, side)
    blurred = matrix_products(images[chosen], matrices, matrices)
    return images.index_copy(0, chosen, blurred.clamp_(0, 1))


def _blur_matrices(sigma: Tensor, taps: int, side: int) -> Tensor:
    """Banded `[N, side, side]` of `[N]`: a normalised Gaussian of `taps` along each row.

    It is reflected at the borders.
    """
    offset = torch.arange(taps, device=sigma.device) - taps // 2
    weights = torch.softmax(-0.5 * (offset / sigma.unsqueeze(1)) ** 2, dim=1)
    source = (torch.arange(side, device=sigma.device) + offset.unsqueeze(1)).abs()
    source = torch.where(source < side, source, 2 * (side - 1) - source)
    shifts = F.one_hot(source, side).to(weights.dtype)
    return (weights @ shifts.flatten(1)).view(-1, side, side)


def draw_motion_blur(count: int, generator: Generator) -> MotionBlurParameters:
    """Draw angle ~ U(0, pi): a line has no sense of direction."""
    return MotionBlurParameters(angle=uniform(0, pi, count, generator))


def apply_motion_blur(
    images: Tensor, parameters: MotionBlurParameters, motion_blur: MotionBlurSpec
) -> Tensor:
    """Blur each of `[N, C, S, S]` along a line of its own angle.

    Each pixel becomes the mean along a line through it. The line has as many pixels as the Gaussian
    kernel of that share of the side has taps, and at least 3. Borders are reflected, as in
    `apply_blur`. The paper does not publish its kernel; ours.
    """
    count, channels, height, width = images.shape
    length = max(3, blur_kernel_size(width, motion_blur.kernel_fraction))
    # A small product, made on the CPU in float64: every device then multiplies by the same numbers.
    kernels = motion_kernels(parameters.angle, length).to(
        images.device, torch.float32, non_blocking=True
    )

    # Every channel of every image is a plane of its own, with the kernel of its image.
    padded = F.pad(images, [length // 2] * 4, mode="reflect")
    planes = padded.reshape(1, count * channels, *padded.shape[2:])
    blurred = F.conv2d(
        planes, kernels.repeat_interleave(channels, 0).unsqueeze(1), groups=count * channels
    )
    return blurred.view(count, channels, height, width).clamp_(0, 1)


def motion_kernels(angle: Tensor, length: int) -> Tensor:
    """Return kernels `[N, length, length]` of lines at angles `[N]`.

    A line has `length` points a pixel apart about the centre, shared out by bilinear weights.
    """
    pixel = torch.arange(length) - length // 2
    along = pixel.unsqueeze(1)
    rows, columns = (
        (1 - (pixel - along * step.view(-1, 1, 1)).abs()).clamp_(min=0)
        for step in (angle.sin(), angle.cos())
    )
    return rows.transpose(1, 2) @ columns / length


def apply_sobel(images: Tensor) -> Tensor:
    """Return the Sobel gradient magnitude of the gray image, repeated to C channels.

    From and to `[N, C, H, W]` in [0, 1], by 3 x 3 kernels with borders replicated. The magnitude is
    divided by sqrt(20), the largest that an image in [0, 1] can have, so that the result fills [0,
    1]. The paper does not publish its scaling; ours.
    """
    padded = F.pad(luma(images), (1, 1, 1, 1), mode="replicate")
    across = padded[..., :, 2:] - padded[..., :, :-2]
    down = padded[..., 2:, :] - padded[..., :-2, :]
    gx = across[..., :-2, :] + 2 * across[..., 1:-1, :] + across[..., 2:, :]
    gy = down[..., :, :-2] + 2 * down[..., :, 1:-1] + down[..., :, 2:]
    magnitude = (gx * gx).addcmul_(gy, gy).sqrt_().div_(SOBEL_MAXIMUM).clamp_(0, 1)
    return magnitude.expand(-1, images.shape[1], -1, -1)
