"""The base encoder f of SimCLR (section 2.1): an image to its representation h.

Shapes: images [B, 3, H, W], representations [B, feature_dim].

The ResNets are the authors': post-activation, stride on the 3x3 convolution of a bottleneck, a
width multiplier on every channel count. Their parameters bear torchvision's names, so that a width
of 1 with the ImageNet stem loads into `torchvision.models.resnet50` and back, without `fc`. Where
the two differ, torchvision is followed: the authors' ResNet-18 and 34 project the shortcut of the
first stage too, and their max-pool pads on the right and bottom only.
"""

import math
from collections.abc import Iterable
from functools import lru_cache
from itertools import pairwise
from typing import TYPE_CHECKING, Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.own_encoders import OwnEncoder, own_network
from workloads.simclr.spec import EncoderSpec
from workloads.spec import SpecError

if TYPE_CHECKING:
    from torchvision.models.resnet import BasicBlock, Bottleneck

__all__ = ["ConvNet", "InputNormalization", "ResNet", "build", "multiply_adds"]

RESNETS: dict[str, tuple[Literal["basic", "bottleneck"], tuple[int, int, int, int]]] = {
    "resnet18": ("basic", (2, 2, 2, 2)),
    "resnet34": ("basic", (3, 4, 6, 3)),
    "resnet50": ("bottleneck", (3, 4, 6, 3)),
    "resnet101": ("bottleneck", (3, 4, 23, 3)),
    "resnet152": ("bottleneck", (3, 8, 36, 3)),
}
STAGE_CHANNELS = (64, 128, 256, 512)
CONVNETS = {"convnet": 1, "convnet8": 2, "convnet12": 3}  # convolutions a stage
CONVNET_CHANNELS = (32, 64, 128, 256)
# Mean and standard deviation of R, G, B in [0, 1]: torchvision's for ImageNet; of all pixels of
# CIFAR-10's training images (solo-learn, lightning-bolts), or with the mean of each image's own
# deviation (kuangliu/pytorch-cifar and what follows it).
STATISTICS = {
    "imagenet": ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
    "cifar10": ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "cifar10-per-image": ((0.4914, 0.4822, 0.4465), (0.2023, 0.1994, 0.2010)),
}


def build(encoder: EncoderSpec) -> "ConvNet | ResNet | OwnEncoder":
    """Build an encoder with fresh weights from torch's global generator.

    Its `feature_dim` is the width of h. Raises SpecError for one of somebody's own that cannot be
    found or built, or has other code than was pinned.
    """
    if encoder.is_own:
        normalize = _input_normalization(encoder.input_normalization)
        return OwnEncoder(encoder.architecture, own_network(encoder), normalize)
    if encoder.architecture in CONVNETS:
        return ConvNet(encoder.width, CONVNETS[encoder.architecture], encoder.input_normalization)
    return ResNet(encoder)


def multiply_adds(encoder: EncoderSpec, image_size: int) -> int:
    """Count the multiply-adds of convolutions and linear layers for one image.

    The image has image_size x image_size pixels; nothing is allocated. Of an own encoder they are
    those of whatever multiplies matrices, and 0 where it cannot be told without numbers.
    """
    if encoder.is_own:
        return _counted(encoder, image_size)
    # a plan has many runs of few encoders, and to build one takes a while
    return _multiply_adds(encoder, image_size)


@lru_cache(maxsize=256)
def _multiply_adds(encoder: EncoderSpec, image_size: int) -> int:
    # On the meta device, which has shapes and no numbers. Nothing is computed there, for which
    # torch would import half of itself: a dry run is waited for.
    with torch.device("meta"):
        network = build(encoder)
    assert isinstance(network, ConvNet | ResNet), "own ones are counted as they compute"
    return network.multiply_adds(image_size)


def _through(layers: Iterable[nn.Module], side: int) -> tuple[int, int]:
    """Return the multiply-adds of the convolutions among layers that follow each other.

    Also the side of the square that they leave of one of so many pixels.
    """
    total = 0
    for layer in layers:
        if isinstance(layer, nn.Conv2d):
            side = (side + 2 * int(layer.padding[0]) - layer.kernel_size[0]) // layer.stride[0] + 1
            total += side**2 * layer.weight.numel()
    return total, side


@lru_cache(maxsize=64)
def _counted(encoder: EncoderSpec, image_size: int) -> int:
    from torch.utils.flop_counter import FlopCounterMode

    refused: SpecError | None = None
    for device in ("meta", "cpu"):  # the second for what reads numbers as it is built
        try:
            # With gradients, without which torch's attention is one kernel that is not counted.
            with torch.random.fork_rng(devices=[]), torch.device(device), torch.enable_grad():
                network = build(encoder).eval()
                with FlopCounterMode(display=False) as counter:
                    network(torch.zeros(1, 3, image_size, image_size))
            return int(counter.get_total_flops()) // 2
        except SpecError as error:
            refused = error
        except Exception:  # noqa: BLE001  # whatever its author's code raises; planning tells it
            refused = None
    if refused is not None:
        raise refused
    return 0


class InputNormalization(nn.Module):
    """(images - mean) / deviation, channel by channel, of images in [0, 1]; no part of the state.

    Folded into the first convolution it would not be the same: that pads with zeros, which here are
    the mean colour.
    """

    mean: Tensor
    deviation: Tensor

    def __init__(self, statistics: str) -> None:
        super().__init__()
        mean, deviation = STATISTICS[statistics]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer(
            "deviation", torch.tensor(deviation).view(1, 3, 1, 1), persistent=False
        )

    def forward(self, images: Tensor) -> Tensor:
        """Normalise images [B, 3, H, W]."""
        return (images - self.mean) / self.deviation


class ResNet(nn.Module):
    """ResNet-18, 34, 50, 101 or 152 up to the global average pool."""

    def __init__(self, encoder: EncoderSpec) -> None:
        super().__init__()
        kind, depths = RESNETS[encoder.architecture]
        block = _block(kind)
        channels = [_scaled(count, encoder.width) for count in STAGE_CHANNELS]
        stem = channels[0]
        self.normalize = _input_normalization(encoder.input_normalization)
        small = encoder.stem == "cifar"
        kernel, stride = (3, 1) if small else (7, 2)
        self.conv1 = nn.Conv2d(3, stem, kernel, stride=stride, padding=kernel // 2, bias=False)
        self.bn1 = GlobalBatchNorm(stem)
        self.maxpool = nn.Identity() if small else nn.MaxPool2d(kernel_size=3, stride=2, padding=1)

        outputs = [planes * block.expansion for planes in channels]
        self.layer1 = _stage(block, depths[0], stem, channels[0], stride=1)
        self.layer2 = _stage(block, depths[1], outputs[0], channels[1], stride=2)
        self.layer3 = _stage(block, depths[2], outputs[1], channels[2], stride=2)
        self.layer4 = _stage(block, depths[3], outputs[2], channels[3], stride=2)
        self.feature_dim: int = outputs[3]

        _initialize_convolutions(self)
        if encoder.zero_init_last_bn:
            _zero_last_bn(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, H, W] to h [B, feature_dim]."""
        x = self.maxpool(F.relu(self.bn1(self.conv1(self.normalize(images))), inplace=True))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return F.adaptive_avg_pool2d(x, 1).flatten(1)

    def multiply_adds(self, side: int) -> int:
        """Count those of the convolutions for one image of side x side pixels."""
        total, side = _through([self.conv1], side)
        if isinstance(self.maxpool, nn.MaxPool2d):
            side = (side - 1) // 2 + 1
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            for block in stage:
                parts = dict(block.named_children())
                shortcut, _ = _through(parts.pop("downsample", nn.Sequential()).modules(), side)
                main, side = _through(parts.values(), side)
                total += main + shortcut
        return total


class ConvNet(nn.Module):
    """Four stages of 3x3 convolutions with BN and ReLU, no shortcuts: small images on a CPU.

    One image of 32 x 32 pixels takes 15 M multiply-adds with one convolution a stage, 53 M with two
    and 91 M with three.
    """

    def __init__(
        self, width: float, convolutions_per_stage: int = 1, input_normalization: str = "none"
    ) -> None:
        super().__init__()
        self.normalize = _input_normalization(input_normalization)
        channels = [3, *(_scaled(count, width) for count in CONVNET_CHANNELS)]
        layers: list[nn.Module] = []
        for stage, (inputs, outputs) in enumerate(pairwise(channels)):
            # The first convolution of a stage widens it and, but for the first stage, halves it.
            shapes = [(inputs, 2 if stage else 1)] + [(outputs, 1)] * (convolutions_per_stage - 1)
            for channels_in, stride in shapes:
                layers += [
                    nn.Conv2d(channels_in, outputs, 3, stride=stride, padding=1, bias=False),
                    GlobalBatchNorm(outputs),
                    nn.ReLU(inplace=True),
                ]
        self.stages = nn.Sequential(*layers)
        self.feature_dim: int = channels[-1]
        _initialize_convolutions(self)

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, H, W] to h [B, feature_dim]."""
        return F.adaptive_avg_pool2d(self.stages(self.normalize(images)), 1).flatten(1)

    def multiply_adds(self, side: int) -> int:
        """Count those of the convolutions for one image of side x side pixels."""
        return _through(self.stages, side)[0]


def _input_normalization(statistics: str) -> nn.Module:
    return nn.Identity() if statistics == "none" else InputNormalization(statistics)


def _scaled(channels: int, width: float) -> int:
    return max(1, round(channels * width))


def _block(kind: Literal["basic", "bottleneck"]) -> "type[BasicBlock] | type[Bottleneck]":
    # here: torchvision takes seconds to import
    from torchvision.models.resnet import BasicBlock, Bottleneck

    block: type[BasicBlock] | type[Bottleneck] = BasicBlock if kind == "basic" else Bottleneck
    return block


def _stage(
    block: "type[BasicBlock] | type[Bottleneck]",
    depth: int,
    inputs: int,
    planes: int,
    *,
    stride: int,
) -> nn.Sequential:
    outputs = planes * block.expansion
    shortcut = None
    if stride != 1 or inputs != outputs:
        shortcut = nn.Sequential(
            nn.Conv2d(inputs, outputs, 1, stride, bias=False), GlobalBatchNorm(outputs)
        )
    first = block(inputs, planes, stride, shortcut, norm_layer=GlobalBatchNorm)
    return nn.Sequential(
        first, *(block(outputs, planes, norm_layer=GlobalBatchNorm) for _ in range(depth - 1))
    )


def _initialize_convolutions(network: nn.Module) -> None:
    """Draw weights of variance 1 / fan-in, as the authors' default initializer does.

    They are normal, truncated at two standard deviations. torchvision draws with twice the
    variance, by fan-out. BN takes the scale out of the forward pass either way.
    """
    for layer in network.modules():
        if isinstance(layer, nn.Conv2d):
            # 0.8796 is the standard deviation that a unit normal has left after truncation at +-2.
            std = math.sqrt(1 / layer.weight[0].numel()) / 0.87962566103423978
            nn.init.trunc_normal_(layer.weight, std=std, a=-2 * std, b=2 * std)


def _zero_last_bn(network: nn.Module) -> None:
    basic, bottleneck = _block("basic"), _block("bottleneck")
    for block in network.modules():
        if isinstance(block, basic | bottleneck):
            nn.init.zeros_((block.bn2 if isinstance(block, basic) else block.bn3).weight)
