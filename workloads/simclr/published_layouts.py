"""How encoders are named in files that others have published, and which of the names a file has.

Each layout says whose code writes it. What keys do not tell is not here: see `published`.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from workloads.simclr.published_files import listed
from workloads.spec import SpecError

__all__ = ["LAYOUTS", "Layout", "is_of_a_head", "recognised", "unwrapped"]

# DataParallel and torch.compile, wherever in the key they wrap something
WRAPPERS = {"module", "_orig_mod"}
HEADS = {
    *(
        "fc",
        "linear",
        "classifier",
        "clf",
        "linear_classifier",
        "online_classifier",
        "non_linear_evaluator",
    ),
    *(
        "head",
        "heads",
        "neck",
        "g",
        "l1",
        "l2",
        "projection",
        "projector",
        "projection_head",
        "contrastive_head",
    ),
    *("queue", "queue_ptr", "criterion"),
}
# thop leaves them behind in every layer, as in leftthomas/SimCLR
COUNTERS = {"total_ops", "total_params"}
NAMES = re.compile(
    "((conv1|bn1|layer[1-4]\\.\\d+\\.(conv[1-3]|bn[1-3]|downsample\\.[01]))|stages\\.\\d+)\\.(weight|bias|running_mean|running_var|num_batches_tracked)"
)
STEM = ("conv1", "bn1", "")  # the ReLU has no weights, nor has the max-pool
STAGES = ("layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class Layout:
    """How somebody's files name an encoder: what stands before each of its keys.

    `children` are the names by number in a Sequential, which has numbers instead; `refused` says
    why an encoder that is named like this cannot be taken.
    """

    title: str
    prefixes: tuple[str, ...]
    children: tuple[str, ...] = ()
    refused: str = ""

    def inner(self, prefix: str, key: str) -> str | None:
        """Return the key as the encoder names it; None where it is not the encoder's."""
        if not key.startswith(prefix):
            return None
        first, *rest = key.removeprefix(prefix).split(".")
        if self.children:
            if not (first.isdecimal() and int(first) < len(self.children)):
                return None
            first = self.children[int(first)]
        # kuangliu/pytorch-cifar, and HobbitLong/SupContrast and lightly's ResNetGenerator after it,
        # name it the shortcut.
        return ".".join([first, *("downsample" if name == "shortcut" else name for name in rest)])


NUMBERED = ("", "backbone.", "encoder.", "convnet.", "features.", "f.")
LAYOUTS = (
    # torchvision and timm, whose keys the others have below a prefix; tonylins/simclr-converter
    # (the authors' ResNet-50 of width 1, 2 and 4); converted VISSL models.
    Layout("the usual keys", ("",)),
    # This program; Spijkervet/SimCLR; lightning-bolts; older solo-learn; HobbitLong/SupContrast
    # (encoder.module.).
    Layout("the usual keys below encoder.", ("encoder.",)),
    # lightly's benchmarks; solo-learn; sthalles/SimCLR (its head is backbone.fc); mmselfsup and
    # openmixup.
    Layout("the usual keys below backbone.", ("backbone.",)),
    # AndrewAtanov/simclr-pytorch; phlippe/uvadlc_notebooks, tutorial 17 (its head is convnet.fc).
    Layout("the usual keys below convnet.", ("convnet.",)),
    # p3i0t/SimCLR-CIFAR10 (its head is projector).
    Layout("the usual keys below enc.", ("enc.",)),
    # VISSL's trunk, vissl/models/trunks/resnext.py: a ModuleDict with the usual keys.
    Layout("VISSL's trunk", ("_feature_blocks.",)),
    # nn.Sequential(*list(resnet.children())[:-1]): lightly's tutorials (backbone.), earlier
    # sthalles/SimCLR (features.).
    Layout("a Sequential of torchvision's children", NUMBERED, (*STEM, "", *STAGES)),
    # The same without the max-pool: leftthomas/SimCLR for CIFAR-10 (f.; the head is g).
    Layout("a Sequential of torchvision's children without max-pool", NUMBERED, (*STEM, *STAGES)),
    # lightly's CIFAR-10 benchmarks: ResNetGenerator applies its first ReLU in forward, so that its
    # children lack it.
    Layout(
        "a Sequential of the children of lightly's ResNetGenerator",
        ("backbone.",),
        ("conv1", "bn1", *STAGES),
        refused="has no ReLU after the first convolution, which this encoder has: its features "
        "would not be the same",
    ),
)


def unwrapped(names: Iterable[str]) -> dict[str, str]:
    """Map each name without its wrappers to the name as the file has it."""
    return {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): name for name in names
    }


def recognised(keys: Mapping[str, str]) -> tuple[Layout, str]:
    """Return the layout and the prefix by which most keys bear an encoder's names.

    `keys` are those of `unwrapped`. Raises SpecError where none does, or for a layout that is
    refused.
    """
    counts = []
    for layout, prefix in _PREFIXED:
        named = [layout.inner(prefix, key) for key in keys]
        counts.append(sum(name is not None and bool(NAMES.fullmatch(name)) for name in named))

    most = max(counts)
    if not most:
        tried = ", ".join(dict.fromkeys(prefix or "nothing" for _, prefix in _PREFIXED))
        raise SpecError(
            [
                f"holds no encoder that is known here (looked below {tried}); its keys are "
                f"{listed(keys.values())}"
            ]
        )

    layout, prefix = _PREFIXED[counts.index(most)]
    if layout.refused:
        raise SpecError([f"is {layout.title} below {prefix}, which {layout.refused}"])
    return layout, prefix


_PREFIXED = [(layout, prefix) for layout in LAYOUTS for prefix in layout.prefixes]


def is_of_a_head(key: str, prefix: str) -> bool:
    """Tell whether a key belongs to a head, a queue or a counter, which an encoder does without."""
    names = {key.split(".")[0], key.removeprefix(prefix).split(".")[0]}
    return bool(names & HEADS) or key.rpartition(".")[2] in COUNTERS
