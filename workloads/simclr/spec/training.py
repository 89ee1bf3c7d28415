"""The trained parts of a SimCLR run: encoder, projection head, loss and optimizer.

Each is built in or somebody's own (`workloads/parts.py`). Defaults are the paper's ImageNet setting
(section 2, appendix A, B.6).
"""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal, get_args

from pydantic import Field, model_validator

from workloads.option_values import Options, OptionsField
from workloads.parts import ENCODERS, LOSSES, OPTIMIZERS, Kind, name_problem
from workloads.spec import Part

__all__ = [
    "LIBRARIES",
    "Architecture",
    "EncoderSpec",
    "HeadSpec",
    "LossName",
    "LossSpec",
    "OptimName",
    "OptimSpec",
    "WithOptions",
    "forget_what_own_parts_do_not_read",
    "is_own_encoder",
    "setting_of",
]

LARGEST = 1e30  # single precision, in which networks compute, ends at 3e38
Positive = Annotated[float, Field(gt=0, le=LARGEST)]
NonNegative = Annotated[float, Field(ge=0, le=LARGEST)]

LIBRARIES = ("torchvision/", "timm/")  # of which a backbone is had by name

Architecture = Literal[
    "convnet",
    "convnet8",
    "convnet12",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
]
WithOptions = Literal["vit-s16"]
LossName = Literal["nt-xent", "nt-logistic", "margin-triplet", "cross-entropy"]
OptimName = Literal["lars", "sgd", "adamw"]


def _options_field(whose: str) -> Any:
    return Field(Options(), description=f"of an own {whose}, as it takes them")


def _code_field(whose: str) -> Any:
    return Field(
        None,
        description=f"which source an own {whose} has: its distribution, version and digest; set "
        "when runs are planned, and another one is refused then",
    )


class EncoderSpec(Part):
    """The base encoder f; its output h is what linear evaluation sees."""

    architecture: Architecture | WithOptions | str = Field(
        "resnet50",
        description="convnet has 4 convolutions, convnet8 and convnet12 have 8 and 12; vit-s16, "
        "torchvision/NAME, timm/NAME; or an own one, as module:name or by its entry point",
    )
    width: Annotated[float, Field(gt=0, le=8)] = Field(
        1.0, description="multiplies every channel count, the stem too"
    )
    stem: Literal["imagenet", "cifar"] = Field(
        "imagenet",
        description="cifar: 3x3 stride 1 without max-pool (appendix B.9); convnet has no other",
    )
    zero_init_last_bn: bool = Field(
        True, description="the last BN of each residual block starts at 0"
    )
    input_normalization: Literal["none", "imagenet", "cifar10", "cifar10-per-image"] = Field(
        "none",
        description="the data set's mean and standard deviation taken out of each channel first: "
        "what most encoders trained elsewhere expect, the authors' not; cifar10-per-image: the "
        "mean of each image's deviation, as much code has it",
    )
    options: OptionsField = _options_field("encoder, vit-s16 or a library's")
    code: str | None = _code_field("encoder")

    @model_validator(mode="after")
    def _named(self) -> "EncoderSpec":
        if not self.architecture.startswith(LIBRARIES):
            offered = (*get_args(Architecture), *get_args(WithOptions))
            _check_name(ENCODERS, "encoder.architecture", self.architecture, self.code, offered)
        _check_options("encoder", self.architecture, self.options, built_in=not self.is_own)
        return self

    @property
    def is_own(self) -> bool:
        """Whether the encoder comes through the door of own parts."""
        return is_own_encoder(self.architecture)


class HeadSpec(Part):
    """The projection head g; its output z is what the contrastive loss sees (section 4.2)."""

    num_linear_layers: Annotated[int, Field(ge=0, le=4)] = Field(
        2, description="0 identity, 1 linear, 2 the paper's MLP"
    )
    output_dim: Annotated[int, Field(ge=1)] | None = Field(
        128, description="null is the width of h (Table 3); unused when there is no linear layer"
    )
    hidden_dim: Annotated[int, Field(ge=1)] | None = Field(
        None, description="null is the width of h"
    )
    batch_norm: bool = Field(
        True,
        description="BN after every layer, the last without offset, as in the authors' code; the "
        "paper shows none",
    )


class LossSpec(Part):
    """The loss that training minimises: NT-Xent (equation 1) or another.

    That is one of its alternatives in Table 2, or supervised cross-entropy. `nt-logistic` and
    `margin-triplet` take their negatives from the other view only, as the paper compares them
    (Table 4). `cross-entropy` is the supervised counterpart: encoder and a linear classifier,
    without a projection head, on one augmented view of each image and its label.
    """

    name: LossName | str = Field(
        "nt-xent",
        description="or an own one, as module:name or by its entry point, with its options; of the "
        "rest it reads nothing, and temperature and normalize are of what is logged beside it",
    )
    temperature: Positive = Field(0.1, description="of nt-xent and nt-logistic")
    normalize: bool = Field(True, description="l2-normalise z, so that similarities are cosines")
    negatives: Literal["both", "cross"] = Field(
        "both", description="of nt-xent; cross: negatives from the other view only (Table 4)"
    )
    reduction: Literal["mean", "sum-of-views"] = Field(
        "mean",
        description="mean over the 2N anchors (equation 1), or the authors' code's sum of two "
        "means, twice as much",
    )
    margin: NonNegative = Field(0.4, description="of margin-triplet")
    semi_hard: bool = Field(
        False,
        description="of the alternatives: only the closest negative farther than "
        "the positive (B.10)",
    )
    negative_reduction: Literal["mean", "sum"] = Field(
        "mean",
        description="of the alternatives, over an anchor's negatives; the paper does not say which",
    )
    options: OptionsField = _options_field("loss")
    code: str | None = _code_field("loss")

    @model_validator(mode="after")
    def _named(self) -> "LossSpec":
        _check_name(LOSSES, "loss.name", self.name, self.code, get_args(LossName))
        _check_options("loss", self.name, self.options, built_in=not self.is_own)
        return self

    @property
    def is_own(self) -> bool:
        """Whether the loss is somebody's own."""
        return self.name not in get_args(LossName)


class OptimSpec(Part):
    """Optimizer and learning-rate scaling (appendix B.1); LARS for every batch size (B.6)."""

    name: OptimName | str = Field(
        "lars", description="or an own one, as module:name or by its entry point, with its options"
    )
    base_learning_rate: Positive = Field(
        0.3,
        description="learning rate before it is scaled by the batch size; 0.3 in section 2.2",
    )
    scaling: Literal["linear", "sqrt", "none"] = Field(
        "linear",
        description="linear: base * B / 256; sqrt: base * sqrt(anchor * B) / 256; none: base",
    )
    anchor_batch_size: Annotated[int, Field(ge=1)] = Field(
        4096,
        description="batch at which the sqrt rule equals the linear one; the paper's 0.075 sqrt(B) "
        "has 4096",
    )
    momentum: Annotated[float, Field(ge=0, lt=1)] = Field(
        0.9, description="of LARS and SGD; beta 1 of AdamW"
    )
    weight_decay: NonNegative = Field(
        1e-6,
        description="weight decay; 1e-6 in section 2.2",
    )
    trust_coefficient: Positive = Field(
        0.001,
        description="of LARS: how far a layer moves, of the norm of its weights",
    )
    exclude_bias_and_norm: bool = Field(
        True, description="no weight decay and no trust ratio for biases and BN"
    )
    options: OptionsField = _options_field("optimizer")
    code: str | None = _code_field("optimizer")

    @model_validator(mode="after")
    def _named(self) -> "OptimSpec":
        _check_name(OPTIMIZERS, "optim.name", self.name, self.code, get_args(OptimName))
        _check_options("optim", self.name, self.options, built_in=not self.is_own)
        return self

    @property
    def is_own(self) -> bool:
        """Whether the optimizer is somebody's own."""
        return self.name not in get_args(OptimName)


def is_own_encoder(architecture: str) -> bool:
    """Tell whether an encoder comes through the door of own parts, by its name."""
    return architecture not in get_args(Architecture)


def setting_of(encoder: Mapping[str, Any]) -> str:
    """Describe the encoder in a specification's tree: its width, or an own one's options."""
    name = str(encoder["architecture"])
    if not is_own_encoder(name):
        return f"{name} width {encoder['width']:g}"
    options = (f"{option} {value}" for option, value in encoder.get("options", {}).items())
    return ", ".join([name, *options])


def _check_name(
    kind: Kind, field: str, name: str, code: str | None, built_in: Collection[str]
) -> None:
    # With its code it was found once; whoever reads the results of such a run need not have it.
    problem = None if code is not None else name_problem(kind, field, name, built_in)
    if problem:
        raise ValueError(problem)


def _check_options(group: str, name: str, options: Options, *, built_in: bool) -> None:
    if built_in and options:
        raise ValueError(f"{group}.options={options!r}: {name} is built in, and takes none")


def forget_what_own_parts_do_not_read(
    tree: dict[str, Any], encoder: EncoderSpec, loss: LossSpec, optim: OptimSpec
) -> None:
    """Drop from the tree of a run what an own encoder and optimizer do not read.

    Of built-in parts those are options and code, and empty ones are no part of any fingerprint.
    """
    unread: dict[str, tuple[str, ...]] = {
        "encoder": ("width", "stem", "zero_init_last_bn") if encoder.is_own else (),
        "optim": ("momentum", "trust_coefficient") if optim.is_own else (),
    }
    own = {"encoder": encoder.is_own, "loss": loss.is_own, "optim": optim.is_own}
    for group in own.keys() & tree.keys():
        of_group = tree[group]
        for name in unread.get(group, ()):
            of_group.pop(name, None)
        for name in ("options", "code"):
            if not own[group] or not of_group[name]:
                of_group.pop(name, None)
