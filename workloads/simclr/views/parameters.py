"""Everything that is drawn for the views of a batch, in the order of the operations."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import torch
from torch import Generator, Tensor

from workloads.simclr.spec import AugmentSpec
from workloads.simclr.views.color import ColorParameters, draw_color
from workloads.simclr.views.corruptions import (
    CutoutParameters,
    NoiseParameters,
    RotateParameters,
    draw_cutout,
    draw_noise,
    draw_rotate,
)
from workloads.simclr.views.crop import CropParameters, draw_crop
from workloads.simclr.views.filters import (
    BlurParameters,
    MotionBlurParameters,
    draw_blur,
    draw_motion_blur,
)
from workloads.simclr.views.levels import AutoAugmentParameters, draw_auto_augment
from workloads.simclr.views.own import OwnParameters, draw_own
from workloads.simclr.views.samples import coin, joined, sliced

__all__ = [
    "BASE",
    "Parameters",
    "TwoViewParameters",
    "ViewParameters",
    "draw_two_views",
    "draw_view",
]

BASE: tuple[str, ...] = ("crop",)  # what both views share when only one branch is augmented

Parameters = (
    CropParameters
    | ColorParameters
    | BlurParameters
    | CutoutParameters
    | NoiseParameters
    | RotateParameters
    | MotionBlurParameters
    | AutoAugmentParameters
)


@dataclass(frozen=True)
class ViewParameters:
    """Everything random about one view of `count` images.

    None stands for an operation that is not in the policy. `chosen` holds the operations of a
    probability below 1 with the images that each acts on, bool `[N]`. Crop, color and blur are
    never there: they have coins of their own.
    """

    count: int
    crop: CropParameters | None = None
    color: ColorParameters | None = None
    blur: BlurParameters | None = None
    cutout: CutoutParameters | None = None
    noise: NoiseParameters | None = None
    rotate: RotateParameters | None = None
    motion_blur: MotionBlurParameters | None = None
    auto_augment: AutoAugmentParameters | None = None
    chosen: Mapping[str, Tensor] = field(default_factory=dict)
    own: Mapping[str, OwnParameters] = field(default_factory=dict)

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, rows: slice) -> "ViewParameters":
        """Return the parameters of some of the images."""
        return ViewParameters(
            count=len(range(self.count)[rows]),
            crop=self.crop and sliced(self.crop, rows),
            color=self.color and sliced(self.color, rows),
            blur=self.blur and sliced(self.blur, rows),
            cutout=self.cutout and sliced(self.cutout, rows),
            noise=self.noise and sliced(self.noise, rows),
            rotate=self.rotate and sliced(self.rotate, rows),
            motion_blur=self.motion_blur and sliced(self.motion_blur, rows),
            auto_augment=self.auto_augment and sliced(self.auto_augment, rows),
            chosen={operation: images[rows] for operation, images in self.chosen.items()},
            own={operation: sliced(drawn, rows) for operation, drawn in self.own.items()},
        )

    def followed_by(self, other: "ViewParameters") -> "ViewParameters":
        """Join the parameters of these images and then of the other's, drawn by the same policy."""
        return ViewParameters(
            count=self.count + other.count,
            crop=joined(self.crop, other.crop),
            color=joined(self.color, other.color),
            blur=joined(self.blur, other.blur),
            cutout=joined(self.cutout, other.cutout),
            noise=joined(self.noise, other.noise),
            rotate=joined(self.rotate, other.rotate),
            motion_blur=joined(self.motion_blur, other.motion_blur),
            auto_augment=joined(self.auto_augment, other.auto_augment),
            chosen={
                operation: torch.cat([images, other.chosen[operation]])
                for operation, images in self.chosen.items()
            },
            own={
                operation: replace(drawn, seed=torch.cat([drawn.seed, other.own[operation].seed]))
                for operation, drawn in self.own.items()
            },
        )

    def of(self, operation: str) -> Parameters | OwnParameters | None:
        """Return what was drawn for one operation.

        None for sobel, solarize and equalize too, which need nothing.
        """
        if operation in self.own:
            return self.own[operation]
        drawn: Parameters | None = getattr(self, operation, None)
        return drawn


@dataclass(frozen=True)
class TwoViewParameters:
    """Both views' parameters.

    With `branches="one"`, `first` is the shared crop and `second` what follows it.
    """

    first: ViewParameters
    second: ViewParameters

    def __len__(self) -> int:
        return len(self.first)

    def __getitem__(self, rows: slice) -> "TwoViewParameters":
        """Return the parameters of some of the images."""
        return TwoViewParameters(self.first[rows], self.second[rows])


def draw_two_views(
    augment: AugmentSpec, count: int, height: int, width: int, generator: Generator
) -> TwoViewParameters:
    """Draw parameters of both views of `count` images of `height` x `width` pixels."""
    if augment.branches == "both":
        first = _draw(augment.operations, augment, count, height, width, generator)
        second = _draw(augment.operations, augment, count, height, width, generator)
        return TwoViewParameters(first, second)

    base = _draw(BASE, augment, count, height, width, generator)
    side = augment.output_size or height
    second = _draw(augment.operations, augment, count, side, side, generator)
    return TwoViewParameters(base, second)


def draw_view(
    augment: AugmentSpec, count: int, height: int, width: int, generator: Generator
) -> ViewParameters:
    """Draw parameters of one view by `augment.operations`.

    They are small CPU tensors, one row per image, nothing per pixel.
    """
    return _draw(augment.operations, augment, count, height, width, generator)


def _draw(
    operations: tuple[str, ...],
    augment: AugmentSpec,
    count: int,
    height: int,
    width: int,
    generator: Generator,
) -> ViewParameters:
    if operations[0] != "crop":
        height = width = augment.output_size or height

    drawn, chosen = ViewParameters(count), {}
    for operation in operations:
        drawn = _with_operation(drawn, operation, augment, height, width, generator)
        probability = _probability(operation, augment)
        # what is certain takes no coin: such policies keep the random numbers they always had
        if probability < 1:
            chosen[operation] = coin(probability, count, generator)
    return replace(drawn, chosen=chosen)


def _with_operation(
    drawn: ViewParameters,
    operation: str,
    augment: AugmentSpec,
    height: int,
    width: int,
    generator: Generator,
) -> ViewParameters:
    count = drawn.count
    match operation:
        case "crop":
            return replace(drawn, crop=draw_crop(augment.crop, count, height, width, generator))
        case "color":
            return replace(drawn, color=draw_color(augment.color, count, generator))
        case "blur":
            return replace(drawn, blur=draw_blur(augment.blur, count, generator))
        case "cutout":
            return replace(
                drawn, cutout=draw_cutout(count, augment.output_size or height, generator)
            )
        case "noise":
            return replace(drawn, noise=draw_noise(count, generator))
        case "rotate":
            return replace(drawn, rotate=draw_rotate(augment.rotate, count, generator))
        case "motion_blur":
            return replace(drawn, motion_blur=draw_motion_blur(count, generator))
        case "auto_augment":
            return replace(drawn, auto_augment=draw_auto_augment(count, generator))
        case "sobel" | "solarize" | "equalize":
            return drawn
        case _:
            own = {**drawn.own, operation: draw_own(count, generator)}
            return replace(drawn, own=own)


def _probability(operation: str, augment: AugmentSpec) -> float:
    """Of acting on an image at all."""
    match operation:
        case "noise":
            return augment.noise.probability
        case "sobel":
            return augment.sobel.probability
        case "solarize":
            return augment.solarize.probability
        case "equalize":
            return augment.equalize.probability
        case "motion_blur":
            return augment.motion_blur.probability
        case _:
            return 1.0
