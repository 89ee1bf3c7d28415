"""Encoders that others have trained: read from a file, renamed to this program's keys, and checked
to fit in every one.

What keys and shapes do not tell is not checked: the padding of a convolution, which convolution of
a bottleneck has the stride, the statistics the images were normalised with. Notes say where a
layout is known to differ.
"""

import argparse
import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.serialization import safe_globals

from workloads.simclr.encoder import CONVNETS, RESNETS, build
from workloads.simclr.spec import EncoderSpec, RunSpec
from workloads.spec import SpecError

__all__ = [
    "LAYOUTS",
    "EncoderWeights",
    "Layout",
    "encoder_state",
    "read_tensors",
    "state_of_weights",
]

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
SHOWN = 10

NAMES = re.compile(
    r"((conv1|bn1|layer[1-4]\.\d+\.(conv[1-3]|bn[1-3]|downsample\.[01]))|stages\.\d+)"
    r"\.(weight|bias|running_mean|running_var|num_batches_tracked)"
)
STEM = ("conv1", "bn1", "")  # the ReLU has no weights, nor has the max-pool
STAGES = ("layer1", "layer2", "layer3", "layer4")


@dataclass(frozen=True)
class Layout:
    """How somebody's files name an encoder: what stands before its keys, and for a Sequential the
    names by number.
    """

    title: str
    prefixes: tuple[str, ...]
    children: tuple[str, ...] = ()
    refused: str = ""

    def inner(self, prefix: str, key: str) -> str | None:
        """The key as the encoder names it; None where it is not the encoder's."""
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
        refused="has no ReLU after the first convolution, which this encoder "
        "has: its features would "
        "not be the same",
    ),
)


@dataclass(frozen=True)
class EncoderWeights:
    """A published encoder under this program's keys (without `encoder.`), and what there is to tell
    about it.
    """

    tensors: dict[str, Tensor]
    layout: str
    ignored: tuple[str, ...]  # keys of heads, classifiers and queues, as the file has them
    filled: tuple[str, ...]  # BN's counters of batches, which inference does not read


def read_tensors(path: Path) -> dict[str, Tensor]:
    """The state dict in a file, by its own keys. Never runs code from the file. Raises
    SpecError.
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
    holds = (
        f"its keys are {_some(map(str, tree))}"
        if isinstance(tree, Mapping)
        else (f"it holds a {type(tree).__name__}")
    )
    tried = ", ".join(branch or "the top" for branch in BRANCHES)
    raise SpecError([f"{path}: has no state dict of tensors; looked at {tried}; {holds}"])


def encoder_state(tensors: Mapping[str, Tensor], spec: EncoderSpec) -> EncoderWeights:
    """The encoder among a file's tensors; every key of `spec`'s must be there, fit in shape, and
    none be left over.

    Only heads are ignored, and only BN's counters of batches may be absent. Raises SpecError with
    all that does not fit.
    """
    unwrapped = {
        ".".join(part for part in name.split(".") if part not in WRAPPERS): name for name in tensors
    }
    layout, prefix = _recognised(unwrapped)
    found: dict[str, Tensor] = {}
    ignored, foreign = [], []
    for key, name in unwrapped.items():
        inner = layout.inner(prefix, key)
        if _is_of_a_head(key, prefix):
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
    """A state from which `load_encoder` takes the encoder, of a file or of
    `torchvision:resnet50[:IMAGENET1K_V2]`; and notes.

    The notes say which layout the file has, what was ignored, and what nothing in it tells. Raises
    SpecError.
    """
    named = path_or_name.startswith("torchvision:")
    tensors = (
        _from_torchvision(path_or_name) if named else read_tensors(Path(path_or_name).expanduser())
    )
    try:
        weights = encoder_state(tensors, spec.encoder)
    except SpecError as error:
        raise SpecError([f"{path_or_name}: {problem}" for problem in error.problems]) from None
    model = {f"encoder.{name}": tensor for name, tensor in weights.tensors.items()}
    return {"epoch": spec.schedule.epochs, "model": model}, _notes(weights, spec.encoder)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError:
        raise SpecError([f"{path}: needs safetensors: pip install 'simclr-orch[export]'"]) from None
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
        what = (
            f"has more than tensors in it ({wanted[1]})"
            if wanted
            else ("has more than tensors in it")
        )
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


_CONVERT = (
    "on a machine that trusts it, load it with torch.load(..., weights_only=False)"
    " and write its state dict with safetensors.torch.save_file"
)


def _from_torchvision(name: str) -> dict[str, Tensor]:
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


def _at(tree: Any, branch: str) -> Any:
    for name in branch.split(".") if branch else ():
        tree = tree.get(name) if isinstance(tree, Mapping) else None
    return tree


def _recognised(keys: Mapping[str, str]) -> tuple[Layout, str]:
    """The layout and prefix by which most keys bear an encoder's names. Raises SpecError."""
    fits = [
        (
            sum(
                inner is not None and bool(NAMES.fullmatch(inner))
                for inner in (layout.inner(prefix, key) for key in keys)
            ),
            at,
        )
        for at, (layout, prefix) in enumerate(_CANDIDATES)
    ]
    most = max(count for count, _ in fits)
    if not most:
        tried = ", ".join(dict.fromkeys(prefix or "nothing" for _, prefix in _CANDIDATES))
        raise SpecError(
            [
                f"holds no encoder that is known here (looked below {tried}); its keys are "
                f"{_some(keys.values())}"
            ]
        )
    layout, prefix = next(_CANDIDATES[at] for count, at in fits if count == most)
    if layout.refused:
        raise SpecError([f"is {layout.title} below {prefix}, which {layout.refused}"])
    return layout, prefix


_CANDIDATES = [(layout, prefix) for layout in LAYOUTS for prefix in layout.prefixes]


def _is_of_a_head(key: str, prefix: str) -> bool:
    names = {key.split(".")[0], key.removeprefix(prefix).split(".")[0]}
    return bool(names & HEADS) or key.rpartition(".")[2] in COUNTERS


def _shapes(spec: EncoderSpec) -> dict[str, tuple[int, ...]]:
    with torch.device("meta"):
        return {name: tuple(tensor.shape) for name, tensor in build(spec).state_dict().items()}


def _problems(
    found: Mapping[str, Tensor], needed: Mapping[str, tuple[int, ...]], foreign: list[str]
) -> list[str]:
    missing = [name for name in needed if name not in found]
    unexpected = [*(name for name in found if name not in needed), *foreign]
    problems = (
        [f"missing keys of the encoder ({len(missing)}): {_some(missing)}"] if missing else []
    )
    if unexpected:
        problems.append(
            f"keys neither of the encoder nor of a known head ({len(unexpected)}): "
            f"{_some(unexpected)}"
        )
    wrong = [
        f"{name} is {list(found[name].shape)}, needed is {list(shape)}"
        for name, shape in needed.items()
        if name in found and found[name].shape != shape
    ]
    problems += [
        *wrong[:SHOWN],
        *([f"and {len(wrong) - SHOWN} more are of another shape"] if len(wrong) > SHOWN else []),
    ]
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
            f"{_some(weights.ignored)}"
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
            "images go in as they are, in [0, 1], as the authors' do; an encoder that was "
            "trained on normalised images, as"
            " torchvision's are, needs encoder.input_normalization=imagenet or that of its own data"
        )
    return tuple(notes)


def _some(names: Any) -> str:
    listed = [*names]
    return ", ".join(listed[:SHOWN]) + (", ..." if len(listed) > SHOWN else "")


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
