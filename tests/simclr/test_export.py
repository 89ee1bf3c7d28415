"""Exported encoders, one process: each is loaded by the program it is for, as its own card says,
and gives our features.
"""

import importlib.metadata
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console
from torch import nn

from orchestrator.commands.export import export_run
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from workloads.checkpoint import encode
from workloads.simclr.encoder import build
from workloads.simclr.export import CARD, FILES, CardResult, ExportFormat, exported, load_exported
from workloads.simclr.export_formats import FORMATS, problems_with_format
from workloads.simclr.presets import PRESETS, preset
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError, digest

State = dict[str, Any]
NARROW = {
    "encoder.width": 0.125,
    "encoder.stem": "cifar",
    "encoder.input_normalization": "imagenet",
}


def spec_of(values: dict[str, Any] | None = None) -> RunSpec:
    return RunSpec().with_values(
        {
            "encoder.architecture": "resnet18",
            "head.num_linear_layers": 0,
            "data.name": "cifar10",
            "data.root": "/private/data",
        }
        | (values or {})
    )


def trained(spec: RunSpec) -> tuple[nn.Module, State]:
    """An encoder as training leaves one: BN with moved statistics, weights channels last."""
    torch.manual_seed(0)
    encoder = build(spec.encoder)
    for name, tensor in encoder.state_dict().items():
        if name.endswith("running_var"):
            nn.init.uniform_(tensor, 0.5, 2)
        elif name.endswith(("running_mean", "bn2.weight")):
            nn.init.normal_(tensor, std=0.1)
    encoder = encoder.to(memory_format=torch.channels_last).eval()
    model = {f"encoder.{name}": tensor for name, tensor in encoder.state_dict().items()}
    return encoder, {"epoch": 3, "model": model, "optimizer": {}}


def write(files: dict[str, bytes], folder: Path) -> str:
    """Put the files into a folder; the card."""
    folder.mkdir(exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(content)
    return files[CARD].decode()


@pytest.mark.parametrize(
    ("format", "values"),
    [
        ("torchvision", {}),
        ("timm", {}),
        ("safetensors", NARROW),
        ("onnx", NARROW),
        ("onnx", {"encoder.architecture": "convnet", "encoder.width": 0.25, "data.image_size": 16}),
    ],
    ids=["torchvision", "timm", "safetensors", "onnx", "onnx-convnet"],
)
def test_the_card_tells_how_to_load_the_same_features(
    format: ExportFormat,
    values: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    for package in {
        "torchvision": [],
        "timm": ["timm"],
        "safetensors": ["safetensors"],
        "onnx": ["onnxscript", "onnxruntime"],
    }[format]:
        pytest.importorskip(package)
    spec = spec_of(values)
    encoder, state = trained(spec)
    card = write(exported(state, spec, format, [CardResult("linear_top1", 12.345)]), tmp_path)
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([CARD, FILES[format]])
    snippet = re.search(r"```python\n(.*?)```", card, re.DOTALL)
    assert snippet is not None
    monkeypatch.chdir(tmp_path)
    assert capfd.readouterr().out == ""  # a command's stdout is its own
    told: dict[str, Any] = {}
    exec(snippet[1], told)  # what a reader of the card would run
    assert told["images"].shape == (1, 3, spec.view_size, spec.view_size)
    with torch.no_grad():
        ours = encoder(told["images"])
    torch.testing.assert_close(
        torch.as_tensor(told["features"]), ours, rtol=0, atol=1e-5 * float(ours.abs().max())
    )
    if format != "onnx":
        assert not told["encoder"].training
        return
    images = torch.rand(5, 3, spec.view_size, spec.view_size)
    with torch.no_grad():
        ours = encoder(images)
    theirs = told["session"].run(None, {"images": images.numpy()})[0]
    torch.testing.assert_close(
        torch.from_numpy(theirs), ours, rtol=0, atol=1e-5 * float(ours.abs().max())
    )


# one preset of each architecture: to write the same one again would take seconds
OF_ARCHITECTURE = {preset(name).encoder.architecture: name for name in PRESETS}


@pytest.mark.parametrize("name", OF_ARCHITECTURE.values(), ids=OF_ARCHITECTURE.keys())
def test_the_encoder_of_every_preset_loads_without_this_project(name: str) -> None:
    runtime = pytest.importorskip("onnxruntime")
    pytest.importorskip("onnxscript")
    recipe = preset(name)
    assert problems_with_format(recipe, "onnx") == []
    small = {"encoder.width": 0.0625, "data.image_size": 32, "augment.output_size": None}
    spec = recipe.with_values(small)
    encoder, state = trained(spec)
    session = runtime.InferenceSession(exported(state, spec, "onnx", [])[FILES["onnx"]])
    images = torch.rand(2, 3, 32, 32)
    (theirs,) = session.run(None, {"images": images.numpy()})
    with torch.no_grad():
        ours = encoder(images)
    assert ours.shape == (2, encoder.feature_dim)
    torch.testing.assert_close(
        torch.from_numpy(theirs), ours, rtol=0, atol=1e-5 * float(ours.abs().max())
    )


@pytest.mark.parametrize("name", list(PRESETS))
def test_a_format_that_cannot_hold_a_presets_encoder_names_those_that_can(name: str) -> None:
    for format in FORMATS:
        for problem in problems_with_format(preset(name), format):
            assert "safetensors and onnx can hold it" in problem


def test_safetensors_bring_the_specification(tmp_path: Path) -> None:
    pytest.importorskip("safetensors")
    spec = spec_of({**NARROW, "data.content": "abc"})
    encoder, state = trained(spec)
    write(exported(state, spec, "safetensors"), tmp_path)
    loaded, told = load_exported(tmp_path / "encoder.safetensors")
    assert told.fingerprint() == spec.fingerprint()
    assert told.data.root is None  # a folder of the machine that trained it
    assert not loaded.training
    theirs = loaded.state_dict()
    assert all(torch.equal(theirs[name], tensor) for name, tensor in encoder.state_dict().items())


def test_a_file_without_specification_is_refused(tmp_path: Path) -> None:
    save_file = pytest.importorskip("safetensors.torch").save_file
    path = tmp_path / "encoder.safetensors"
    with pytest.raises(SpecError, match=r"encoder\.safetensors: cannot be read"):
        load_exported(path)
    save_file({"conv1.weight": torch.ones(2)}, path)
    with pytest.raises(SpecError, match="does not say by which specification"):
        load_exported(path)
    save_file(
        {"conv1.weight": torch.ones(2)},
        path,
        metadata={"simclr": json.dumps(spec_of(NARROW).tree())},
    )
    with pytest.raises(SpecError, match="not those of its specification"):
        load_exported(path)


@pytest.mark.parametrize("format", ["torchvision", "timm"])
def test_what_a_format_cannot_hold_is_refused(format: ExportFormat) -> None:
    with pytest.raises(SpecError) as caught:
        exported({}, spec_of(NARROW), format)
    assert caught.value.problems == [
        f"encoder.width=0.125: resnet18 of {format} has only 1; safetensors and onnx can hold it",
        f"encoder.stem=cifar: resnet18 of {format} has only imagenet; safetensors and onnx "
        "can hold it",
        f"encoder.input_normalization=imagenet: resnet18 of {format} has only none; "
        "safetensors and onnx can hold it",
    ]
    with pytest.raises(
        SpecError,
        match=f"encoder.architecture=convnet: {format} has no such network; safetensors and onnx",
    ):
        exported({}, spec_of({"encoder.architecture": "convnet"}), format)


def test_the_extra_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for package in ("safetensors", "onnxscript"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(
        SpecError,
        match=r"--format safetensors: needs safetensors: pip install 'safetensors<1,>=0\.5' ",
    ):
        exported({}, spec_of(), "safetensors")
    with pytest.raises(
        SpecError, match=r"--format onnx: needs onnxscript: pip install .*'onnxscript<1,>=0\.5'"
    ):
        exported({}, spec_of(), "onnx")
    with pytest.raises(SpecError, match=r"encoder\.safetensors: needs safetensors"):
        load_exported(tmp_path / "encoder.safetensors")


def test_the_card_says_what_it_is() -> None:
    pytest.importorskip("safetensors")
    spec = spec_of(
        {**NARROW, "data.content": "0123abc", "schedule.epochs": 3, "schedule.warmup_epochs": 0}
    )
    _, state = trained(spec)
    card = exported(
        state, spec, "safetensors", [CardResult("linear_top1", 12.345, (10, 14.5), "linear")]
    )[CARD].decode()
    assert card.startswith("# resnet18, pre-trained by SimCLR (nt-xent) on cifar10 for 3 epochs\n")
    for said in (
        f"from run `{spec.fingerprint()}`",
        "Trained on `cifar10` at 32 x 32 pixels; digest of its content: `0123abc`.",
        "| linear_top1 | 12.345 | 10 to 14.5 | linear |",
        "normalises them with imagenet's statistics",
        "float32 `[N, 64]`",
        "under Apache-2.0",
        f"torch {importlib.metadata.version('torch')}",
    ):
        assert said in card
    written = re.search(r"```yaml\n(.*?)```", card, re.DOTALL)
    assert written is not None
    assert RunSpec.read(yaml.safe_load(written[1])).fingerprint() == spec.fingerprint()
    assert "/private/data" not in card
    elsewhere = exported(state, spec, "safetensors", run="f00", published="torchvision:resnet18")[
        CARD
    ].decode()
    assert elsewhere.startswith("# resnet18, published weights, torchvision:resnet18\n")
    assert "from run `f00`" in elsewhere
    assert "trained\nelsewhere" in elsewhere
    # Nothing on a training that nobody here knows.
    assert not re.search("epoch|batch_size|learning_rate|temperature", elsewhere)
    assert "None were recorded." in elsewhere


def keep(storage: Storage, fingerprint: str, spec: RunSpec, state: State, **record: Any) -> None:
    """A run as a finished cell leaves one."""
    storage.write_bytes(
        f"runs/{fingerprint}/checkpoint.pt", encode({"state": state, "history": [], "elapsed": 1.0})
    )
    finished = {
        "name": "a run",
        "fingerprint": fingerprint,
        "workload": "simclr",
        "status": "finished",
        "results": {"knn_top1": 50.0},
        "intervals": {"knn_top1": [45.5, 54.5]},
    }
    storage.write_json(f"runs/{fingerprint}/run.json", {**finished, "spec": spec.tree(), **record})


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    pytest.importorskip("safetensors")
    storage, spec = Storage(str(tmp_path / "storage")), spec_of(NARROW)
    _, state = trained(spec)
    keep(storage, "aa11", spec, state)
    keep(
        storage,
        "aa22",
        spec,
        state,
        weights={"from": "backbone.pth", "notes": []},
        results={},
        intervals={},
    )
    keep(storage, "bb11", spec, state, status="failed")
    keep(storage, "bb22", spec, state, workload="two-layer-cnn")
    keep(storage, "dd11", spec, state)
    storage.delete("runs/dd11/checkpoint.pt")
    return storage


def test_a_run_is_exported_and_its_own_files_are_replaced(storage: Storage, tmp_path: Path) -> None:
    output, console = tmp_path / "out" / "here", Console(record=True, width=20)
    finished = export_run("aa1", "safetensors", output, storage, console)
    assert finished.exit_code == 0
    sizes = {path.name: path.stat().st_size for path in output.iterdir()}
    assert finished.document == {
        "run": "aa11",
        "format": "safetensors",
        "folder": str(output),
        "bytes": sizes,
    }
    assert sorted(sizes) == [CARD, "encoder.safetensors"]
    assert ("| knn_top1 | 50 | 45.5 to 54.5 | at the end of training |") in (
        output / CARD
    ).read_text()
    assert str(output / "encoder.safetensors") in console.export_text()
    (output / "encoder.safetensors").write_bytes(b"cut off")
    export_run("aa11", "safetensors", output, storage, console)
    assert load_exported(output / "encoder.safetensors")[1].encoder.width == 0.125
    export_run("aa22", "safetensors", tmp_path / "published", storage, console)
    assert "published weights, backbone.pth" in (tmp_path / "published" / CARD).read_text()


def evaluated(
    storage: Storage,
    run: str,
    protocol: str,
    results: dict[str, float],
    ended: str | None,
    **values: Any,
) -> str:
    """A later evaluation as `evaluate` leaves one; its name."""
    evaluation = spec_of(values).eval.tree()
    name = f"{protocol}-{digest(evaluation)[:8]}"
    document = {"run": run, "protocol": protocol, "eval": evaluation, "results": results}
    document["intervals"] = {
        one: [value - 1, value + 1.5] for one, value in results.items() if "top1" in one
    }
    if ended is not None:  # evaluations of before have neither
        document |= {
            "ended": ended,
            "data": {"name": values.get("eval.transfer.data.name", "cifar10"), "content": "abc"},
        }
    storage.write_json(f"runs/{run}/evaluations/{name}.json", document)
    storage.write_bytes(f"runs/{run}/evaluations/{name}.npz", b"predictions")
    storage.write_bytes(f"runs/{run}/evaluations/{name}/tsne.png", b"a picture")
    return name


def test_the_card_has_what_later_evaluations_found(storage: Storage, tmp_path: Path) -> None:
    def rows(run: str) -> list[str]:
        export_run(run, "safetensors", tmp_path / run, storage, Console(quiet=True))
        lines = (tmp_path / run / CARD).read_text().splitlines()
        return [line for line in lines if line.startswith("| ")]

    hours = [f"2026-01-01T0{hour}:00:00+00:00" for hour in range(4)]
    head = "| result | value | 95 % interval | protocol |"
    own = "| knn_top1 | 50 | 45.5 to 54.5 | at the end of training |"
    assert rows("aa11") == [head, own]
    named = {"eval.transfer.data.name": "flowers", "eval.transfer.protocols": ["linear"]}
    evaluated(storage, "aa11", "transfer", {"transfer_linear": 81.25}, hours[3], **named)
    evaluated(
        storage,
        "aa11",
        "transfer",
        {"transfer_linear": 70},
        None,
        **{**named, "eval.transfer.data.name": "pets"},
    )
    weak = evaluated(
        storage,
        "aa11",
        "linear",
        {"linear_top1": 60, "linear_l2": 0.1},
        hours[1],
        **{"eval.l2": [0.1]},
    )
    weaker = evaluated(
        storage, "aa11", "linear", {"linear_top1": 61}, hours[2], **{"eval.l2": [0.01]}
    )
    assert rows("aa11") == [
        head,
        own,
        "| transfer_linear | 70 |  | transfer on pets |",
        f"| linear_top1 | 60 | 59 to 61.5 | linear ({weak}) |",
        f"| linear_l2 | 0.1 |  | linear ({weak}) |",
        f"| linear_top1 | 61 | 60 to 62.5 | linear ({weaker}) |",
        "| transfer_linear | 81.25 |  | transfer on flowers |",
    ]
    evaluated(storage, "aa22", "knn", {"knn_top1": 40}, hours[0])
    assert rows("aa22") == [head, "| knn_top1 | 40 | 39 to 41.5 | knn |"]


def test_folders_of_something_else_are_left_alone(storage: Storage, tmp_path: Path) -> None:
    console, output = Console(quiet=True), tmp_path / "out"
    output.mkdir()
    (output / "thesis.tex").write_text("years of work")
    with pytest.raises(
        PlanError, match=r"out: holds something else \(thesis.tex\); name a new folder"
    ):
        export_run("aa11", "safetensors", output, storage, console)
    assert [path.name for path in output.iterdir()] == ["thesis.tex"]
    (output / "thesis.tex").rename(output / CARD)
    with pytest.raises(PlanError, match="out: holds another encoder; name a new folder"):
        export_run("aa11", "safetensors", output, storage, console)
    assert (output / CARD).read_text() == "years of work"
    with pytest.raises(PlanError, match="is not a folder"):
        export_run("aa11", "safetensors", output / CARD, storage, console)


@pytest.mark.parametrize(
    ("run", "format", "message"),
    [
        (
            "aa11",
            "tensorflow",
            "--format tensorflow: no such format; known are torchvision, safetensors, onnx, timm",
        ),
        ("cc", "onnx", "cc: no such run"),
        ("aa", "onnx", "aa: fits 2 runs"),
        ("bb11", "onnx", "bb11: has not finished"),
        ("dd", "onnx", "dd11: its last state is not in"),
        ("bb22", "onnx", "bb22: is of two-layer-cnn, whose runs keep no encoder"),
    ],
)
def test_runs_that_cannot_be_exported(
    run: str, format: str, message: str, storage: Storage, tmp_path: Path
) -> None:
    with pytest.raises(PlanError, match=message):
        export_run(run, format, tmp_path / "out", storage, Console(quiet=True))
    assert not (tmp_path / "out").exists()
