"""A trained encoder as files that others load: torchvision, timm, safetensors or ONNX, each with a
card that says what it is.

Only the encoder leaves: the projection head is thrown away after pre-training (section 2.1).
Shapes: images [N, 3, S, S] in [0, 1], S the size of the views; features [N, D].
"""

import importlib.metadata
import io
import json
import platform
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal, get_args

import torch
import yaml
from torch import Tensor, nn

from workloads.datasets.spec import EMBEDDED
from workloads.distributed.worker import Worker
from workloads.simclr.encoder import CONVNETS
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_encoder
from workloads.spec import SpecError

__all__ = ["CARD", "FILES", "FORMATS", "CardResult", "ExportFormat", "exported", "load_exported"]

ExportFormat = Literal["torchvision", "safetensors", "onnx", "timm"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
CARD = "MODEL_CARD.md"
FILES: dict[ExportFormat, str] = {
    "torchvision": "encoder.pth",
    "timm": "encoder.pth",
    "safetensors": "encoder.safetensors",
    "onnx": "encoder.onnx",
}
PACKAGES: dict[ExportFormat, tuple[str, ...]] = {
    "torchvision": (),
    "timm": (),
    "safetensors": ("safetensors",),
    "onnx": ("onnx", "onnxscript"),
}
ONNX_BYTES = 2**31 - 2**20  # of weights; a file of protocol buffers ends below 2 GiB
TOLERANCE = 1e-5  # of the largest feature: how far ONNX Runtime may be from torch


@dataclass(frozen=True)
class CardResult:
    """A row of the card: a result with its 95 % interval, if it has one, and by which protocol it
    was found.
    """

    name: str
    value: float
    interval: tuple[float, float] | None = None
    protocol: str = ""


def exported(
    state: Mapping[str, Any],
    spec: RunSpec,
    format: ExportFormat,
    results: Sequence[CardResult] = (),
    *,
    run: str | None = None,
    published: str | None = None,
) -> dict[str, bytes]:
    """File names and contents: the encoder of a training state, and MODEL_CARD.md with its results.

    `run` is the fingerprint on the card, the specification's by default; `published` says where
    weights came from that were not trained here, of which the specification's part on training does
    not hold.

    Images go in as this program's views are, in [0, 1]; a normalisation of the specification is
    inside where the format has code (onnx), or is built with the encoder (safetensors). Raises
    SpecError for what a format cannot express or lacks.
    """
    if problems := _problems(spec, format):
        raise SpecError(problems)
    encoder = load_encoder(spec, dict(state), Worker(torch.device("cpu")))
    match format:
        case "torchvision" | "timm":
            content = _state_dict(encoder)
        case "safetensors":
            content = _safetensors(encoder, spec)
        case "onnx":
            content = _onnx(encoder, spec.view_size)
    features = int(encoder.feature_dim)  # type: ignore[arg-type]
    origin = f"published weights, {published}" if published else _training(spec, state["epoch"])
    card = _card(
        spec,
        format,
        run or spec.fingerprint(),
        origin,
        features,
        results,
        trained_here=not published,
    )
    return {FILES[format]: content, CARD: card.encode()}


def load_exported(path: Path) -> tuple[nn.Module, RunSpec]:
    """The encoder of a .safetensors file of this program, in inference mode on the CPU, and the
    run's specification.

    Every key must fit. Raises SpecError for another file.
    """
    if find_spec("safetensors") is None:
        raise SpecError([_lacks(str(path), "safetensors")])
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {f"encoder.{name}": file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 (it is no mapping)
    except (OSError, SafetensorError) as error:
        raise SpecError([f"{path}: cannot be read ({error})"]) from None
    if "simclr" not in metadata:
        raise SpecError(
            [f"{path}: does not say by which specification it was trained, as files of `export` do"]
        )
    spec = RunSpec.read(json.loads(metadata["simclr"]))
    try:
        return load_encoder(spec, {"model": tensors}, Worker(torch.device("cpu"))), spec
    except RuntimeError as error:
        raise SpecError(
            [f"{path}: its tensors are not those of its specification: {error}"]
        ) from None


def _problems(spec: RunSpec, format: ExportFormat) -> list[str]:
    missing = [name for name in PACKAGES[format] if find_spec(name) is None]
    problems = [_lacks(f"--format {format}", *missing)] if missing else []
    if format not in ("torchvision", "timm"):
        return problems
    encoder, instead = spec.encoder, "; safetensors and onnx can hold it"
    if encoder.architecture in CONVNETS:
        return [
            f"encoder.architecture={encoder.architecture}: {format} has no such network{instead}"
        ]
    for field, value, has in (
        ("width", f"{encoder.width:g}", "1"),
        ("stem", encoder.stem, "imagenet"),
        ("input_normalization", encoder.input_normalization, "none"),
    ):
        if value != has:
            problems.append(
                f"encoder.{field}={value}: {encoder.architecture} of {format} has only "
                f"{has}{instead}"
            )
    return problems


def _lacks(who: str, *packages: str) -> str:
    return f"{who}: needs {' and '.join(packages)}: pip install 'simclr-orch[export]'"


def _state_dict(encoder: nn.Module) -> bytes:
    buffer = io.BytesIO()
    torch.save(dict(encoder.state_dict()), buffer)
    return buffer.getvalue()


def _safetensors(encoder: nn.Module, spec: RunSpec) -> bytes:
    from safetensors.torch import save

    return save(
        encoder.state_dict(),
        metadata={"format": "pt", "simclr": json.dumps(_without_paths(spec).tree())},
    )


def _without_paths(spec: RunSpec) -> RunSpec:
    """The specification without the folders of the machine that it ran on."""
    return spec.with_values({"data.root": None, "eval.transfer.data.root": None})


def _onnx(encoder: nn.Module, side: int) -> bytes:
    size = sum(tensor.numel() * tensor.element_size() for tensor in encoder.state_dict().values())
    if size > ONNX_BYTES:
        raise SpecError(
            [
                f"--format onnx: the encoder has {size / 2**30:.1f} GiB, a file below 2; "
                "safetensors "
                "can hold it"
            ]
        )
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    program = torch.onnx.export(
        encoder,
        (images,),
        dynamo=True,
        input_names=["images"],
        output_names=["features"],
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        verbose=False,
    )
    assert program is not None, "dynamo=True gives a program"
    content: bytes = program.model_proto.SerializeToString()
    if find_spec("onnxruntime") is not None:
        _compare(content, encoder, torch.cat([images, images[:1].flip(3)]))
    return content


def _compare(content: bytes, encoder: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Raises RuntimeError when ONNX Runtime computes other features."""
    import onnxruntime

    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    theirs = torch.from_numpy(session.run(None, {"images": images.numpy()})[0])
    with torch.inference_mode():
        ours = encoder(images)
    difference = float(
        (theirs - ours).abs().max() / ours.abs().max().clamp_min(torch.finfo(torch.float32).tiny)
    )
    if not difference <= TOLERANCE:
        raise RuntimeError(
            f"ONNX Runtime's features differ by {difference:.2g} of the largest, more than "
            f"{TOLERANCE:g}"
        )


def _card(
    spec: RunSpec,
    format: ExportFormat,
    run: str,
    origin: str,
    features: int,
    results: Sequence[CardResult],
    *,
    trained_here: bool,
) -> str:
    """MODEL_CARD.md: what the file is, how it is loaded, what it was trained on and how well it
    did, and under which terms.
    """
    encoder, side = spec.encoder, spec.view_size
    inputs = "values in [0, 1], neither the mean nor the standard deviation of a data set taken out"
    if encoder.input_normalization != "none":
        inputs = (
            "values in [0, 1]; the encoder itself normalises them with "
            f"{encoder.input_normalization}'s statistics"
        )
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {version}" for name, version in _versions(format)),
    ]
    return f"""# {encoder.architecture}, {origin}

An image encoder in `{FILES[format]}`, written by simclr-orch from run `{run}`.
{_HERE if trained_here else _ELSEWHERE}

- Input: float32 `[N, 3, {side}, {side}]`, RGB, {inputs}.
- Output: float32 `[N, {features}]`, after the global average pool.

## How to load it

```python
{_SNIPPETS[format].format(architecture=encoder.architecture, side=side).strip()}
```

## Data

{"Trained" if trained_here else "Judged"} on {_data(spec)}

## Results

{_table(results)}

Accuracies are in %: those named validation of the validation split, the others of the test images.
Protocols are those of `simclr-orch evaluate`, each with settings of its own.

## Terms

{_TERMS_HERE if trained_here else _TERMS_ELSEWHERE}

## Specification

```yaml
{yaml.safe_dump(_without_paths(spec).tree(), sort_keys=False).strip()}
```

Written with {", ".join(versions)}.
"""


def _table(results: Sequence[CardResult]) -> str:
    if not results:
        return "None were recorded."
    lines = ["| result | value | 95 % interval | protocol |", "|---|---|---|---|"]
    for result in results:
        sure = "" if result.interval is None else "{:.4g} to {:.4g}".format(*result.interval)
        lines.append(f"| {result.name} | {result.value:.6g} | {sure} | {result.protocol} |")
    return "\n".join(lines)


_HERE = (
    "The projection head that it was trained with is left out, as the SimCLR paper "
    "(arXiv:2002.05709) does after pre-training."
)
_ELSEWHERE = (
    "It was trained elsewhere: of the specification below, `encoder` is what it is and `data` "
    "what it was judged on; the rest does not apply."
)
_TERMS_HERE = (
    "The code that trained it is under Apache-2.0. The weights come from the data above, whose "
    "own licence and terms apply to what is made of it."
)
_TERMS_ELSEWHERE = (
    "The code that wrote this file is under Apache-2.0, the weights under the licence of "
    "those who published them."
)


def _training(spec: RunSpec, epochs: int) -> str:
    if epochs == 0:
        return "untrained"
    how = (
        "trained with labels"
        if spec.loss.name == "cross-entropy"
        else (f"pre-trained by SimCLR ({spec.loss.name})")
    )
    return f"{how} on {spec.data.name} for {epochs} epoch{'s' if epochs > 1 else ''}"


def _data(spec: RunSpec) -> str:
    what = f"`{spec.data.name}` at {spec.data.image_size} x {spec.data.image_size} pixels"
    if spec.data.name in EMBEDDED:
        return f"{what}, which simclr-orch brings with it."
    content = spec.data.content
    return f"{what}; digest of its content: {f'`{content}`' if content else 'not recorded'}."


def _versions(format: ExportFormat) -> list[tuple[str, str]]:
    found = []
    for name in ("simclr-orch", "torch", "torchvision", *PACKAGES[format]):
        try:
            found.append((name, importlib.metadata.version(name)))
        except importlib.metadata.PackageNotFoundError:
            continue  # run from a source tree
    return found


_IMAGES = "images = torch.rand(1, 3, {side}, {side})  # yours, in [0, 1]\n"
_APPLIED = f"""encoder.eval()
{_IMAGES}with torch.inference_mode():
    features = encoder(images)
"""
_SNIPPETS: dict[ExportFormat, str] = {
    "torchvision": f"""
import torch
import torchvision

encoder = torchvision.models.{{architecture}}()
encoder.fc = torch.nn.Identity()
encoder.load_state_dict(torch.load("{FILES["torchvision"]}", weights_only=True))
{_APPLIED}""",
    "timm": f"""
import timm
import torch

encoder = timm.create_model("{{architecture}}", num_classes=0)
encoder.load_state_dict(torch.load("{FILES["timm"]}", weights_only=True))
{_APPLIED}""",
    "safetensors": f"""
from pathlib import Path

import torch

from workloads.simclr.export import load_exported  # of simclr-orch

encoder, spec = load_exported(Path("{FILES["safetensors"]}"))
{_APPLIED}""",
    "onnx": f"""
import onnxruntime
import torch

session = onnxruntime.InferenceSession("{FILES["onnx"]}", providers=["CPUExecutionProvider"])
{_IMAGES}features = session.run(None, {{{{"images": images.numpy()}}}})[0]
""",
}
