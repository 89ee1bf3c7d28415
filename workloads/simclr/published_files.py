"""Weights that others have published, read from their files: a state dict by its own keys.

Reading never runs code from a file. torchvision's weights are files, too, fetched by their names.
"""

import argparse
import pickle
import re
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import safe_globals

from workloads.extras import install_command
from workloads.simclr.encoder import RESNETS
from workloads.spec import SpecError

__all__ = ["listed", "read_tensors", "read_torchvision"]

TORCH_FILES = (".pt", ".pth", ".ckpt", ".tar", ".torch", ".bin")
# Where files keep the tensors. Not the teacher or student of self-distillation: neither is SimCLR's
# encoder.
BRANCHES = (
    "",
    "state_dict",
    "model",
    "model_state_dict",
    "classy_state_dict.base_model.model.trunk",
    "state.model",
)
LISTED = 10  # names in a message

_CONVERT = (
    "on a machine that trusts it, load it with torch.load(..., weights_only=False)"
    " and write its state dict with safetensors.torch.save_file"
)


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read the state dict in a file, by its own keys.

    Never runs code from the file. Raises SpecError.
    """
    if path.suffix == ".safetensors":
        return _read_safetensors(path)
    if path.suffix not in TORCH_FILES:
        raise SpecError(
            [f"{path}: is not named like weights ({', '.join(('.safetensors', *TORCH_FILES))})"]
        )

    tree = _read_torch(path)
    for branch in BRANCHES:
        found = _at(tree, branch)
        if (
            isinstance(found, Mapping)
            and found
            and all(isinstance(value, Tensor) for value in found.values())
        ):
            return {str(name): value.detach() for name, value in found.items()}

    holds = f"it holds a {type(tree).__name__}"
    if isinstance(tree, Mapping):
        holds = f"its keys are {listed(map(str, tree))}"
    tried = ", ".join(branch or "the top" for branch in BRANCHES)
    raise SpecError([f"{path}: has no state dict of tensors; looked at {tried}; {holds}"])


def read_torchvision(name: str) -> dict[str, Tensor]:
    """Read weights that torchvision publishes: `torchvision:resnet50[:IMAGENET1K_V2]`.

    They are fetched where they are not in torch's cache yet. Raises SpecError.
    """
    _, architecture, *rest = name.split(":")
    if architecture not in RESNETS or len(rest) > 1:
        raise SpecError(
            [
                f"{name}: is not of the form torchvision:NAME[:WEIGHTS]; names are "
                f"{', '.join(RESNETS)}"
            ]
        )

    import torchvision  # here: it takes seconds

    published = torchvision.models.get_model_weights(architecture).__members__
    wanted = rest[0] if rest else "IMAGENET1K_V1"
    if wanted not in published:
        raise SpecError([f"{name}: no such weights; torchvision has {', '.join(published)}"])

    weights = published[wanted]
    try:
        tensors: dict[str, Tensor] = weights.get_state_dict(
            progress=False, check_hash=True, map_location="cpu", weights_only=True
        )
    except (OSError, RuntimeError, EOFError, pickle.UnpicklingError) as error:
        where = Path(torch.hub.get_dir(), "checkpoints", weights.url.rpartition("/")[2])
        raise SpecError(
            [f"{name}: {weights.url} could not be had ({_first_line(error)}); put it at {where}"]
        ) from None
    return tensors


def listed(names: Iterable[str]) -> str:
    """Write the first of some names, and dots where there are more."""
    every = [*names]
    return ", ".join(every[:LISTED]) + (", ..." if len(every) > LISTED else "")


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise SpecError([f"{path}: needs safetensors: {install_command('export')}"]) from None
    try:
        return load_file(path)
    except (OSError, SafetensorError) as error:
        raise SpecError([f"{path}: cannot be read ({error})"]) from None


def _read_torch(path: Path) -> Any:
    try:
        # Options of argparse lie beside many state dicts; a Namespace is a plain record. The
        # warning is about other pickles.
        with safe_globals([argparse.Namespace]), warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Detected pickle protocol")
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        wanted = re.search(r"GLOBAL (\w[\w.]*)", str(error))
        what = "has more than tensors in it" + (f" ({wanted[1]})" if wanted else "")
        raise SpecError(
            [f"{path}: {what} and could run code when it is read, so it is not; {_CONVERT}"]
        ) from None
    except RuntimeError as error:
        # archives of TorchScript, and tar files of torch before 0.2
        refused = "weights_only" in str(error)
        why = f"without running code from it; {_CONVERT}" if refused else f"({_first_line(error)})"
        raise SpecError([f"{path}: cannot be read {why}"]) from None
    except OSError as error:
        raise SpecError([f"{path}: cannot be read ({error})"]) from None
    except (EOFError, LookupError, ValueError, TypeError, AttributeError, AssertionError) as error:
        # What the unpickler stumbles over in a file that is no pickle at all.
        raise SpecError([f"{path}: is not a file of torch.save ({type(error).__name__})"]) from None


def _at(tree: Any, branch: str) -> Any:
    for name in branch.split(".") if branch else ():
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
