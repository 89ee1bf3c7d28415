"""Two views of each image: what is applied, and in which order.

Drawing and applying are apart. Every worker draws the parameters of the global batch from the same
generator and applies its own slice, so views do not depend on the number of workers.

The images of a batch are N uint8 images of C channels and H x W pixels; views have S x S pixels, S
being `augment.output_size` or else H. A leading crop reads the stored pixels; when the first
operation is another, the whole image is first brought to S x S. Every later operation sees S x S.
"""

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import AugmentSpec
from workloads.simclr.views.color import ColorParameters, apply_color
from workloads.simclr.views.corruptions import (
    CutoutParameters,
    NoiseParameters,
    RotateParameters,
    apply_cutout,
    apply_noise,
    apply_rotate,
)
from workloads.simclr.views.crop import CropParameters, apply_crop, resized
from workloads.simclr.views.filters import (
    BlurParameters,
    MotionBlurParameters,
    apply_blur,
    apply_motion_blur,
    apply_sobel,
)
from workloads.simclr.views.levels import (
    AutoAugmentParameters,
    apply_auto_augment,
    apply_equalize,
    apply_solarize,
    as_float,
)
from workloads.simclr.views.own import OwnParameters, apply_own
from workloads.simclr.views.parameters import (
    BASE,
    Parameters,
    TwoViewParameters,
    ViewParameters,
    draw_two_views,
)
from workloads.simclr.views.samples import indices, sliced

__all__ = ["apply_two_views", "apply_view", "center_view", "two_views"]


def two_views(images: Tensor, augment: AugmentSpec, generator: Generator) -> tuple[Tensor, Tensor]:
    """Make two float32 views `[N, C, S, S]` in [0, 1] of uint8 images `[N, C, H, W]`.

    Views are on the device of the images. The generator is a CPU generator. Same state, same views.
    """
    count, _, height, width = images.shape
    parameters = draw_two_views(augment, count, height, width, generator)
    return apply_two_views(images, parameters, augment)


def apply_two_views(
    images: Tensor, parameters: TwoViewParameters, augment: AugmentSpec
) -> tuple[Tensor, Tensor]:
    """Make both views, `[N, C, S, S]`, of the images that parameters were drawn or sliced for."""
    images = as_float(images)
    if augment.branches == "both":
        # As one batch: on a GPU that small images leave idle, launching the operations is what
        # takes the time.
        both = parameters.first.followed_by(parameters.second)
        first, second = apply_view(images.repeat(2, 1, 1, 1), both, augment).chunk(2)
        return first, second

    base = _apply(images, BASE, parameters.first, augment)
    return base, apply_view(base, parameters.second, augment)


def apply_view(images: Tensor, parameters: ViewParameters, augment: AugmentSpec) -> Tensor:
    """Make one view by `augment.operations`: `[N, C, H, W]` to float32 `[N, C, S, S]`.

    Images are uint8, or float32 in [0, 1]. Pure: the same images and parameters give the same view,
    whatever else is in the batch. Raises ValueError when the parameters are not those of N images
    or of this policy, and TypeError for another dtype.
    """
    return _apply(images, augment.operations, parameters, augment)


def center_view(images: Tensor, size: int) -> Tensor:
    """Cut out the clean view for evaluation (B.6): the central float32 `[N, C, size, size]`.

    Images are uint8 `[N, C, H, W]`, the view is in [0, 1]. Nothing is resized: images are stored at
    `size`, or at `size / 0.875` when a central crop is wanted. Raises ValueError when they are
    smaller.
    """
    height, width = images.shape[-2:]
    if min(height, width) < size:
        raise ValueError(
            f"images of {height} x {width} pixels are smaller than the view of {size} x {size}"
        )
    top, left = round((height - size) / 2), round((width - size) / 2)
    return as_float(images[..., top : top + size, left : left + size])


def _apply(
    images: Tensor,
    operations: tuple[str, ...],
    parameters: ViewParameters,
    augment: AugmentSpec,
) -> Tensor:
    if len(images) != len(parameters):
        raise ValueError(f"{len(images)} images, but parameters of {len(parameters)}")
    side = augment.output_size or images.shape[-2]
    # The resize is a matrix product, which autocast would round to bf16.
    with torch.autocast(images.device.type, enabled=False):
        view = as_float(images)
        if operations[0] != "crop":
            view = resized(view, side, augment.crop.interpolation, augment.crop.antialias)
        for operation in operations:
            view = _apply_where_chosen(view, operation, parameters, augment, side)
    return view


def _apply_where_chosen(
    view: Tensor, operation: str, parameters: ViewParameters, augment: AugmentSpec, side: int
) -> Tensor:
    drawn, chosen = parameters.of(operation), parameters.chosen.get(operation)
    if isinstance(drawn, OwnParameters):  # with coins of its own
        return apply_own(view, operation, drawn, augment)
    if chosen is None:
        return _apply_operation(view, operation, drawn, augment, side)

    where = indices(chosen, view.device)
    if len(where) == 0:
        return view
    own = drawn and sliced(drawn, chosen)
    acted_on = _apply_operation(view[where], operation, own, augment, side)
    return view.index_copy(0, where, acted_on)


def _apply_operation(
    view: Tensor, operation: str, drawn: Parameters | None, augment: AugmentSpec, side: int
) -> Tensor:
    match drawn:
        case CropParameters():
            return apply_crop(view, drawn, augment.crop, side)
        case ColorParameters():
            return apply_color(view, drawn)
        case BlurParameters():
            return apply_blur(view, drawn, augment.blur)
        case CutoutParameters():
            return apply_cutout(view, drawn, augment.cutout)
        case NoiseParameters():
            return apply_noise(view, drawn, augment.noise)
        case RotateParameters():
            return apply_rotate(view, drawn)
        case MotionBlurParameters():
            return apply_motion_blur(view, drawn, augment.motion_blur)
        case AutoAugmentParameters():
            return apply_auto_augment(view, drawn, augment.auto_augment)
        case None:
            return _apply_without_parameters(view, operation, augment)


def _apply_without_parameters(view: Tensor, operation: str, augment: AugmentSpec) -> Tensor:
    match operation:
        case "sobel":
            return apply_sobel(view)
        case "solarize":
            return apply_solarize(view, augment.solarize)
        case "equalize":
            return apply_equalize(view)
        case _:
            raise ValueError(
                f"parameters without those of {operation}: they were drawn for another policy"
            )
