"""The card beside an exported encoder: what it is, how it is loaded, how well it did, its terms."""

import importlib.metadata
import platform
from collections.abc import Mapping, Sequence
from typing import Any

import yaml

from workloads.datasets.spec import EMBEDDED
from workloads.evaluation_result import CardResult
from workloads.simclr.export_formats import FILES, PACKAGES, ExportFormat, told_of
from workloads.simclr.library_encoders import TorchvisionOptions, torchvision_code
from workloads.simclr.spec import EncoderSpec, RunSpec
from workloads.simclr.vit import VisionTransformerOptions

__all__ = ["CARD", "CardResult", "model_card"]

CARD = "MODEL_CARD.md"

# Lines end where those of the cards do that were written before.
_HERE = (
    "The projection head that it\nwas trained with is left out, as the SimCLR paper "
    "(arXiv:2002.05709) does after pre-training."
)
_ELSEWHERE = (
    "It was trained\nelsewhere, and how is not known here: the specification below is of the "
    "encoder, and of the data that it was\nevaluated on."
)
_TERMS_HERE = (
    "The code that trained it is under Apache-2.0. The weights come from the data above, whose "
    "own licence and\nterms apply to what is made of it."
)
_TERMS_ELSEWHERE = (
    "The code that wrote this file is under Apache-2.0, the weights under the licence of "
    "those who published them."
)

_IMAGES = "images = torch.rand(1, 3, {side}, {side})  # yours, in [0, 1]\n"
_APPLIED = f"""encoder.eval()
{_IMAGES}with torch.inference_mode():
    features = encoder(images)
"""
_SNIPPETS: dict[ExportFormat, str] = {
    "torchvision": f"""
import torch
import torchvision

{{torchvision}}
encoder.load_state_dict(torch.load("{FILES["torchvision"]}", weights_only=True))
{_APPLIED}""",
    "timm": f"""
import timm
import torch

encoder = timm.create_model("{{timm}}", num_classes=0{{options}})
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


def model_card(
    spec: RunSpec,
    format: ExportFormat,
    results: Sequence[CardResult],
    *,
    run: str,
    features: int,
    epochs: int,
    published: str | None,
) -> str:
    """Write a model card in Markdown.

    `run` is the fingerprint that it names, `features` the width of h, `epochs` how long the encoder
    was trained; `published` says where weights came from that were not trained here.
    """
    encoder, side = spec.encoder, spec.view_size
    inputs = "values in [0, 1], neither the mean nor the standard deviation of a data set taken out"
    if encoder.input_normalization != "none":
        inputs = (
            "values in [0, 1]; the encoder itself normalises them with "
            f"{encoder.input_normalization}'s statistics"
        )

    origin = f"published weights, {published}" if published else _training(spec, epochs)
    history = _ELSEWHERE if published else _HERE
    versions = [
        f"Python {platform.python_version()}",
        *(f"{name} {version}" for name, version in _versions(format)),
    ]
    return f"""# {encoder.architecture}, {origin}

An image encoder in `{FILES[format]}`, written by simclr-orch from run `{run}`. {history}

- Input: float32 `[N, 3, {side}, {side}]`, RGB, {inputs}.
- Output: float32 `[N, {features}]`{"" if encoder.is_own else ", after the global average pool"}.

## How to load it

```python
{_snippet(format, encoder, side)}
```
{_needed(format, encoder)}
## Data

{"Judged" if published else "Trained"} on {_data(spec)}

## Results

{_table(results)}

Accuracies are in %: those named validation of the validation split, the others of the test images.
Protocols are those of `simclr-orch evaluate`, each with settings of its own.

## Terms

{_TERMS_ELSEWHERE if published else _TERMS_HERE}

## Specification

```yaml
{yaml.safe_dump(told_of(spec, published=published is not None), sort_keys=False).strip()}
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


def _snippet(format: ExportFormat, encoder: EncoderSpec, side: int) -> str:
    """The Python that loads the file, in the words of the format's library."""
    torchvision, timm = "", encoder.architecture.removeprefix("timm/")
    options: Mapping[str, Any] = encoder.options
    if format == "torchvision":
        torchvision = _torchvision(encoder)
    elif encoder.architecture == "vit-s16":
        timm, options = "vit_small_patch16_224", _sizes(encoder, side)
    given = "".join(f", {name}={value!r}" for name, value in options.items() if value is not None)
    code = _SNIPPETS[format].format(torchvision=torchvision, timm=timm, options=given, side=side)
    return code.strip()


def _torchvision(encoder: EncoderSpec) -> str:
    library, slash, name = encoder.architecture.partition("/")
    if slash and library == "torchvision":
        return torchvision_code(name, TorchvisionOptions.read(encoder.options))
    return (
        f"encoder = torchvision.models.{encoder.architecture}()\nencoder.fc = torch.nn.Identity()"
    )


def _sizes(encoder: EncoderSpec, side: int) -> dict[str, Any]:
    """What timm calls the sizes of a vision transformer."""
    sizes = VisionTransformerOptions.read(encoder.options)
    return {
        "img_size": side,
        "patch_size": sizes.patch_size,
        "embed_dim": sizes.width,
        "depth": sizes.depth,
        "num_heads": sizes.heads,
        "mlp_ratio": sizes.mlp_ratio,
    }


def _needed(format: ExportFormat, encoder: EncoderSpec) -> str:
    """What loading takes beside the file: the code of an own encoder, where the file has none."""
    if format != "safetensors" or not encoder.is_own or encoder.architecture == "vit-s16":
        return ""
    what = f"`{encoder.architecture}`"
    return (
        f"\nThe network is {what} of code `{encoder.code}`, which has to be there: a module in the "
        "working directory, or installed.\n"
    )


def _training(spec: RunSpec, epochs: int) -> str:
    if epochs == 0:
        return "untrained"
    how = f"pre-trained by SimCLR ({spec.loss.name})"
    if spec.loss.name == "cross-entropy":
        how = "trained with labels"
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
