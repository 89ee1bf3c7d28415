"""Two views of each image: what is drawn, what is applied, and in which order.

Drawing and applying are apart. Every worker draws the parameters of the global batch from the same generator and
applies its own slice, so views do not depend on the number of workers.

The images of a batch are N uint8 images of C channels and H x W pixels; views have S x S pixels, S being
`augment.output_size` or else H. A leading crop reads the stored pixels; when the first operation is another, the
whole image is first brought to S x S. Every later operation sees S x S.
"""

from dataclasses import dataclass, replace

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import AugmentSpec, Operation
from workloads.simclr.views.color import ColorParameters, apply_color, draw_color
from workloads.simclr.views.corruptions import (
    CutoutParameters,
    NoiseParameters,
    RotateParameters,
    apply_cutout,
    apply_noise,
    apply_rotate,
    draw_cutout,
    draw_noise,
    draw_rotate,
)
from workloads.simclr.views.crop import CropParameters, apply_crop, draw_crop, resized
from workloads.simclr.views.filters import BlurParameters, apply_blur, apply_sobel, draw_blur
from workloads.simclr.views.samples import sliced

__all__ = [
    "TwoViewParameters",
    "ViewParameters",
    "apply_two_views",
    "apply_view",
    "center_view",
    "draw_two_views",
    "draw_view",
    "two_views",
]

BASE: tuple[Operation, ...] = ("crop",)  # what both views share when only one branch is augmented


@dataclass(frozen=True)
class ViewParameters:
    """Everything random about one view of `count` images; None where the operation is not in the policy."""

    count: int
    crop: CropParameters | None = None
    color: ColorParameters | None = None
    blur: BlurParameters | None = None
    cutout: CutoutParameters | None = None
    noise: NoiseParameters | None = None
    rotate: RotateParameters | None = None

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> "ViewParameters":
        """The parameters of some of the images."""
        return ViewParameters(
            count=len(range(self.count)[rows]),
            crop=self.crop and sliced(self.crop, rows),
            color=self.color and sliced(self.color, rows),
            blur=self.blur and sliced(self.blur, rows),
            cutout=self.cutout and sliced(self.cutout, rows),
            noise=self.noise and sliced(self.noise, rows),
            rotate=self.rotate and sliced(self.rotate, rows),
        )


@dataclass(frozen=True)
class TwoViewParameters:
    """Both views' parameters. With `branches="one"`, `first` is the shared crop and `second` what follows it."""

    first: ViewParameters
    second: ViewParameters

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> "TwoViewParameters":
        """The parameters of some of the images."""
        return TwoViewParameters(self.first[rows], self.second[rows])


def two_views(images: Tensor, augment: AugmentSpec, generator: Generator) -> tuple[Tensor, Tensor]:
    """uint8 `[N, C, H, W]` to two float32 `[N, C, S, S]` in [0, 1], on the device of the images.

    The generator is a CPU generator. Same state, same views.
    """
    count, _, height, width = images.shape
    return apply_two_views(images, draw_two_views(augment, count, height, width, generator), augment)


def draw_two_views(augment: AugmentSpec, count: int, height: int, width: int, generator: Generator) -> TwoViewParameters:
    """Parameters of both views of `count` images of `height` x `width` pixels."""
    if augment.branches == "both":
        first = _draw(augment.operations, augment, count, height, width, generator)
        return TwoViewParameters(first, _draw(augment.operations, augment, count, height, width, generator))
    base = _draw(BASE, augment, count, height, width, generator)
    side = augment.output_size or height
    return TwoViewParameters(base, _draw(augment.operations, augment, count, side, side, generator))


def apply_two_views(images: Tensor, parameters: TwoViewParameters, augment: AugmentSpec) -> tuple[Tensor, Tensor]:
    """Both views, `[N, C, S, S]`, of the images that the parameters were drawn (or sliced) for."""
    images = _as_float(images)
    if augment.branches == "both":
        return apply_view(images, parameters.first, augment), apply_view(images, parameters.second, augment)
    base = _apply(images, BASE, parameters.first, augment)
    return base, apply_view(base, parameters.second, augment)


def draw_view(augment: AugmentSpec, count: int, height: int, width: int, generator: Generator) -> ViewParameters:
    """Parameters of one view by `augment.operations`: small CPU tensors, one row per image, nothing per pixel."""
    return _draw(augment.operations, augment, count, height, width, generator)


def apply_view(images: Tensor, parameters: ViewParameters, augment: AugmentSpec) -> Tensor:
    """One view by `augment.operations`: uint8, or float32 in [0, 1], `[N, C, H, W]` to float32 `[N, C, S, S]`.

    Pure: the same images and parameters give the same view, whatever else is in the batch. Raises ValueError when the
    parameters are not those of N images, and TypeError for another dtype.
    """
    return _apply(images, augment.operations, parameters, augment)


def center_view(images: Tensor, size: int) -> Tensor:
    """The clean view for evaluation (B.6): uint8 `[N, C, H, W]` to the central float32 `[N, C, size, size]` in [0, 1].

    Nothing is resized: images are stored at `size`, or at `size / 0.875` when a central crop is wanted.
    Raises ValueError when they are smaller.
    """
    height, width = images.shape[-2:]
    if min(height, width) < size:
        raise ValueError(f"images of {height} x {width} pixels are smaller than the view of {size} x {size}")
    top, left = round((height - size) / 2), round((width - size) / 2)
    return _as_float(images[..., top : top + size, left : left + size])


def _draw(
    operations: tuple[Operation, ...], augment: AugmentSpec, count: int, height: int, width: int, generator: Generator
) -> ViewParameters:
    side = augment.output_size or height
    if operations[0] != "crop":
        height, width = side, side
    drawn = ViewParameters(count)
    for operation in operations:
        match operation:
            case "crop":
                drawn = replace(drawn, crop=draw_crop(augment.crop, count, height, width, generator))
            case "color":
                drawn = replace(drawn, color=draw_color(augment.color, count, generator))
            case "blur":
                drawn = replace(drawn, blur=draw_blur(augment.blur, count, generator))
            case "cutout":
                drawn = replace(drawn, cutout=draw_cutout(count, side, generator))
            case "noise":
                drawn = replace(drawn, noise=draw_noise(count, generator))
            case "rotate":
                drawn = replace(drawn, rotate=draw_rotate(augment.rotate, count, generator))
            case "sobel":
                pass
    return drawn


def _apply(images: Tensor, operations: tuple[Operation, ...], parameters: ViewParameters, augment: AugmentSpec) -> Tensor:
    if len(images) != len(parameters):
        raise ValueError(f"{len(images)} images, but parameters of {len(parameters)}")
    side = augment.output_size or images.shape[-2]
    # The resize is a matrix product, which autocast would round to bf16.
    with torch.autocast(images.device.type, enabled=False):
        view = _as_float(images)
        if operations[0] != "crop":
            view = resized(view, side, augment.crop.interpolation, augment.crop.antialias)
        for operation in operations:
            view = _apply_operation(view, operation, parameters, augment, side)
    return view


def _apply_operation(view: Tensor, operation: Operation, parameters: ViewParameters, augment: AugmentSpec, side: int) -> Tensor:
    match operation:
        case "crop":
            assert parameters.crop is not None
            return apply_crop(view, parameters.crop, augment.crop, side)
        case "color":
            assert parameters.color is not None
            return apply_color(view, parameters.color)
        case "blur":
            assert parameters.blur is not None
            return apply_blur(view, parameters.blur, augment.blur)
        case "cutout":
            assert parameters.cutout is not None
            return apply_cutout(view, parameters.cutout, augment.cutout)
        case "noise":
            assert parameters.noise is not None
            return apply_noise(view, parameters.noise, augment.noise)
        case "rotate":
            assert parameters.rotate is not None
            return apply_rotate(view, parameters.rotate)
        case "sobel":
            return apply_sobel(view)


def _as_float(images: Tensor) -> Tensor:
    if images.dtype == torch.float32:
        return images
    if images.dtype != torch.uint8:
        raise TypeError(f"images of {images.dtype}: need uint8, or float32 in [0, 1]")
    return images.to(torch.float32).div_(255)
