"""How views of an image are made: every operation with what the paper or its code says of it."""

from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from workloads.named_parts import check_names
from workloads.option_values import Options, OptionsField
from workloads.parts import OPERATIONS, option_name
from workloads.spec import Part
from workloads.spelling import did_you_mean

__all__ = [
    "AugmentSpec",
    "AutoAugmentSpec",
    "BlurSpec",
    "ColorSpec",
    "CropSpec",
    "CutoutSpec",
    "EqualizeSpec",
    "MotionBlurSpec",
    "NoiseSpec",
    "Operation",
    "RotateSpec",
    "SobelSpec",
    "SolarizeSpec",
    "keep_what_own_operations_read",
]

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
Operation = Literal[
    "crop",
    "cutout",
    "color",
    "sobel",
    "noise",
    "blur",
    "rotate",
    "solarize",
    "equalize",
    "motion_blur",
    "auto_augment",
]


class CropSpec(Part):
    """Random crop, resize and horizontal flip (appendix A), which the paper counts as one."""

    min_area: Annotated[float, Field(gt=0, le=1)] = Field(
        0.08,
        description="least area of a crop, of the image's; 0.08 in appendix A",
    )
    max_area: Annotated[float, Field(gt=0, le=1)] = Field(
        1.0,
        description="largest area of a crop, of the image's",
    )
    min_aspect: Positive = Field(
        3 / 4,
        description="narrowest crop, as width by height",
    )
    max_aspect: Positive = Field(
        4 / 3,
        description="widest crop, as width by height",
    )
    min_covered: Probability = Field(
        0.1,
        description="crops below this share of the area are redrawn: the authors' code only; 0 is "
        "the paper's text",
    )
    interpolation: Literal["bicubic", "bilinear"] = Field(
        "bicubic",
        description="how a crop is resized to the side of a view",
    )
    antialias: bool = Field(
        False, description="low-pass when shrinking; torchvision's default, not the authors' code's"
    )
    flip: Probability = Field(
        0.5,
        description="probability of a mirrored crop",
    )

    @model_validator(mode="after")
    def _ranges(self) -> "CropSpec":
        if self.min_area > self.max_area:
            raise ValueError(
                f"augment.crop.min_area={self.min_area}: is above max_area={self.max_area}"
            )
        if self.min_aspect > self.max_aspect:
            raise ValueError(
                f"augment.crop.min_aspect={self.min_aspect}: is above max_aspect={self.max_aspect}"
            )
        if self.min_covered > self.max_area:
            raise ValueError(
                f"augment.crop.min_covered={self.min_covered}: is above max_area={self.max_area}"
            )
        return self


class ColorSpec(Part):
    """Colour distortion (appendix A): jitter, then grayscale.

    Jitter is of brightness, contrast and saturation (0.8 s) and hue (0.2 s).
    """

    strength: Annotated[float, Field(ge=0, le=2.5)] = Field(
        1.0, description="s; 1 for ImageNet, 0.5 for CIFAR-10"
    )
    jitter_probability: Probability = Field(
        0.8,
        description="probability of the jitter; 0.8 in appendix A",
    )
    grayscale_probability: Probability = Field(
        0.2,
        description="probability of a grey view; 0.2 in appendix A",
    )
    brightness: Literal["additive", "multiplicative"] = Field(
        "additive",
        description="additive in the authors' v1 code, multiplicative in their v2 "
        "code and torchvision",
    )


class BlurSpec(Part):
    """Gaussian blur (appendix A) with a kernel of a tenth of the image side, made odd."""

    probability: Probability = Field(
        0.5,
        description="probability of a blurred view",
    )
    min_sigma: Positive = Field(
        0.1,
        description="least sigma of the kernel, in pixels",
    )
    max_sigma: Positive = Field(
        2.0,
        description="largest sigma of the kernel, in pixels",
    )
    kernel_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1,
        description="side of the kernel, of the image side",
    )
    one_sigma_per_batch: bool = Field(
        False,
        description="the authors' code draws one sigma for a batch and view; the paper's text "
        "reads as per image",
    )

    @model_validator(mode="after")
    def _range(self) -> "BlurSpec":
        if self.min_sigma > self.max_sigma:
            raise ValueError(
                f"augment.blur.min_sigma={self.min_sigma}: is above max_sigma={self.max_sigma}"
            )
        return self


class CutoutSpec(Part):
    """One square of constant value at a uniform centre. Unpublished in the paper; our choice."""

    side_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.5,
        description="side of the square, of the image side",
    )
    fill: Probability = Field(
        0.0,
        description="value inside the square, from 0 (black) to 1",
    )


class NoiseSpec(Part):
    """Additive Gaussian noise on the [0, 1] scale, clipped.

    Unpublished in the paper; our choice.
    """

    std: Positive = Field(
        0.1,
        description="standard deviation, on the scale from 0 to 1",
    )
    probability: Probability = Field(
        1.0,
        description="probability of a noisy view",
    )


class SobelSpec(Part):
    """The magnitude of the Sobel gradient of the grey image.

    Unpublished in the paper; our choice.
    """

    probability: Probability = Field(
        1.0,
        description="probability of a filtered view",
    )


class SolarizeSpec(Part):
    """Pixels from the threshold on are inverted (B.2, unpublished there; the usual operation)."""

    threshold: Probability = Field(
        0.5,
        description="pixels from here on are inverted, on the scale from 0 to 1",
    )
    probability: Probability = Field(
        0.2,
        description="probability of a solarized view",
    )


class EqualizeSpec(Part):
    """The histogram of each channel is made even (B.2, unpublished there; the usual operation)."""

    probability: Probability = Field(
        0.2,
        description="probability of an equalized view",
    )


class MotionBlurSpec(Part):
    """Blur along a line of random direction (B.2, unpublished there; our choice)."""

    probability: Probability = Field(
        0.2,
        description="probability of a blurred view",
    )
    kernel_fraction: Annotated[float, Field(gt=0, le=1)] = Field(
        0.1, description="length of the line, of the image side"
    )


class AutoAugmentSpec(Part):
    """AutoAugment (Table 1): a policy learned with labels, as torchvision has it."""

    policy: Literal["imagenet", "cifar10", "svhn"] = Field(
        "imagenet",
        description="the data set whose labels the policy was learned with",
    )


class RotateSpec(Part):
    """Rotation by a multiple of 90 degrees, uniform over `angles` (Figure 4 lists 90, 180, 270)."""

    angles: tuple[Literal[0, 90, 180, 270], ...] = Field(
        (90, 180, 270),
        description="degrees, one of which is drawn",
    )

    @model_validator(mode="after")
    def _angles(self) -> "RotateSpec":
        if not self.angles or len(set(self.angles)) != len(self.angles):
            raise ValueError(
                f"augment.rotate.angles={list(self.angles)}: needs at least one angle, none twice"
            )
        return self


class AugmentSpec(Part):
    """How two views of an image are made: the operations in their order, each with its own part.

    `branches="both"`: both views are drawn by the operations. `branches="one"` (section 3, Figure
    5): one random crop and flip, shared by both views, and then the operations on the second view
    only.
    """

    operations: tuple[Operation | str, ...] = Field(
        ("crop", "color", "blur"),
        description="or own ones among them, as module:name or by their entry points",
    )
    options: OptionsField = Field(
        Options(),
        description="of own operations, by their names without the module: {fog: {density: 0.3}}",
    )
    code: OptionsField = Field(
        Options(),
        description="which source own operations have, by the same names: set when runs are "
        "planned, and another one is refused then",
    )
    branches: Literal["both", "one"] = Field(
        "both",
        description="both: the operations draw each view; one: views share a crop and flip, and "
        "the operations act on the second one only (section 3, Figure 5)",
    )
    output_size: Annotated[int, Field(ge=8, le=512)] | None = Field(
        None, description="side of the views in pixels; null is data.image_size"
    )
    crop: CropSpec = CropSpec()
    color: ColorSpec = ColorSpec()
    blur: BlurSpec = BlurSpec()
    cutout: CutoutSpec = CutoutSpec()
    noise: NoiseSpec = NoiseSpec()
    rotate: RotateSpec = RotateSpec()
    sobel: SobelSpec = SobelSpec()
    solarize: SolarizeSpec = SolarizeSpec()
    equalize: EqualizeSpec = EqualizeSpec()
    motion_blur: MotionBlurSpec = MotionBlurSpec()
    auto_augment: AutoAugmentSpec = AutoAugmentSpec()

    @model_validator(mode="after")
    def _operations(self) -> "AugmentSpec":
        if not self.operations or len(set(self.operations)) != len(self.operations):
            raise ValueError(
                f"augment.operations={list(self.operations)}: needs at least one operation, none "
                "twice"
            )
        return self

    @model_validator(mode="after")
    def _own_operations(self) -> "AugmentSpec":
        check_names(OPERATIONS, "augment.operations", self.own, self.code, get_args(Operation))
        names = [option_name(operation) for operation in self.own]
        for name in self.options:
            if name in get_args(Operation):
                raise ValueError(
                    f"augment.options.{name}: {name} is built in; its fields are augment.{name}"
                )
            # An operation that this policy leaves out may keep its options; a slip is none.
            without = [one for one in names if one not in self.options]
            if name not in names and (hint := did_you_mean(name, without)):
                raise ValueError(f"augment.options.{name}: no operation has that name{hint}")
        return self

    @property
    def own(self) -> tuple[str, ...]:
        """Return the operations that are somebody's own, in their order."""
        return tuple(one for one in self.operations if one not in get_args(Operation))


def keep_what_own_operations_read(tree: dict[str, Any], augment: AugmentSpec) -> None:
    """Drop from the tree of a policy the options and code of operations that it does not use."""
    used = [option_name(operation) for operation in augment.own]
    for field in ("options", "code"):
        kept = {name: tree[field][name] for name in used if tree[field].get(name)}
        del tree[field]
        if kept:
            tree[field] = kept
