"""Encoders that others have trained, renamed to this program's keys and checked to fit in each.

What keys and shapes do not tell is not checked: the padding of a convolution, which convolution of
a bottleneck has the stride, the statistics the images were normalised with. Notes say where a
layout is known to differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from workloads.simclr.encoder import CONVNETS, RESNETS, build
from workloads.simclr.published_files import listed, read_tensors, read_torchvision
from workloads.simclr.published_layouts import is_of_a_head, recognised, unwrapped
from workloads.simclr.spec import EncoderSpec, RunSpec
from workloads.spec import SpecError

__all__ = ["EncoderWeights", "encoder_state", "state_of_weights"]

SHOWN = 10  # problems with shapes in a message


@dataclass(frozen=True)
class EncoderWeights:
    """A published encoder under this program's keys (without `encoder.`), and facts about it."""

    tensors: dict[str, Tensor]
    layout: str
    ignored: tuple[str, ...]  # keys of heads, classifiers and queues, as the file has them
    filled: tuple[str, ...]  # BN's counters of batches, which inference does not read


def encoder_state(tensors: Mapping[str, Tensor], spec: EncoderSpec) -> EncoderWeights:
    """Find the encoder among a file's tensors.

    Every key of `spec`'s must be there and fit in shape, and none be left over. Only heads are
    ignored, and only BN's counters of batches may be absent. Raises SpecError with all that does
    not fit.
    """
    keys = unwrapped(tensors)
    layout, prefix = recognised(keys)
    found: dict[str, Tensor] = {}
    ignored, foreign = [], []
    for key, name in keys.items():
        inner = layout.inner(prefix, key)
        if is_of_a_head(key, prefix):
            ignored.append(name)
        elif inner is None or inner in found:
            foreign.append(name)
        else:
            found[inner] = tensors[name]

    needed = _shapes(spec)
    filled = {
        name: torch.tensor(0)
        for name in needed
        if name.endswith(".num_batches_tracked") and name not in found
    }
    if problems := _problems(found | filled, needed, foreign):
        raise SpecError([*problems, *_hint(found, spec)])

    title = f"{layout.title} below {prefix}" if layout.children and prefix else layout.title
    converted = {
        name: (found | filled)[name].to(torch.float32 if shape else torch.int64)
        for name, shape in needed.items()
    }
    return EncoderWeights(converted, title, tuple(sorted(ignored)), tuple(filled))


def state_of_weights(path_or_name: str, spec: RunSpec) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read a state from which `load_encoder` takes a published encoder, and notes on it.

    The encoder comes from a file or from `torchvision:resnet50[:IMAGENET1K_V2]`. The notes say
    which layout the file has, what was ignored, and what nothing in it tells. Raises SpecError.
    """
    named = path_or_name.startswith("torchvision:")
    tensors = (
        read_torchvision(path_or_name) if named else read_tensors(Path(path_or_name).expanduser())
    )

    try:
        weights = encoder_state(tensors, spec.encoder)
    except SpecError as error:
        raise SpecError([f"{path_or_name}: {problem}" for problem in error.problems]) from None

    model = {f"encoder.{name}": tensor for name, tensor in weights.tensors.items()}
    return {"epoch": spec.schedule.epochs, "model": model}, _notes(weights, spec.encoder)


def _shapes(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(spec).state_dict().items()}


def _problems(
    found: Mapping[str, Tensor], needed: Mapping[str, tuple[int, ...]], foreign: list[str]
) -> list[str]:
    missing = [name for name in needed if name not in found]
    unexpected = [*(name for name in found if name not in needed), *foreign]
    problems = []
    if missing:
        problems.append(f"missing keys of the encoder ({len(missing)}): {listed(missing)}")
    if unexpected:
        problems.append(
            f"keys neither of the encoder nor of a known head ({len(unexpected)}): "
            f"{listed(unexpected)}"
        )

    wrong = [
        f"{name} is {list(found[name].shape)}, needed is {list(shape)}"
        for name, shape in needed.items()
        if name in found and found[name].shape != shape
    ]
    problems += wrong[:SHOWN]
    if len(wrong) > SHOWN:
        problems.append(f"and {len(wrong) - SHOWN} more are of another shape")

    for name in (name for name, shape in needed.items() if shape and name in found):
        if not found[name].is_floating_point():
            problems.append(f"{name} holds {found[name].dtype}, needed are floating-point numbers")
        elif not found[name].isfinite().all():
            problems.append(f"{name} holds numbers that are infinite or undefined")
    return problems


def _hint(found: Mapping[str, Tensor], spec: EncoderSpec) -> list[str]:
    """What to change in the specification so that it fits, where anything does."""
    shapes = {
        name: tuple(tensor.shape)
        for name, tensor in found.items()
        if not name.endswith("num_batches_tracked")
    }
    channels = next(
        (shapes[name][0] for name in ("conv1.weight", "stages.0.weight") if shapes.get(name)), 0
    )

    for architecture in (*RESNETS, *CONVNETS):
        for stem in ("imagenet", "cifar") if architecture in RESNETS else (spec.stem,):
            width = channels / (64 if architecture in RESNETS else 32)
            if not 0 < width <= 8:
                continue

            other = spec.with_values({"architecture": architecture, "stem": stem, "width": width})
            if shapes == {name: shape for name, shape in _shapes(other).items() if shape}:
                changed = [
                    f"encoder.{name}={value}"
                    for name, value in other.flat().items()
                    if value != spec.flat()[name]
                ]
                return [f"it would fit with {' and '.join(changed)}"] if changed else []
    return []


def _notes(weights: EncoderWeights, spec: EncoderSpec) -> tuple[str, ...]:
    notes = [f"the file has {weights.layout}"]
    if weights.ignored:
        notes.append(
            f"left out keys of heads and the like ({len(weights.ignored)}): "
            f"{listed(weights.ignored)}"
        )
    if weights.filled:
        notes.append("the file has no num_batches_tracked: set to 0, which inference does not read")
    if spec.stem == "cifar" and spec.architecture in RESNETS:
        notes.append(
            "no file tells the padding of the first 3x3 convolution: 1 here, as in most code, "
            "but 2 in solo-learn"
        )
    if spec.input_normalization == "none":
        notes.append(
            "images go in as they are, in [0, 1], as the authors' do; an encoder that was trained "
            "on normalised images, as torchvision's are, needs "
            "encoder.input_normalization=imagenet or that of its own data"
        )
    return tuple(notes)
