"""The layers of a run's network: shapes, parameters and multiply-adds, without training it."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.flop_counter import FlopCounterMode

from workloads.shown import EncoderShown, Layer
from workloads.simclr.model import Model, SimCLR
from workloads.simclr.own_encoders import OwnEncoder
from workloads.simclr.spec import RunSpec
from workloads.simclr.spec.training import setting_of
from workloads.simclr.supervised import SupervisedModel, is_supervised
from workloads.spec import SpecError

__all__ = ["network_shown"]

# What is looked into; whatever else has parts is one row, as a block of a ResNet or of a ViT is.
CONTAINERS = (nn.Sequential, nn.ModuleList, OwnEncoder)
CLASSES = 1000  # of a supervised run's classifier, which are those of its data
FREE = (nn.Identity, nn.ReLU, nn.Dropout)  # without numbers: no row of their own


def network_shown(spec: RunSpec) -> EncoderShown:
    """Return the layers of encoder and head, or of encoder and classifier, for one image.

    Raises SpecError for an own encoder that cannot be found, built or given an image.
    """
    failed: Exception | None = None
    for device in ("meta", "cpu"):  # the second for what reads numbers as it is built
        try:
            with torch.random.fork_rng(devices=[]), torch.device(device), torch.enable_grad():
                return _shown(spec)
        except SpecError:
            raise
        except Exception as error:  # noqa: BLE001  # whatever its author's code raises
            failed = error
    told = " ".join(str(failed).split())
    raise SpecError(
        [
            f"encoder.architecture={spec.encoder.architecture!r}: fails on an image of "
            f"{spec.view_size} x {spec.view_size} pixels: {type(failed).__name__}: {told}"
        ]
    ) from failed


def _shown(spec: RunSpec) -> EncoderShown:
    model: Model = SupervisedModel(spec.encoder, CLASSES) if is_supervised(spec) else SimCLR(spec)
    model.eval()
    rows = dict(_rows(model, ""))
    shapes: dict[str, tuple[int, ...]] = {}

    def keep(name: str) -> Any:
        def hook(_: nn.Module, __: Any, output: object) -> None:
            if isinstance(output, Tensor):
                shapes[name] = tuple(output.shape[1:])

        return hook

    for name, layer in rows.items():
        layer.register_forward_hook(keep(name))
    # With gradients, without which torch's attention is one kernel that is not counted.
    with FlopCounterMode(display=False) as counter:
        model(torch.zeros(1, 3, spec.view_size, spec.view_size))
    counted = {
        name.partition(".")[2]: sum(by_kind.values()) // 2
        for name, by_kind in counter.get_flop_counts().items()
    }

    parts = dict(model.named_children())
    apart = _size(model) - sum(_size(layer) for layer in rows.values())
    notes = [f"{apart:,} parameters are of no layer, such as embeddings of positions"]
    assumed = [f"a classifier of {CLASSES:,} classes: a run's are those of its data"]
    return EncoderShown(
        name=setting_of(spec.encoder.tree()),
        side=spec.view_size,
        feature_dim=model.encoder.feature_dim,
        layers=tuple(
            Layer(name, type(layer).__name__, shapes.get(name), _size(layer), counted.get(name, 0))
            for name, layer in rows.items()
        ),
        parameters={name: _size(part) for name, part in parts.items()},
        multiply_adds={name: counted.get(name, 0) for name in parts},
        notes=(*(notes if apart else ()), *(assumed if is_supervised(spec) else ())),
    )


def _rows(module: nn.Module, prefix: str) -> Iterator[tuple[str, nn.Module]]:
    for name, child in module.named_children():
        if isinstance(child, FREE):
            continue
        # A module without a class of its own holds others, under the names of a published layout.
        holds_others = isinstance(child, CONTAINERS) or type(child) is nn.Module
        opened = holds_others or not prefix or isinstance(module, OwnEncoder)
        if opened and any(child.children()):
            yield from _rows(child, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", child


def _size(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
