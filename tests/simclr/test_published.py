"""Published weights, one process: torchvision's ResNet-18 under everybody's keys, with its own
features as the oracle.
"""

import argparse
import os
import pickle
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import torchvision
from torch import Tensor, nn

from workloads.distributed.worker import Worker
from workloads.simclr.encoder import build
from workloads.simclr.published import encoder_state, state_of_weights
from workloads.simclr.published_files import read_tensors
from workloads.simclr.spec import EncoderSpec, RunSpec
from workloads.simclr.trained import load_encoder
from workloads.spec import SpecError

State = dict[str, Tensor]


def spec_of(**encoder: Any) -> RunSpec:
    values = {"architecture": "resnet18", **encoder}
    return RunSpec().with_values({f"encoder.{name}": value for name, value in values.items()})


def randomized(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_var is not None
            assert module.running_mean is not None
            nn.init.uniform_(module.running_var, 0.5, 2)
            nn.init.normal_(module.running_mean, std=0.1)
    return network.eval()


@pytest.fixture(scope="module")
def resnet() -> nn.Module:
    torch.manual_seed(0)
    return randomized(torchvision.models.resnet18(num_classes=7))


@pytest.fixture(scope="module")
def cifar() -> nn.Module:
    torch.manual_seed(1)
    network = torchvision.models.resnet18(num_classes=7)
    network.conv1 = nn.Conv2d(3, 64, 3, padding=1, bias=False)
    network.maxpool = nn.Identity()
    return randomized(network)


@pytest.fixture(scope="module")
def images() -> Tensor:
    return torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))


def features(network: nn.Module, images: Tensor) -> Tensor:
    """By torchvision's own forward pass, before `fc`."""
    caught: list[Tensor] = []
    hook = network.get_submodule("avgpool").register_forward_hook(
        lambda _, __, output: caught.append(output.flatten(1))
    )
    with torch.no_grad():
        network(images)
    hook.remove()
    return caught[0]


def below(prefix: str, **head: Tensor) -> Callable[[State], State]:
    return lambda state: (
        {f"{prefix}{name}": value for name, value in without_fc(state).items()} | head
    )


def without_fc(state: State) -> State:
    return {name: value for name, value in state.items() if not name.startswith("fc.")}


def numbered(prefix: str, *, max_pool: bool) -> Callable[[State], State]:
    names = [
        "conv1",
        "bn1",
        "relu",
        *(["maxpool"] if max_pool else []),
        "layer1",
        "layer2",
        "layer3",
        "layer4",
    ]

    def rekeyed(state: State) -> State:
        parts = {name: name.split(".", 1) for name in without_fc(state)}
        return {
            f"{prefix}{names.index(first)}.{rest}": state[name]
            for name, (first, rest) in parts.items()
        }

    return rekeyed


def supcontrast(state: State) -> State:
    renamed = {
        name.replace("downsample", "shortcut"): value for name, value in without_fc(state).items()
    }
    return below("encoder.module.")(renamed) | {"head.0.weight": torch.ones(2, 2)}


def vissl(state: State) -> dict[str, Any]:
    trunk = below("_feature_blocks.")(state)
    model = {"trunk": trunk, "heads": {"0.clf.0.weight": torch.ones(2, 2)}}
    return {"phase_idx": 3, "classy_state_dict": {"base_model": {"model": model, "meters": {}}}}


def profiled(state: State) -> State:
    return numbered("f.", max_pool=False)(state) | {
        "f.3.0.total_ops": torch.zeros(1),
        "g.0.weight": torch.ones(2, 2),
    }


BIAS = torch.ones(2)

# File name, what is saved, how many keys are ignored, whether the stem is CIFAR's.
LAYOUTS: dict[str, tuple[str, Callable[[State], Any], int, bool]] = {
    "torchvision": ("a.pth", lambda state: state, 2, False),
    "timm": (
        "a.pth",
        lambda state: {"state_dict": without_fc(state), "epoch": 3, "arch": "resnet18"},
        0,
        False,
    ),
    "ours": (
        "checkpoint.pt",
        lambda state: {"state": {"model": below("encoder.")(state), "epoch": 1}},
        0,
        True,
    ),
    "spijkervet": (
        "a.tar",
        below("encoder.", **{"projector.0.weight": torch.ones(2, 2)}),
        1,
        False,
    ),
    "data parallel": (
        "a.pth",
        below("module.encoder.", **{"module.projector.0.weight": torch.ones(2, 2)}),
        1,
        False,
    ),
    "bolts": (
        "a.ckpt",
        lambda state: {"state_dict": below("encoder.", **{"encoder.fc.bias": BIAS})(state)},
        1,
        True,
    ),
    "solo-learn": (
        "a.ckpt",
        lambda state: {"state_dict": below("backbone.", **{"classifier.bias": BIAS})(state)},
        1,
        True,
    ),
    "sthalles": (
        "a.pth.tar",
        below("backbone.", **{"backbone.fc.0.weight": torch.ones(2, 2)}),
        1,
        False,
    ),
    "compiled": (
        "a.pt",
        lambda state: {"model_state_dict": below("_orig_mod.backbone.")(state)},
        0,
        False,
    ),
    "uvadlc": ("a.ckpt", below("convnet.", **{"convnet.fc.2.bias": BIAS}), 1, False),
    "p3i0t": (
        "a.pt",
        below("module.enc.", **{"module.projector.0.weight": torch.ones(2, 2)}),
        1,
        True,
    ),
    "supcontrast": (
        "a.pth",
        lambda state: {"opt": argparse.Namespace(lr=1), "model": supcontrast(state)},
        1,
        True,
    ),
    "vissl": ("a.torch", vissl, 0, False),
    "lightly": (
        "a.ckpt",
        lambda state: {"state_dict": numbered("backbone.", max_pool=True)(state)},
        0,
        False,
    ),
    "earlier sthalles": ("a.pth", numbered("features.", max_pool=True), 0, False),
    "plain sequential": ("a.pth", numbered("", max_pool=True), 0, False),
    "leftthomas": ("a.pth", profiled, 2, True),
    "safetensors": ("a.safetensors", below("backbone."), 0, False),
}


def save(tree: Any, path: Path) -> Path:
    if path.suffix == ".safetensors":
        pytest.importorskip("safetensors.torch").save_file(tree, path)
    else:
        torch.save(tree, path)
    return path


@pytest.mark.parametrize(("file", "rekey", "ignored", "small"), LAYOUTS.values(), ids=LAYOUTS)
def test_every_layout_gives_torchvisions_features(
    file: str,
    rekey: Callable[[State], Any],
    ignored: int,
    small: bool,
    resnet: nn.Module,
    cifar: nn.Module,
    images: Tensor,
    tmp_path: Path,
) -> None:
    network = cifar if small else resnet
    path = save(rekey(network.state_dict()), tmp_path / file)
    spec = spec_of(stem="cifar" if small else "imagenet")
    state, notes = state_of_weights(str(path), spec)
    with torch.device("meta"):
        encoder = build(spec.encoder).eval()
    encoder.to_empty(device="cpu")
    encoder.load_state_dict(
        {name.removeprefix("encoder."): value for name, value in state["model"].items()}
    )
    with torch.no_grad():
        torch.testing.assert_close(encoder(images), features(network, images), rtol=1e-5, atol=1e-5)
    assert state["epoch"] == spec.schedule.epochs
    assert notes[0].startswith("the file has ")
    assert any(
        f"left out keys of heads and the like ({ignored})" in note for note in notes
    ) == bool(ignored)
    assert any("solo-learn" in note for note in notes) == small


def test_ignored_keys_are_named_as_in_the_file(resnet: nn.Module) -> None:
    state = below("module.backbone.", **{"module.projector.0.bias": torch.ones(2)})(
        resnet.state_dict()
    )
    weights = encoder_state(
        {"": state | {"module.backbone.fc.bias": torch.ones(2)}}, spec_of().encoder
    )
    assert weights.ignored == ("module.backbone.fc.bias", "module.projector.0.bias")
    assert weights.layout == "the usual keys below module.backbone."
    assert set(weights.tensors) == set(without_fc(resnet.state_dict()))


def test_only_counters_of_batches_are_filled_in(resnet: nn.Module, tmp_path: Path) -> None:
    state = {
        name: value.half()
        for name, value in resnet.state_dict().items()
        if not name.endswith("num_batches_tracked")
    }
    weights = encoder_state({"": state}, spec_of().encoder)
    assert len(weights.filled) == 20
    assert all(int(weights.tensors[name]) == 0 for name in weights.filled)
    assert all(
        value.dtype == torch.float32
        for name, value in weights.tensors.items()
        if name not in weights.filled
    )
    _, notes = state_of_weights(str(save(state, tmp_path / "a.pth")), spec_of())
    assert any("num_batches_tracked" in note for note in notes)
    del state["bn1.running_mean"]
    with pytest.raises(SpecError) as caught:
        encoder_state({"": state}, spec_of().encoder)
    assert caught.value.problems == ["missing keys of the encoder (1): bn1.running_mean"]


def test_what_does_not_fit_is_listed_at_once(resnet: nn.Module) -> None:
    state = without_fc(resnet.state_dict())
    del state["bn1.bias"]
    state["conv1.weight"] = torch.ones(64, 1, 7, 7)
    state["layer1.0.bn1.weight"] = torch.full((64,), torch.nan)
    state["layer1.0.bn1.bias"] = torch.ones(64, dtype=torch.int8)
    state |= {f"momentum.{index}": torch.ones(1) for index in range(12)}
    with pytest.raises(SpecError) as caught:
        encoder_state({"": state}, spec_of().encoder)
    assert caught.value.problems == [
        "missing keys of the encoder (1): bn1.bias",
        "conv1.weight is [64, 1, 7, 7], needed is [64, 3, 7, 7]",
        "layer1.0.bn1.weight holds numbers that are infinite or undefined",
        "layer1.0.bn1.bias holds torch.int8, needed are floating-point numbers",
        "keys neither of the encoder nor of a head by their names (12): "
        + ", ".join(f"momentum.{index}" for index in range(10))
        + ", ...; leave out what is not needed: --weights-ignore momentum",
    ]


def test_the_specification_that_would_fit_is_named(cifar: nn.Module, tmp_path: Path) -> None:
    path = save(cifar.state_dict(), tmp_path / "a.pth")
    with pytest.raises(SpecError) as caught:
        state_of_weights(str(path), spec_of())
    assert caught.value.problems == [
        f"{path}: conv1.weight is [64, 3, 3, 3], needed is [64, 3, 7, 7]",
        f"{path}: it would fit with encoder.stem=cifar",
    ]
    with torch.device("meta"):
        wide = torchvision.models.resnet50(width_per_group=64)
    narrow = EncoderSpec(architecture="resnet50", width=2, stem="cifar")
    state = {name: torch.zeros(value.shape) for name, value in wide.state_dict().items()}
    with pytest.raises(SpecError) as caught:
        encoder_state({"": state}, narrow)
    assert caught.value.problems[-1] == (
        "it would fit with encoder.width=1.0 and encoder.stem=imagenet"
    )
    with pytest.raises(SpecError) as caught:
        encoder_state({"": state}, EncoderSpec(architecture="convnet"))
    assert caught.value.problems[-1] == "it would fit with encoder.architecture=resnet50"


def test_a_layout_of_another_function_is_refused(resnet: nn.Module) -> None:
    """lightly's ResNetGenerator in a Sequential: every tensor would fit, and the features would be
    others.
    """
    children = ["conv1", "bn1", "layer1", "layer2", "layer3", "layer4"]
    parts = {name: name.split(".", 1) for name in without_fc(resnet.state_dict())}
    state = {
        f"backbone.{children.index(first)}.{rest}": resnet.state_dict()[name]
        for name, (first, rest) in parts.items()
    }
    with pytest.raises(SpecError, match="has no ReLU after the first convolution"):
        encoder_state({"": state}, spec_of().encoder)


def test_unknown_keys_are_shown(tmp_path: Path) -> None:
    path = save({"teacher": {"lr": 0.1}, "step": 3}, tmp_path / "a.pth")
    with pytest.raises(SpecError, match="no tensors by name in it; its keys are teacher, step"):
        read_tensors(path)
    with pytest.raises(
        SpecError,
        match=r"holds no encoder that is known here: .*; its keys are blocks\.0\.attn\.weight",
    ):
        encoder_state({"": {"blocks.0.attn.weight": torch.ones(2)}}, spec_of().encoder)


class Malicious:
    """Unpickled, it leaves a file behind."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (str(self.trace),)


@pytest.mark.parametrize("kind", ["zip", "legacy", "pickle"])
def test_code_in_a_file_is_refused_and_does_not_run(kind: str, tmp_path: Path) -> None:
    path, trace = tmp_path / "a.pth", tmp_path / "trace"
    tree = {"state_dict": {"conv1.weight": torch.ones(2)}, "hyper_parameters": Malicious(trace)}
    if kind == "pickle":
        path.write_bytes(pickle.dumps(Malicious(trace), protocol=2))
    else:
        torch.save(tree, path, _use_new_zipfile_serialization=kind == "zip")
    with pytest.raises(
        SpecError,
        match=r"more than tensors in it \(posix.mkdir\).*write its state dict with safetensors",
    ):
        read_tensors(path)
    assert not trace.exists()
    pickle.loads(pickle.dumps(Malicious(trace)))
    assert trace.exists()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.pth", b"hello, these are no weights", "it is text \\('hello, these are no weights'"),
        ("a.pth", b"", "is empty"),
        ("a.pth", b"PK\x03\x04 cut off", "its end is missing"),
        ("a.pth", b"\x80\x02 no pickle", "is not a file of torch.save, or is cut off"),
        ("a.safetensors", b"\x09\0\0\0\0\0\0\0{ cut off", "as safetensors, is it whole"),
        ("a.h5", b"\x89HDF\r\n", "it is an HDF5 file"),
        ("a.pth", b"version https://git-lfs.github.com/spec/v1\noid", "pointer of Git LFS"),
        ("a.pth", b"\n<!DOCTYPE html><html>Sign in</html>", "a web page"),
        ("a.pth.gz", b"\x1f\x8b\x08", "unpack it first"),
    ],
)
def test_other_files_are_refused(name: str, content: bytes, message: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SpecError, match=message):
        read_tensors(tmp_path / name)


def test_the_extra_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "safetensors", None)
    (tmp_path / "a.safetensors").write_bytes(b"\2\0\0\0\0\0\0\0{}")
    with pytest.raises(SpecError, match=r"pip install 'safetensors<1,>=0\.5' "):
        read_tensors(tmp_path / "a.safetensors")


@pytest.mark.parametrize("name", ["a.pth", "a.safetensors"])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(SpecError, match=f"{name}: cannot be read .*No such file"):
        read_tensors(tmp_path / name)


def test_torchvisions_weights_by_name(
    resnet: nn.Module, images: Tensor, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From torch.hub's cache, where a file of the published name stands in for the published
    file.
    """
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    (tmp_path / "hub" / "checkpoints").mkdir(parents=True)
    save(resnet.state_dict(), tmp_path / "hub" / "checkpoints" / "resnet18-f37072fd.pth")
    spec = spec_of(input_normalization="imagenet")
    state, notes = state_of_weights("torchvision:resnet18", spec)
    encoder = load_encoder(spec, state, Worker(torch.device("cpu")))
    normalized = torchvision.models.ResNet18_Weights.IMAGENET1K_V1.transforms(
        crop_size=32, resize_size=32
    )(images)
    with torch.no_grad():
        torch.testing.assert_close(
            encoder(images), features(resnet, normalized), rtol=1e-5, atol=1e-5
        )
    assert not any("input_normalization" in note for note in notes)
    _, notes = state_of_weights("torchvision:resnet18:IMAGENET1K_V1", spec_of())
    assert any("encoder.input_normalization=imagenet" in note for note in notes)


def test_names_that_torchvision_does_not_have(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    for variable in ("https_proxy", "HTTPS_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing answers there
    with pytest.raises(SpecError, match="names are resnet18, resnet34"):
        state_of_weights("torchvision:alexnet", spec_of())
    with pytest.raises(SpecError, match="torchvision has IMAGENET1K_V1"):
        state_of_weights("torchvision:resnet18:IMAGENET1K_V9", spec_of())
    with pytest.raises(
        SpecError,
        match=r"resnet18-f37072fd.pth could not be had .*; put it at .*checkpoints/resnet18-",
    ):
        state_of_weights("torchvision:resnet18", spec_of())
