"""How an encoder is found among named tensors: by its own names, below whatever prefix.

Nobody's prefixes are listed here. torchvision's names of a ResNet's layers are, and that a
Sequential of its children has numbers instead. What keys do not tell is not here: see `published`.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import takewhile

from torch import Tensor

from workloads.simclr.published_files import Held

__all__ = ["Found", "Key", "encoders_in", "is_counter", "is_of_a_head", "unwrapped"]

Key = tuple[str, str]  # where a tensor lies in the file, and its name there

# what DataParallel, torch.compile and others put in front of a module's name, wherever it is
WRAPPERS = {"module", "_orig_mod", "_fsdp_wrapped_module", "_checkpoint_wrapped_module"}
# Words of which names of heads are made, as in projection_head, mlp_head or linear1.
HEADS = {
    *("fc", "linear", "lin", "classifier", "classification", "clf", "logits", "evaluator"),
    *("head", "heads", "neck", "mlp", "contrastive", "prototypes"),
    *("proj", "projector", "projection", "pred", "predictor", "prediction", "probe"),
    *("queue", "criterion"),
}
SHORT_HEADS = {"g", "l1", "l2"}  # of leftthomas/SimCLR and sthalles/SimCLR
# thop leaves the first two behind in every layer, torch's AveragedModel the third
COUNTERS = {"total_ops", "total_params", "n_averaged"}

_LEAF = "(?:weight|bias|running_mean|running_var|num_batches_tracked)"
# kuangliu/pytorch-cifar, and HobbitLong/SupContrast and lightly's ResNetGenerator after it, name
# the downsample the shortcut.
_IN_BLOCK = "(?:conv[1-3]|bn[1-3]|(?:downsample|shortcut)\\.[01])"
_USUAL = re.compile(
    f"(?:.*?\\.)??((?:(?:conv1|bn1|layer[1-4]\\.\\d+\\.{_IN_BLOCK})|stages\\.\\d+)\\.{_LEAF})"
)
_NUMBERED = re.compile(f"(?:.*\\.)?(\\d+\\.\\d+\\.{_IN_BLOCK}\\.{_LEAF})")
# by the number that the first stage has in a Sequential of a ResNet's children
_SEQUENTIAL = {
    4: "a Sequential of torchvision's children",
    3: "a Sequential of torchvision's children without max-pool",
    2: "a Sequential of the children of lightly's ResNetGenerator",
}
_NO_RELU = (
    "has no ReLU after the first convolution, which this encoder has: its features would not be "
    "the same"
)


@dataclass(frozen=True)
class Found:
    """An encoder in a file: the tensors of each of its keys, and what stands before them."""

    prefix: str  # as the file has it, the way to the tensors included
    names: Mapping[str, Key]
    layout: str
    refused: str = ""

    @property
    def title(self) -> str:
        """How the file names it, for people."""
        return f"{self.layout} below {self.prefix}" if self.prefix else self.layout

    @property
    def place(self) -> str:
        """Where its tensors lie in the file."""
        places = sorted({place for place, _ in self.names.values()})
        if len(places) == 1:
            return places[0]
        # the first and the last of them in order differ most
        both = zip(places[0].split("."), places[-1].split("."), strict=False)
        return ".".join(one for one, _ in takewhile(lambda pair: pair[0] == pair[1], both))

    def tensors(self, held: Held) -> dict[str, Tensor]:
        """Return the tensors by the encoder's keys."""
        return {inner: held[place][name] for inner, (place, name) in self.names.items()}

    def rest(self, held: Held) -> list[Key]:
        """Return what lies beside the encoder in the same mapping."""
        own, place = {*self.names.values()}, self.place
        nested = any(where != place for where, _ in own)
        return [
            (where, name)
            for where, tensors in held.items()
            for name in tensors
            if (where == place or (nested and f"{where}.".startswith(f"{place}." if place else "")))
            and (where, name) not in own
        ]


def encoders_in(held: Held) -> list[Found]:
    """Find every ResNet and convnet in a file, the one with the most keys first."""
    usual: dict[str, dict[str, Key]] = {}
    numbered: dict[str, dict[str, Key]] = {}
    for place, tensors in held.items():
        for name in tensors:
            full = f"{place}.{name}" if place else name
            if match := _USUAL.fullmatch(unwrapped(full)):
                usual.setdefault(_before(full, match[1]), {})[_renamed(match[1])] = (place, name)
            if match := _NUMBERED.fullmatch(unwrapped(full)):
                numbered.setdefault(_before(full, match[1]), {})[match[1]] = (place, name)

    found = [
        Found(prefix, names, "the usual keys")
        for prefix, names in usual.items()
        if any(name.startswith(("layer", "stages")) for name in names)
    ]
    for prefix, names in numbered.items():
        if sequential := _sequential(prefix, names, held):
            found.append(sequential)
    return sorted(found, key=lambda one: -_weights_of(one))


def _sequential(prefix: str, blocks: Mapping[str, Key], held: Held) -> Found | None:
    """The encoder whose children have numbers: the stem's are 0 and 1, the stages' the last."""
    stages = sorted({int(name.split(".")[0]) for name in blocks})
    first = stages[0]
    if first not in _SEQUENTIAL or stages != list(range(first, first + len(stages))):
        return None
    children = {"0": "conv1", "1": "bn1"} | {
        str(number): f"layer{number - first + 1}" for number in stages
    }
    names = {}
    for place, tensors in held.items():
        for name in tensors:
            full = f"{place}.{name}" if place else name
            if not full.startswith(prefix):
                continue
            number, _, rest = unwrapped(full.removeprefix(prefix)).partition(".")
            if number in children and (int(number) > 1 or re.fullmatch(_LEAF, rest)):
                names[_renamed(f"{children[number]}.{rest}")] = (place, name)
    names = {inner: key for inner, key in names.items() if _USUAL.fullmatch(inner)}
    return Found(prefix, names, _SEQUENTIAL[first], _NO_RELU if first == 2 else "")


def unwrapped(name: str) -> str:
    """Return a name without what wrappers of modules put into it."""
    return ".".join(part for part in name.split(".") if part not in WRAPPERS)


def is_counter(name: str) -> bool:
    """Tell whether a key is a number that tools leave beside weights."""
    return name.rpartition(".")[2] in COUNTERS


def is_of_a_head(key: Key, found: Found) -> bool:
    """Tell by where a key lies whether it belongs to a head or a queue.

    Beside the encoder any part of its name may say so; in the encoder's own module the first.
    """
    full = ".".join(part for part in key if part)
    if found.prefix and full.startswith(found.prefix):
        parts = unwrapped(full.removeprefix(found.prefix)).split(".")[:1]
    elif found.prefix:
        parts = unwrapped(key[1]).split(".")
    else:
        parts = unwrapped(full).split(".")[:1]
    return any(part in SHORT_HEADS or bool(HEADS & _words(part)) for part in parts)


def _words(part: str) -> set[str]:
    """The words of `projectionHead_2`: projection, head."""
    apart = re.sub("([a-z])([A-Z])", "\\1_\\2", part)
    return {word.lower() for word in re.split("[^A-Za-z]+", apart)}


def _before(full: str, inner: str) -> str:
    """What stands before the encoder's key in a name that may have wrappers in it."""
    parts, left = full.split("."), len(inner.split("."))
    while left:
        left -= parts.pop() not in WRAPPERS
    return "".join(f"{part}." for part in parts)


def _renamed(inner: str) -> str:
    return inner.replace(".shortcut.", ".downsample.")


def _weights_of(found: Found) -> int:
    return sum(not name.endswith(".num_batches_tracked") for name in found.names)
