"""Encoders that others have trained, renamed to this program's keys and checked to fit in each.

What keys and shapes do not tell is not checked: the padding of a convolution, which convolution of
a bottleneck has the stride, the statistics the images were normalised with. Notes say where a
layout is known to differ.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from workloads.simclr.encoder import RESNETS
from workloads.simclr.published_choice import (
    Choice,
    chosen,
    is_said,
    is_within,
    left_over,
    not_read,
    others_left_out,
)
from workloads.simclr.published_files import Held, listed, read_tensors, read_torchvision
from workloads.simclr.published_fit import fits, hint, problems_with_fit, shapes_of
from workloads.simclr.published_layouts import encoders_in, is_counter, is_of_a_head
from workloads.simclr.spec import EncoderSpec, RunSpec
from workloads.spec import SpecError

__all__ = ["NAMED", "Choice", "EncoderWeights", "encoder_of", "encoder_state", "state_of_weights"]

NAMED = "torchvision:"  # how names begin of weights that are no file


@dataclass(frozen=True)
class EncoderWeights:
    """A published encoder under this program's keys (without `encoder.`), and facts about it."""

    tensors: dict[str, Tensor]
    layout: str
    ignored: tuple[str, ...]  # keys of heads, classifiers and queues, as the file has them
    filled: tuple[str, ...]  # BN's counters of batches, which inference does not read
    notes: tuple[str, ...] = ()  # what else the file has


def encoder_of(source: str, spec: EncoderSpec, choice: Choice | None = None) -> EncoderWeights:
    """Read a published encoder from a file, a URI or `torchvision:resnet50[:IMAGENET1K_V2]`.

    Raises SpecError with all that does not fit.
    """
    held = read_torchvision(source) if source.startswith(NAMED) else read_tensors(source)
    try:
        return encoder_state(held, spec, choice)
    except SpecError as error:
        raise SpecError([f"{source}: {problem}" for problem in error.problems]) from None


def encoder_state(held: Held, spec: EncoderSpec, choice: Choice | None = None) -> EncoderWeights:
    """Find the encoder among a file's tensors.

    Every key of `spec`'s must be there and fit in shape. What else lies beside it must be a head by
    its name, another encoder that was not chosen, or be said to be not needed; and only BN's
    counters of batches may be absent. Raises SpecError with all that does not fit.
    """
    choice, needed = choice or Choice(), shapes_of(spec)
    if spec.is_own:
        return _own_encoder(held, spec, needed, choice)
    every = encoders_in(held)
    if not every:
        names = [name for tensors in held.values() for name in tensors]
        raise SpecError(
            [
                "holds no encoder that is known here: a ResNet by torchvision's names "
                "(layer1.0.conv1.weight), below whatever prefix or by number in a Sequential; "
                f"its keys are {listed(names)}"
            ]
        )
    found = chosen(every, held, needed, choice)
    if found.refused:
        raise SpecError([f"is {found.title}, which {found.refused}"])

    others = [one for one in every if one is not found]
    of_others = {key for one in others for key in one.names.values()} - {*found.names.values()}
    rest = [key for key in found.rest(held) if key not in of_others]
    ignored = [
        key
        for key in rest
        if is_counter(key[1])
        or (not is_within(key, found) and (is_of_a_head(key, found) or is_said(key, choice)))
    ]
    tensors = {
        # counters of batches that numpy has given a dimension
        name: one.reshape(()) if one.numel() == 1 and needed.get(name) == () else one
        for name, one in found.tensors(held).items()
    }
    filled = {
        name: torch.tensor(0)
        for name in needed
        if name.endswith(".num_batches_tracked") and name not in tensors
    }
    problems = problems_with_fit(tensors | filled, needed)
    problems += left_over([key for key in rest if key not in ignored], rest, found, choice)
    if problems:
        raise SpecError([*problems, *hint(tensors, spec)])

    converted = {
        name: (tensors | filled)[name].to(torch.float32 if shape else torch.int64)
        for name, shape in needed.items()
    }
    notes = [*others_left_out(others, found), *not_read(held, {*rest, *of_others}, found)]
    left_out = tuple(sorted(name for _, name in ignored))
    return EncoderWeights(converted, found.title, left_out, tuple(filled), tuple(notes))


def _own_encoder(
    held: Held, spec: EncoderSpec, needed: Mapping[str, tuple[int, ...]], choice: Choice
) -> EncoderWeights:
    """An own encoder's tensors under the names that its module gives them, below a prefix."""
    prefixes = ("", "encoder.", "encoder.network.", "network.")
    for tensors in held.values():
        for prefix in prefixes if choice.prefix is None else (f"{choice.prefix.rstrip('.')}.",):
            keys = {name: prefix + name.removeprefix("network.") for name in needed}
            found = {name: tensors[key] for name, key in keys.items() if key in tensors}
            if fits(found, needed):
                filled = {name: torch.tensor(0) for name in needed if name not in found}
                ignored = tuple(sorted(tensors.keys() - set(keys.values())))
                what = f"the tensors of {spec.architecture}"
                return EncoderWeights(found | filled, what, ignored, tuple(filled))
    names = [name for tensors in held.values() for name in tensors]
    wanted = listed([name.removeprefix("network.") for name in needed])
    raise SpecError(
        [
            f"holds no {spec.architecture} of these options: needed are {wanted}, in their shapes; "
            f"its keys are {listed(names)}"
        ]
    )


def state_of_weights(
    path_or_name: str, spec: RunSpec, choice: Choice | None = None
) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Read a state from which `load_encoder` takes a published encoder, and notes on it.

    The encoder comes from a file or from `torchvision:resnet50[:IMAGENET1K_V2]`. The notes say
    which layout the file has, what was ignored, and what nothing in it tells. Raises SpecError.
    """
    weights = encoder_of(path_or_name, spec.encoder, choice)
    model = {f"encoder.{name}": tensor for name, tensor in weights.tensors.items()}
    return {"epoch": spec.schedule.epochs, "model": model}, _notes(weights, spec.encoder)


def _notes(weights: EncoderWeights, spec: EncoderSpec) -> tuple[str, ...]:
    notes = [f"the file has {weights.layout}"]
    notes += weights.notes
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
