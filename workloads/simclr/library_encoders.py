"""Backbones of torchvision and timm by name, untrained and without their classifiers.

Shapes: images [B, 3, H, W], features [B, feature_dim].
"""

import difflib
from collections.abc import Sequence
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import torch
from pydantic import Field
from torch import nn

from workloads.spec import Part, SpecError

INSTALL = {"torchvision": "torchvision>=0.29,<1", "timm": "timm>=1.0,<2"}  # as pyproject.toml has

__all__ = [
    "TimmOptions",
    "TorchvisionOptions",
    "library_version",
    "timm_backbone",
    "torchvision_backbone",
    "torchvision_code",
]


# Of torchvision's with auxiliary classifiers, which answer with several outputs while they train.
_ONE_OUTPUT = {
    "googlenet": {"aux_logits": False, "init_weights": True},
    "inception_v3": {"aux_logits": False, "init_weights": True},
}


class TorchvisionOptions(Part):
    """What torchvision's networks are built with."""

    image_size: int | None = Field(
        None, ge=1, description="of its vision transformers, where the views have not 224 pixels"
    )


class TimmOptions(Part):
    """What timm's networks are built with; null leaves a value out."""

    img_size: int | None = Field(
        None, ge=1, description="of networks with fixed positions, such as vision transformers"
    )
    patch_size: int | None = Field(None, ge=1, description="of vision transformers")
    drop_rate: float | None = Field(None, ge=0, lt=1, description="dropout")
    drop_path_rate: float | None = Field(None, ge=0, lt=1, description="of stochastic depth")


def library_version(library: str) -> str:
    """Return name and version of a library, without what its build says.

    Raises SpecError with the command that installs it where it is missing.
    """
    if find_spec(library) is None:
        raise SpecError(
            [
                f"encoder.architecture={library}/…: needs {library}, which is not installed: "
                f"pip install '{INSTALL[library]}'"
            ]
        )
    return f"{library} {version(library).partition('+')[0]}"


def torchvision_backbone(name: str, options: TorchvisionOptions) -> nn.Module:
    """Build a classification network of torchvision without its last linear layer.

    Raises SpecError for a name that it has not, and for a network without a linear layer.
    """
    from torchvision import models

    _check_name("torchvision", name, models.list_models(module=models))
    network: nn.Module = models.get_model(name, weights=None, **_given(name, options))
    path = _last_linear(network)
    if path is None:
        raise SpecError([f"encoder.architecture=torchvision/{name}: has no last linear layer"])
    last = network.get_submodule(path)
    network.set_submodule(path, nn.Identity())
    network.feature_dim = last.in_features
    return network


def torchvision_code(name: str, options: TorchvisionOptions) -> str:
    """Return the lines of Python that build the same network as `encoder`, by torchvision alone."""
    from torchvision import models

    given = _given(name, options)
    with torch.device("meta"):
        path = _last_linear(models.get_model(name, weights=None, **given))
    words = "".join(f", {key}={value!r}" for key, value in given.items())
    return (
        f'encoder = torchvision.models.get_model("{name}"{words})\n'
        f'encoder.set_submodule("{path}", torch.nn.Identity())'
    )


def _given(name: str, options: TorchvisionOptions) -> dict[str, Any]:
    given: dict[str, Any] = dict(_ONE_OUTPUT.get(name, {}))
    return given if options.image_size is None else given | {"image_size": options.image_size}


def _last_linear(network: nn.Module) -> str | None:
    paths = [path for path, layer in network.named_modules() if isinstance(layer, nn.Linear)]
    return paths[-1] if paths else None


def timm_backbone(name: str, options: TimmOptions) -> nn.Module:
    """Build a network of timm without its classifier. Raises SpecError for a name it has not."""
    timm: Any = import_module("timm")
    _check_name("timm", name, timm.list_models())
    given = {key: value for key, value in options.tree().items() if value is not None}
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=0, **given)
    network.feature_dim = getattr(network, "head_hidden_size", network.num_features)
    return network


def _check_name(library: str, name: str, known: Sequence[str]) -> None:
    if name in known:
        return
    near = [f"{library}/{one}" for one in difflib.get_close_matches(name, known, n=3)]
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise SpecError([f"encoder.architecture={library}/{name}: {library} has no such network{hint}"])
