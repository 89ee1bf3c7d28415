"""Seconds, one process: own encoders and those of libraries leave as files, and come back."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from workloads.catalog.simclr import SIMCLR
from workloads.checkpoint import encode
from workloads.distributed.worker import Worker
from workloads.simclr.encoder import build
from workloads.simclr.export import CARD, ExportFormat, exported
from workloads.simclr.initial import pinned_start
from workloads.simclr.own_parts import pinned_parts
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

OWN = """
import torch
from torch import Tensor, nn

class Net(nn.Module):
    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.feature_dim = width
        self.layers = nn.Sequential(nn.Conv2d(3, width, 4, stride=4), nn.BatchNorm2d(width))

    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).mean((2, 3))

class Fixed(Net):
    def forward(self, images: Tensor) -> Tensor:
        return self.layers(images).reshape(len(images), self.feature_dim, -1).mean(2)

class Untraceable(Net):
    def forward(self, images: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            raise NotImplementedError("only eagerly")
        return super().forward(images)
"""
SMALL = {"patch_size": 8, "depth": 2, "width": 32, "heads": 2}


def spec_of(architecture: str, options: dict[str, Any] | None = None) -> RunSpec:
    fields = {
        "encoder.architecture": architecture,
        "encoder.options": options or {},
        "encoder.width": 1.0,
        "head.num_linear_layers": 0,
        "data.name": "digits",
        "data.image_size": 32,
    }
    return pinned_parts(RunSpec().with_values(fields))


def trained(spec: RunSpec) -> tuple[nn.Module, dict[str, Any]]:
    """An encoder whose BN has moved statistics, and the state of its run."""
    torch.manual_seed(0)
    encoder = build(spec.encoder).train()
    with torch.no_grad():
        encoder(torch.rand(8, 3, 32, 32))
    model = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    return encoder.eval(), {"epoch": 3, "model": model}


@pytest.mark.parametrize(
    ("format", "architecture", "options"),
    [
        ("safetensors", "Net", {}),
        ("torchvision", "torchvision/mobilenet_v3_small", {}),
        ("torchvision", "torchvision/shufflenet_v2_x0_5", {}),
        ("timm", "timm/vit_tiny_patch16_224", {"img_size": 32, "patch_size": 8}),
        ("timm", "vit-s16", SMALL),
        ("onnx", "vit-s16", SMALL),
    ],
)
def test_the_card_tells_how_to_load_the_same_features(
    format: ExportFormat,
    architecture: str,
    options: dict[str, Any],
    own_module: Callable[[str], str],
) -> None:
    for package in {"safetensors": ["safetensors"], "onnx": ["onnxscript", "onnxruntime"]}.get(
        format, []
    ):
        pytest.importorskip(package)
    name = f"{own_module(OWN)}:Net" if architecture == "Net" else architecture
    spec = spec_of(name, options)
    encoder, state = trained(spec)
    files = exported(state, spec, format)
    for file, content in files.items():
        Path(file).write_bytes(content)
    card = files[CARD].decode()
    assert (f"The network is `{name}` of code" in card) == (format == "safetensors")
    (snippet,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    told: dict[str, Any] = {}
    exec(snippet, told)  # what a reader of the card would run
    with torch.no_grad():
        ours = encoder(told["images"])
    assert ours.abs().max() > 0
    torch.testing.assert_close(torch.as_tensor(told["features"]), ours, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("format", "name", "told"),
    [
        ("torchvision", "Net", "torchvision has no such network; safetensors and onnx can hold it"),
        ("timm", "Net", "timm has no such network; safetensors and onnx can hold it"),
        ("onnx", "Fixed", r"fixes the number of images.*safetensors can hold it"),
        ("onnx", "Untraceable", r"cannot be written as onnx \(.*\); safetensors can hold it"),
    ],
)
def test_what_a_format_cannot_hold_is_refused_in_one_line(
    format: ExportFormat, name: str, told: str, own_module: Callable[[str], str]
) -> None:
    if format == "onnx":
        pytest.importorskip("onnxscript")
    spec = spec_of(f"{own_module(OWN)}:{name}")
    _, state = trained(spec)
    with pytest.raises(SpecError, match=told) as caught:
        exported(state, spec, format)
    (problem,) = caught.value.problems
    assert "\n" not in problem
    assert problem.startswith(f"encoder.architecture={spec.encoder.architecture}: ")


def test_a_run_begins_with_an_own_encoder_of_another_and_is_worth_the_same(
    own_module: Callable[[str], str], tiny: Callable[..., dict[str, Any]], tmp_path: Path
) -> None:
    cpu = Worker.here("cpu")
    values = tiny(schedule__epochs=1, schedule__warmup_epochs=0) | {
        "encoder.architecture": f"{own_module(OWN)}:Net",
        "encoder.width": 1.0,
    }
    first, _ = SIMCLR.prepare(SIMCLR.presets["shapes"]().with_values(values), download=False)
    first = SIMCLR.pinned(first)
    (end,) = SIMCLR.train(first, cpu, None)
    results = SIMCLR.evaluate(first, end.state, cpu).results
    again = SIMCLR.evaluate(first.with_values({"eval.protocol": "lbfgs"}), end.state, cpu).results
    assert again["linear_top1"] == results["linear_top1"]

    checkpoint, file = tmp_path / "checkpoint.pt", tmp_path / "encoder.safetensors"
    checkpoint.write_bytes(encode({"state": end.state, "history": [], "elapsed": 1.0}))
    given = [checkpoint]
    if pytest.importorskip("safetensors"):
        file.write_bytes(exported(end.state, first, "safetensors")[file.name])
        given.append(file)
    contents = set()
    for weights in given:
        begun = first.with_values({"schedule.epochs": 0, "init.weights": str(weights)})
        begun = SIMCLR.pinned(begun)
        contents.add(begun.init.content)
        assert not SIMCLR.problems(begun, 180, 1)
        (state,) = SIMCLR.train(begun, cpu, None)
        found = SIMCLR.evaluate(begun, state.state, cpu).results
        assert found["linear_top1"] == results["linear_top1"]
        for name, tensor in end.state["model"].items():
            if name.startswith("encoder."):
                assert torch.equal(state.state["model"][name], tensor)
    assert len(contents) == 1, "one encoder, in whatever file"

    wider = first.with_values({"encoder.options": {"width": 16}, "init.weights": str(checkpoint)})
    with pytest.raises(SpecError, match=r"init\.weights: .*of these options") as caught:
        pinned_start(wider)
    assert len(caught.value.problems) == 1
