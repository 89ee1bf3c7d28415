"""Encoders that come through the door of own parts: somebody's own, ViT-S/16, and libraries'.

An own encoder is a class or function that is called with its options and gives an `nn.Module`:
images [B, 3, H, W] in [0, 1] to features [B, D], with the attribute `feature_dim` (D). Its weights
are drawn from torch's global generator, which is seeded before. Its images may lie in memory with
channels last. Batch norm of torch's is made global: all workers' images have their part in its
statistics.

Letters: B images, H and W their sides, D the width of h.
"""

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workloads.parts import ENCODERS, OwnPart, find, part_of, read_options
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.library_encoders import (
    library_version,
    timm_backbone,
    torchvision_backbone,
)
from workloads.simclr.spec import EncoderSpec
from workloads.simclr.vit import VisionTransformer
from workloads.spec import SpecError

__all__ = ["Encoder", "OwnEncoder", "apart_norms", "encoder_part", "own_network", "probe_problem"]

FIELD, OPTIONS = "encoder.architecture", "encoder.options"


class Encoder(Protocol):
    """What an own encoder's module has beside `forward`: images [B, 3, H, W] to [B, D]."""

    feature_dim: int

    def __call__(self, images: Tensor) -> Tensor:
        """Map images in [0, 1] to features."""


class OwnEncoder(nn.Module):
    """A network of somebody's own in the place of a built-in one.

    Raises ValueError for features of another shape than [B, feature_dim].
    """

    def __init__(self, name: str, network: nn.Module, normalize: nn.Module) -> None:
        super().__init__()
        self.name = name
        self.normalize = normalize
        self.network = network
        self.feature_dim = int(network.feature_dim)  # type: ignore[arg-type]

    def forward(self, images: Tensor) -> Tensor:
        """Map images [B, 3, H, W] to h [B, feature_dim]."""
        h: Tensor = self.network(self.normalize(images))
        expected = (images.shape[0], self.feature_dim)  # len() would fix it in what is exported
        if not isinstance(h, Tensor) or h.shape != expected:
            got = list(h.shape) if isinstance(h, Tensor) else type(h).__name__
            raise ValueError(
                f"{self.name} gives {got} for {len(images)} images, and not {list(expected)}, "
                "[images, feature_dim]"
            )
        return h


def encoder_part(encoder: EncoderSpec) -> OwnPart:
    """Find the encoder that a specification names. Raises SpecError.

    Without pinned code it is taken as it is now.
    """
    name = encoder.architecture
    if name == "vit-s16":
        where = f"{VisionTransformer.__module__}:VisionTransformer"
        return part_of(ENCODERS, FIELD, name, VisionTransformer, where, None)
    library, slash, network = name.partition("/")
    backbones: dict[str, Callable[..., nn.Module]] = {
        "torchvision": torchvision_backbone,
        "timm": timm_backbone,
    }
    if slash and library in backbones:
        code = library_version(library)
        if encoder.code not in (None, code):
            raise SpecError(
                [
                    f"{FIELD}={name!r}: is of {code}, and the run was planned with "
                    f"{encoder.code}; plan again, which asks for other runs"
                ]
            )
        made_by = partial(backbones[library], network)
        return part_of(ENCODERS, FIELD, name, made_by, f"{library}:{network}", code)
    return find(ENCODERS, FIELD, name, encoder.code)


def own_network(encoder: EncoderSpec) -> nn.Module:
    """Build the network of an own encoder, its batch norm made global.

    Raises SpecError where it cannot be built, or is no module with `feature_dim`.
    """
    part = encoder_part(encoder)
    options = read_options(part, OPTIONS, encoder.options)
    try:
        network = part.make(options=options)
    except SpecError:
        raise
    except Exception as error:  # whatever its author's code raises
        raise SpecError([f"{_named(encoder)}: cannot be built: {_told(error)}"]) from error
    if not isinstance(network, nn.Module):
        raise SpecError(
            [f"{_named(encoder)}: gives {type(network).__name__}, and not a torch.nn.Module"]
        )
    width = getattr(network, "feature_dim", None)
    if not isinstance(width, int) or width < 1:
        raise SpecError(
            [
                f"{_named(encoder)}: {type(network).__name__} needs the attribute feature_dim, the "
                f"width of its features (it is {width!r})"
            ]
        )
    return _with_global_norm(network)


def apart_norms(network: nn.Module) -> list[str]:
    """Name the kinds of batch norm that see the images of one worker only; there is no other."""
    return sorted(
        {type(layer).__name__ for layer in network.modules() if isinstance(layer, _BatchNorm)}
    )


@lru_cache(maxsize=64)
def probe_problem(
    build: Callable[[EncoderSpec], nn.Module], encoder: EncoderSpec, side: int
) -> str | None:
    """Say why an encoder gives no features of images of `side` pixels, by trying; None if it does.

    Where it can, without a number: on the meta device.
    """
    try:
        with torch.random.fork_rng(devices=[]):
            _try(build, encoder, side)
    except SpecError as error:
        return str(error)
    except Exception as error:  # noqa: BLE001  # whatever its author's code raises
        return f"{_named(encoder)}: takes no images of {side} x {side}: {_told(error)}"
    return None


def _try(build: Callable[[EncoderSpec], nn.Module], encoder: EncoderSpec, side: int) -> None:
    def seen(device: str) -> None:
        with torch.device(device), torch.no_grad():
            network = build(encoder)
            images = torch.zeros(2, 3, side, side).contiguous(memory_format=torch.channels_last)
            for training in (False, True):  # some have further outputs while they train
                network.train(training)(images)

    try:
        seen("meta")
    except Exception:  # noqa: BLE001  # such as a network that reads numbers as it is built
        seen("cpu")


def _with_global_norm(network: nn.Module) -> nn.Module:
    """The network with GlobalBatchNorm in the place of torch's own, where that can stand for it."""
    for name, layer in list(network.named_modules()):
        if _is_plain(layer):
            network.set_submodule(name, _global(layer))
    return network


def _is_plain(layer: Any) -> bool:
    kinds = (nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm)
    if type(layer) not in kinds:  # a kind of its own may do more
        return False
    return bool(layer.affine and layer.track_running_stats and layer.momentum is not None)


def _global(layer: Any) -> nn.Module:
    with torch.device(layer.weight.device):
        norm = GlobalBatchNorm(layer.num_features, eps=layer.eps, momentum=layer.momentum)
    norm.load_state_dict(layer.state_dict(), assign=layer.weight.is_meta)
    norm.weight.requires_grad_(layer.weight.requires_grad)
    return norm


def _named(encoder: EncoderSpec) -> str:
    return f"{FIELD}={encoder.architecture!r}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
