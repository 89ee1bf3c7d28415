"""Published weights under names that nobody has listed: found by the encoder's own, or asked for.

One process, seconds: torchvision's ResNet-18 with its own features as the oracle.
"""

import argparse
import collections
import datetime
import os
import pathlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torchvision
from torch import Tensor, nn

from workloads.distributed.worker import Worker
from workloads.simclr.published import Choice, state_of_weights
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_encoder
from workloads.spec import SpecError

State = dict[str, Tensor]
SPEC = RunSpec().with_values({"encoder.architecture": "resnet18"})
ZERO = torch.zeros(4)


def network_of(seed: int) -> nn.Module:
    torch.manual_seed(seed)
    network = torchvision.models.resnet18()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            nn.init.normal_(module.running_mean, std=0.1)
    network.fc = nn.Identity()
    return network.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    return network_of(0)


@pytest.fixture(scope="module")
def other() -> nn.Module:
    return network_of(1)


def below(prefix: str, network: nn.Module) -> State:
    return {prefix + name: tensor for name, tensor in network.state_dict().items()}


def assert_is(
    network: nn.Module, path: Path, choice: Choice | None = None, tolerance: float = 1e-5
) -> tuple[str, ...]:
    """The file's encoder has the network's features; returns what is said of the file."""
    state, notes = state_of_weights(str(path), SPEC, choice)
    encoder = load_encoder(SPEC, state, Worker(torch.device("cpu")))
    images = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), network(images), rtol=tolerance, atol=tolerance)
    return notes


def numbered(prefix: str, network: nn.Module) -> State:
    sequential = nn.Sequential(*list(network.children())[:-1])
    return {prefix + name: tensor for name, tensor in sequential.state_dict().items()}


FILES: dict[str, Callable[[nn.Module], Any]] = {
    "Lightning around a model": lambda one: {
        "state_dict": below("model.resnet.", one) | {"model.fc.1.weight": ZERO},
        "epoch": 9,
    },
    "a mapping of one's own name": lambda one: {
        "simclr_state": below("module.", one) | {"module.fc.0.weight": ZERO},
        "boxes": ZERO,
        "epoch": 500,
    },
    "a head within the model": lambda one: {
        "state_dict": below("model.backbone.", one)
        | {"model.projection_head.layers.0.weight": ZERO}
    },
    "numbers of numpy": lambda one: {
        "state_dict": below("module.", one),
        "best_acc1": np.float64(71.2),
        "losses": np.arange(3),
        "names": np.array(["a", "b"]),
        "kind": np.dtype("int64"),
    },
    "heads beside": lambda one: (
        below("encoder.", one) | {"mlp.0.weight": ZERO, "predictor.b": ZERO}
    ),
    "arrays of numpy": lambda one: {
        "model": {name: tensor.numpy() for name, tensor in below("f.", one).items()}
    },
    "big-endian arrays by columns": lambda one: {
        name: np.asfortranarray(tensor.numpy().astype(tensor.numpy().dtype.newbyteorder(">")))
        for name, tensor in below("", one).items()
    },
    "records of a run": lambda one: {
        "net": below("net.", one),
        "args": argparse.Namespace(lr=0.1, out=pathlib.Path("out")),
        "when": datetime.datetime(2020, 1, 1, tzinfo=datetime.UTC),
        "took": datetime.timedelta(1),
        "log": collections.defaultdict(list, a=[1]),
        "counts": collections.Counter("aab"),
        "torch": torch.__version__,
    },
    "modules within one another": lambda one: {
        "parts": {"encoder": _nested(one.state_dict()), "head": {"0": {"weight": ZERO}}}
    },
    "lists": lambda one: [3, (below("", one), {"step": 1})],
    "an optimizer beside": lambda one: {
        "model": below("online.", one),
        "optimizer": {"state": {0: {"exp_avg": ZERO}}, "param_groups": [{"params": [0]}]},
    },
    "compiled and distributed": lambda one: below("_orig_mod.module.encoder.module.", one),
    "averaged": lambda one: below("module.", one) | {"n_averaged": torch.tensor(3)},
    "a Sequential below any prefix": lambda one: {"state_dict": numbered("model.trunk.", one)},
    "a Sequential in a Sequential": lambda one: numbered("0.", one) | {"head.1.weight": ZERO},
    "the same encoder twice": lambda one: below("resnet.", one) | below("backbone.", one),
    "an OrderedDict": lambda one: collections.OrderedDict(below("student.", one)),
}


def _nested(state: State) -> dict[str, Any]:
    tree: dict[str, Any] = {}
    for name, tensor in state.items():
        *parents, leaf = name.split(".")
        branch = tree
        for parent in parents:
            branch = branch.setdefault(parent, {})
        branch[leaf] = tensor
    return tree


@pytest.mark.parametrize("tree", FILES.values(), ids=FILES)
@pytest.mark.parametrize("name", ["a.pth", "best_model.of-mine"])
def test_an_encoder_is_found_by_its_own_names(
    tree: Callable[[nn.Module], Any], name: str, resnet: nn.Module, tmp_path: Path
) -> None:
    torch.save(tree(resnet), tmp_path / name)
    assert_is(resnet, tmp_path / name)


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16, torch.float64])
def test_numbers_of_another_width(kind: torch.dtype, resnet: nn.Module, tmp_path: Path) -> None:
    state = {
        name: value.to(kind) if value.is_floating_point() else value
        for name, value in resnet.state_dict().items()
    }
    torch.save(state, tmp_path / "a.pth")
    assert_is(resnet, tmp_path / "a.pth", tolerance=0.3 if kind != torch.float64 else 1e-5)


def test_safetensors_are_told_by_content(resnet: nn.Module, tmp_path: Path) -> None:
    pytest.importorskip("safetensors.torch").save_file(below("a.", resnet), tmp_path / "a.pth")
    assert_is(resnet, tmp_path / "a.pth")
    torch.save(below("a.", resnet), tmp_path / "a.safetensors")
    assert_is(resnet, tmp_path / "a.safetensors")


TWO: dict[str, tuple[str, str, Callable[[nn.Module, nn.Module], Any]]] = {
    "moco": (
        "state_dict.module.encoder_q.",
        "state_dict.module.encoder_k.",
        lambda one, two: {
            "state_dict": below("module.encoder_q.", one)
            | below("module.encoder_k.", two)
            | {"module.encoder_q.fc.0.weight": ZERO, "module.queue": ZERO, "module.queue_ptr": ZERO}
        },
    ),
    "self-distillation": (
        "student.module.backbone.",
        "teacher.backbone.",
        lambda one, two: {
            "student": below("module.backbone.", one),
            "teacher": below("backbone.", two) | {"head.mlp.0.weight": ZERO},
        },
    ),
    "an average beside": (
        "state_dict.",
        "state_dict_ema.",
        lambda one, two: {"state_dict": below("", one), "state_dict_ema": below("", two)},
    ),
    "with and without a wrapper": (
        "module.",
        "nothing",
        lambda one, two: below("module.", one) | below("", two),
    ),
    "numbers and names": (
        "backbone.",
        "momentum.",
        lambda one, two: below("backbone.", one) | numbered("momentum.", two),
    ),
}


@pytest.mark.parametrize(("first", "second", "tree"), TWO.values(), ids=TWO)
def test_of_two_encoders_one_is_asked_for(
    first: str,
    second: str,
    tree: Callable[[nn.Module, nn.Module], Any],
    resnet: nn.Module,
    other: nn.Module,
    tmp_path: Path,
) -> None:
    path = tmp_path / "a.pth"
    torch.save(tree(resnet, other), path)
    with pytest.raises(SpecError, match="holds 2 encoders that fit, below ") as caught:
        state_of_weights(str(path), SPEC)
    [problem] = caught.value.problems
    assert first in problem
    assert second in problem
    assert "--weights-prefix" in problem
    for prefix, network in ((first, resnet), (second, other)):
        given = "" if prefix == "nothing" else prefix
        notes = assert_is(network, path, Choice(prefix=given))
        assert any("left out another encoder below" in note for note in notes) or any(
            "elsewhere" in note for note in notes
        )
        shorter = given.partition(".")[2]
        if shorter not in ("", "backbone."):
            assert_is(network, path, Choice(prefix=shorter.removesuffix(".")))
    with pytest.raises(SpecError, match=r"--weights-prefix nobody.: no encoder is below that; .*"):
        state_of_weights(str(path), SPEC, Choice(prefix="nobody."))


def test_the_only_one_that_fits_is_taken(resnet: nn.Module, tmp_path: Path) -> None:
    large = torchvision.models.resnet34()
    tree = below("teacher.", large) | below("student.", resnet)
    torch.save(tree, tmp_path / "a.pth")
    notes = assert_is(resnet, tmp_path / "a.pth")
    assert any("left out another encoder below teacher. (216 keys)" in note for note in notes)


def test_what_is_left_over_must_be_confirmed(resnet: nn.Module, tmp_path: Path) -> None:
    path = tmp_path / "a.pth"
    torch.save(below("module.net.", resnet) | {"module.bn.weight": ZERO, "module.ema": ZERO}, path)
    with pytest.raises(SpecError) as caught:
        state_of_weights(str(path), SPEC)
    assert caught.value.problems == [
        f"{path}: keys neither of the encoder nor of a head by their names (2): module.bn.weight, "
        "module.ema; leave out what is not needed: --weights-ignore bn --weights-ignore ema"
    ]
    notes = assert_is(resnet, path, Choice(ignore=("bn", "module.ema")))
    assert "left out keys of heads and the like (2): module.bn.weight, module.ema" in notes
    with pytest.raises(SpecError, match="--weights-ignore eva: no key beside the encoder begins"):
        state_of_weights(str(path), SPEC, Choice(ignore=("bn", "ema", "eva")))


@pytest.mark.parametrize("below_it", [False, True])
def test_layers_that_the_encoder_has_not_are_no_heads(
    below_it: bool, resnet: nn.Module, tmp_path: Path
) -> None:
    """Squeeze and excitation has an fc in each block: another network, whatever one says."""
    prefix = "model." if below_it else ""
    state = below(prefix, resnet) | {f"{prefix}layer1.0.se.fc1.weight": ZERO}
    torch.save(state, tmp_path / "a.pth")
    for choice in (None, Choice(ignore=(prefix + "layer1",))):
        with pytest.raises(SpecError, match=r"layers that this encoder has not \(1\): .*se\.fc1"):
            state_of_weights(str(tmp_path / "a.pth"), SPEC, choice)


def test_the_architecture_of_other_blocks_is_named(tmp_path: Path) -> None:
    with torch.device("meta"):
        wide = torchvision.models.wide_resnet50_2().state_dict()
    torch.save({name: torch.zeros(one.shape) for name, one in wide.items()}, tmp_path / "a.pth")
    with pytest.raises(SpecError) as caught:
        state_of_weights(str(tmp_path / "a.pth"), SPEC)
    assert caught.value.problems[-1].endswith(
        "the file has stages of 3, 4, 6, 3 bottleneck blocks, as resnet50 has them"
    )


def test_numbers_that_are_none_are_named(resnet: nn.Module, tmp_path: Path) -> None:
    state = below("a.", resnet)
    state["a.bn1.bias"] = torch.full((64,), torch.inf)
    torch.save(state, tmp_path / "a.pth")
    with pytest.raises(SpecError, match=r"bn1\.bias holds numbers that are infinite or undefined"):
        state_of_weights(str(tmp_path / "a.pth"), SPEC)


class Code:
    """Unpickled, it leaves a folder behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


def test_code_among_numbers_does_not_run(resnet: nn.Module, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    values = np.array([Code(trace)], dtype=object)
    torch.save({"a": below("", resnet), "best": values}, tmp_path / "a.pth")
    with pytest.raises(SpecError, match=r"more than tensors in it \(posix.mkdir\)"):
        state_of_weights(str(tmp_path / "a.pth"), SPEC)
    assert not trace.exists()


def test_a_folder_and_an_archive_of_something_else(tmp_path: Path) -> None:
    import zipfile

    with pytest.raises(SpecError, match="is a folder; name the file of weights in it"):
        state_of_weights(str(tmp_path), SPEC)
    with zipfile.ZipFile(tmp_path / "a.pth", "w") as archive:
        archive.writestr("README.txt", "hello")
    with pytest.raises(SpecError, match=r"zip archive of something else, which holds README\.txt"):
        state_of_weights(str(tmp_path / "a.pth"), SPEC)
    whole = tmp_path / "whole.pth"
    torch.save({"a": torch.zeros(10_000)}, whole)
    (tmp_path / "half.pth").write_bytes(whole.read_bytes()[:20_000])
    with pytest.raises(SpecError, match="its end is missing"):
        state_of_weights(str(tmp_path / "half.pth"), SPEC)
