"""Every field that can change the result of a SimCLR run.

Defaults are the paper's ImageNet setting (section 2, appendix A, B.6). Where the paper and the authors' code disagree, the
field's description says so.
"""

import math
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from workloads.datasets.spec import DataSpec
from workloads.evaluation.spec import EvalSpec
from workloads.spec import Part, digest

__all__ = [
    "AugmentSpec",
    "BlurSpec",
    "ColorSpec",
    "CropSpec",
    "CutoutSpec",
    "EncoderSpec",
    "HeadSpec",
    "LossSpec",
    "NoiseSpec",
    "Operation",
    "OptimSpec",
    "RotateSpec",
    "RunSpec",
    "ScheduleSpec",
]

RESULT_REVISION = 1  # raised whenever the code gives another result for an equal specification

Probability = Annotated[float, Field(ge=0, le=1)]
Positive = Annotated[float, Field(gt=0)]
NonNegative = Annotated[float, Field(ge=0)]
Operation = Literal["crop", "cutout", "color", "sobel", "noise", "blur", "rotate"]


class CropSpec(Part):
    """Random crop, resize and horizontal flip (appendix A): the paper counts the flip as part of the crop."""

    min_area: Annotated[float, Field(gt=0, le=1)] = 0.08
    max_area: Annotated[float, Field(gt=0, le=1)] = 1.0
    min_aspect: Positive = 3 / 4
    max_aspect: Positive = 4 / 3
    min_covered: Probability = Field(
        0.1, description="crops below this share of the area are redrawn: the authors' code only; 0 is the paper's text"
    )
    interpolation: Literal["bicubic", "bilinear"] = "bicubic"
    antialias: bool = Field(False, description="low-pass when shrinking; torchvision's default, not the authors' code's")
    flip: Probability = 0.5

    @model_validator(mode="after")
    def _ranges(self) -> "CropSpec":
        if self.min_area > self.max_area:
            raise ValueError(f"augment.crop.min_area={self.min_area}: is above max_area={self.max_area}")
        if self.min_aspect > self.max_aspect:
            raise ValueError(f"augment.crop.min_aspect={self.min_aspect}: is above max_aspect={self.max_aspect}")
        if self.min_covered > self.max_area:
            raise ValueError(f"augment.crop.min_covered={self.min_covered}: is above max_area={self.max_area}")
        return self


class ColorSpec(Part):
    """Colour distortion (appendix A): jitter of brightness, contrast, saturation (0.8 s) and hue (0.2 s), then grayscale."""

    strength: Annotated[float, Field(ge=0, le=2.5)] = Field(1.0, description="s; 1 for ImageNet, 0.5 for CIFAR-10")
    jitter_probability: Probability = 0.8
    grayscale_probability: Probability = 0.2
    brightness: Literal["additive", "multiplicative"] = Field(
        "additive", description="additive in the authors' v1 code, multiplicative in their v2 code and torchvision"
    )


class BlurSpec(Part):
    """Gaussian blur (appendix A) with a kernel of a tenth of the image side, made odd."""

    probability: Probability = 0.5
    min_sigma: Positive = 0.1
    max_sigma: Positive = 2.0
    kernel_fraction: Annotated[float, Field(gt=0, le=1)] = 0.1
    one_sigma_per_batch: bool = Field(
        False, description="the authors' code draws one sigma for a batch and view; the paper's text reads as per image"
    )

    @model_validator(mode="after")
    def _range(self) -> "BlurSpec":
        if self.min_sigma > self.max_sigma:
            raise ValueError(f"augment.blur.min_sigma={self.min_sigma}: is above max_sigma={self.max_sigma}")
        return self


class CutoutSpec(Part):
    """One square of constant value at a uniform centre. Unpublished in the paper; our choice."""

    side_fraction: Annotated[float, Field(gt=0, le=1)] = 0.5
    fill: Probability = 0.0


class NoiseSpec(Part):
    """Additive Gaussian noise on the [0, 1] scale, clipped. Unpublished in the paper; our choice."""

    std: Positive = 0.1


class RotateSpec(Part):
    """Rotation by a multiple of 90 degrees, uniform over `angles` (Figure 4 lists 90, 180, 270)."""

    angles: tuple[Literal[0, 90, 180, 270], ...] = (90, 180, 270)

    @model_validator(mode="after")
    def _angles(self) -> "RotateSpec":
        if not self.angles or len(set(self.angles)) != len(self.angles):
            raise ValueError(f"augment.rotate.angles={list(self.angles)}: needs at least one angle, none twice")
        return self


class AugmentSpec(Part):
    """How two views of an image are made: the operations in their order, each with its own part.

    `branches="both"`: both views are drawn by the operations. `branches="one"` (section 3, Figure 5): one random crop and
    flip, shared by both views, and then the operations on the second view only.
    """

    operations: tuple[Operation, ...] = ("crop", "color", "blur")
    branches: Literal["both", "one"] = "both"
    output_size: Annotated[int, Field(ge=8, le=512)] | None = Field(
        None, description="side of the views in pixels; null is data.image_size"
    )
    crop: CropSpec = CropSpec()
    color: ColorSpec = ColorSpec()
    blur: BlurSpec = BlurSpec()
    cutout: CutoutSpec = CutoutSpec()
    noise: NoiseSpec = NoiseSpec()
    rotate: RotateSpec = RotateSpec()

    @model_validator(mode="after")
    def _operations(self) -> "AugmentSpec":
        if not self.operations or len(set(self.operations)) != len(self.operations):
            raise ValueError(f"augment.operations={list(self.operations)}: needs at least one operation, none twice")
        return self


class EncoderSpec(Part):
    """The base encoder f; its output h is what linear evaluation sees."""

    architecture: Literal["convnet", "resnet18", "resnet34", "resnet50", "resnet101", "resnet152"] = "resnet50"
    width: Annotated[float, Field(gt=0, le=8)] = Field(1.0, description="multiplies every channel count, the stem too")
    stem: Literal["imagenet", "cifar"] = Field(
        "imagenet", description="cifar: 3x3 stride 1 without max-pool (appendix B.9); convnet has no other"
    )
    zero_init_last_bn: bool = Field(True, description="the last BN of each residual block starts at 0")


class HeadSpec(Part):
    """The projection head g; its output z is what the contrastive loss sees (section 4.2)."""

    num_linear_layers: Annotated[int, Field(ge=0, le=3)] = Field(2, description="0 identity, 1 linear, 2 the paper's MLP")
    output_dim: Annotated[int, Field(ge=1)] = Field(128, description="unused when there is no linear layer")
    hidden_dim: Annotated[int, Field(ge=1)] | None = Field(None, description="null is the width of h")
    batch_norm: bool = Field(
        True, description="BN after every layer, the last without offset, as in the authors' code; the paper shows none"
    )


class LossSpec(Part):
    """NT-Xent (equation 1)."""

    temperature: Positive = 0.1
    normalize: bool = Field(True, description="l2-normalise z, so that similarities are cosines")
    negatives: Literal["both", "cross"] = Field("both", description="cross: negatives from the other view only (Table 4)")
    reduction: Literal["mean", "sum-of-views"] = Field(
        "mean", description="mean over the 2N anchors (equation 1), or the authors' code's sum of two means, twice as much"
    )


class OptimSpec(Part):
    """Optimizer and learning-rate scaling (appendix B.1, B.6 of our notes: LARS for every batch size)."""

    name: Literal["lars", "sgd", "adamw"] = "lars"
    base_learning_rate: Positive = 0.3
    scaling: Literal["linear", "sqrt", "none"] = Field(
        "linear", description="linear: base * B / 256; sqrt: base * sqrt(anchor * B) / 256; none: base"
    )
    anchor_batch_size: Annotated[int, Field(ge=1)] = Field(
        4096, description="batch at which the sqrt rule equals the linear one; the paper's 0.075 sqrt(B) has 4096"
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(0.9, description="of LARS and SGD; beta 1 of AdamW")
    weight_decay: NonNegative = 1e-6
    trust_coefficient: Positive = 0.001
    exclude_bias_and_norm: bool = Field(True, description="no weight decay and no trust ratio for biases and BN")


class ScheduleSpec(Part):
    """How long, how many images at a time, and the shape of the learning rate."""

    epochs: Annotated[int, Field(ge=0)] = Field(100, description="0 judges the untrained encoder")
    batch_size: Annotated[int, Field(ge=2)] = Field(4096, description="source images over all workers, not views")
    warmup_epochs: NonNegative = Field(10, description="linear from 0, per step; then cosine to 0")

    @model_validator(mode="after")
    def _warmup(self) -> "ScheduleSpec":
        if self.epochs and self.warmup_epochs > self.epochs:
            raise ValueError(f"schedule.warmup_epochs={self.warmup_epochs:g}: is longer than schedule.epochs={self.epochs}")
        return self


class RunSpec(Part):
    """One SimCLR run: everything that can change its result, and nothing that cannot."""

    data: DataSpec = DataSpec()
    augment: AugmentSpec = AugmentSpec()
    encoder: EncoderSpec = EncoderSpec()
    head: HeadSpec = HeadSpec()
    loss: LossSpec = LossSpec()
    optim: OptimSpec = OptimSpec()
    schedule: ScheduleSpec = ScheduleSpec()
    eval: EvalSpec = EvalSpec()
    seed: Annotated[int, Field(ge=0)] = Field(0, description="initial weights, order of images and views")
    precision: Literal["bf16", "fp32"] = Field("bf16", description="bf16 autocast where the device has it, else fp32")

    @model_validator(mode="after")
    def _sizes(self) -> "RunSpec":
        if self.view_size > self.data.image_size:
            raise ValueError(
                f"augment.output_size={self.view_size}: is above data.image_size={self.data.image_size}, the stored resolution"
            )
        return self

    @property
    def view_size(self) -> int:
        """Side of the views in pixels."""
        return self.augment.output_size or self.data.image_size

    @property
    def learning_rate(self) -> float:
        """Peak learning rate for the global batch (appendix B.1)."""
        batch = self.schedule.batch_size
        match self.optim.scaling:
            case "linear":
                return self.optim.base_learning_rate * batch / 256
            case "sqrt":
                return self.optim.base_learning_rate * math.sqrt(self.optim.anchor_batch_size * batch) / 256
            case "none":
                return self.optim.base_learning_rate

    def fingerprint(self) -> str:
        """Stable hex digest of everything that can change the result.

        Fields that ablations vary and a run may not read (the blur's sigma without blur, the head's width without a head,
        the optimizer of an untrained encoder) are left out then, so that equal runs are shared; and so is `data.root`
        when `data.content` pins what lies there.
        """
        return digest({"revision": RESULT_REVISION, "simclr": self._that_matters()})

    def _that_matters(self) -> dict[str, Any]:
        tree = self.tree()
        if self.data.content is not None:
            del tree["data"]["root"]
        if self.schedule.epochs == 0:
            kept = {name: tree[name] for name in ("data", "encoder", "eval", "seed", "precision")}
            return kept | {"view_size": self.view_size, "schedule": {"epochs": 0}}
        used = {*self.augment.operations} | ({"crop"} if self.augment.branches == "one" else set())
        for operation in ("crop", "color", "blur", "cutout", "noise", "rotate"):
            if operation not in used:
                unread = tree["augment"].pop(operation)
                if operation == "crop" and self.view_size != self.data.image_size:
                    # Without a crop the whole image is resized, as a crop would be.
                    tree["augment"]["crop"] = {name: unread[name] for name in ("interpolation", "antialias")}
        tree["augment"]["output_size"] = self.view_size
        if self.head.num_linear_layers == 0:
            tree["head"] = {"num_linear_layers": 0}
        elif self.head.num_linear_layers == 1:
            del tree["head"]["hidden_dim"]
        # How the peak rate came about does not matter: two scaling rules may agree at a batch size.
        for field in ("base_learning_rate", "scaling", "anchor_batch_size"):
            del tree["optim"][field]
        tree["optim"]["learning_rate"] = self.learning_rate
        if self.optim.name != "lars":
            del tree["optim"]["trust_coefficient"]
        return tree
