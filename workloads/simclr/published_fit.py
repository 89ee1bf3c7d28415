"""Whether tensors are those of an encoder: by their names, their shapes and their numbers."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from workloads.simclr.encoder import CONVNETS, RESNETS, build
from workloads.simclr.published_files import listed
from workloads.simclr.spec import EncoderSpec
from workloads.spec import SpecError

__all__ = ["fits", "hint", "problems_with_fit", "shapes_of"]

SHOWN = 10  # problems with shapes in a message


def shapes_of(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    """Return the shape of each of an encoder's tensors; nothing is allocated if possible."""
    try:
        with torch.device("meta"):
            network: nn.Module = build(spec)
    except SpecError:
        if not spec.is_own:
            raise
        with torch.random.fork_rng(devices=[]):  # its own code may need numbers
            network = build(spec)
    return {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}


def fits(tensors: Mapping[str, Tensor], needed: Mapping[str, tuple[int, ...]]) -> bool:
    """Tell whether tensors are all of an encoder's, BN's counters of batches aside."""
    counted = {name: shape for name, shape in needed.items() if shape}
    return counted == {name: tuple(one.shape) for name, one in tensors.items() if one.dim()}


def problems_with_fit(
    found: Mapping[str, Tensor], needed: Mapping[str, tuple[int, ...]]
) -> list[str]:
    """List what is missing, what is too much, and what has another shape or no usable numbers."""
    missing = [name for name in needed if name not in found]
    unexpected = [name for name in found if name not in needed]
    problems = []
    if missing:
        problems.append(f"missing keys of the encoder ({len(missing)}): {listed(missing)}")
    if unexpected:
        problems.append(f"keys that this encoder has not ({len(unexpected)}): {listed(unexpected)}")

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
        elif not found[name].to(torch.float32).isfinite().all():
            problems.append(f"{name} holds numbers that are infinite or undefined")
    return problems


def hint(found: Mapping[str, Tensor], spec: EncoderSpec) -> list[str]:
    """Say what to change in the specification so that it fits, or what the tensors look like."""
    of_file = {
        name: tuple(tensor.shape)
        for name, tensor in found.items()
        if not name.endswith("num_batches_tracked")
    }
    channels = next(
        (of_file[name][0] for name in ("conv1.weight", "stages.0.weight") if of_file.get(name)), 0
    )

    for architecture in (*RESNETS, *CONVNETS):
        for stem in ("imagenet", "cifar") if architecture in RESNETS else (spec.stem,):
            width = channels / (64 if architecture in RESNETS else 32)
            if not 0 < width <= 8:
                continue

            other = spec.with_values({"architecture": architecture, "stem": stem, "width": width})
            if of_file == {name: shape for name, shape in shapes_of(other).items() if shape}:
                changed = [
                    f"encoder.{name}={value}"
                    for name, value in other.flat().items()
                    if value != spec.flat()[name]
                ]
                return [f"it would fit with {' and '.join(changed)}"] if changed else []
    return _by_blocks(found, spec)


def _by_blocks(found: Mapping[str, Tensor], spec: EncoderSpec) -> list[str]:
    """Which other architecture a ResNet's number of blocks tells, where its shapes do not."""
    blocks = {(int(name[5]), int(name.split(".")[1])) for name in found if name.startswith("layer")}
    if not blocks:
        return []
    counts = [sum(stage == number for stage, _ in blocks) for number in range(1, 5)]
    kind = "bottleneck" if any(name.endswith("conv3.weight") for name in found) else "basic"
    named = [name for name, known in RESNETS.items() if known == (kind, (*counts,))]
    if spec.architecture in named:
        return []
    what = f"as {named[0]} has them" if named else "which no architecture here has"
    return [f"the file has stages of {', '.join(map(str, counts))} {kind} blocks, {what}"]
