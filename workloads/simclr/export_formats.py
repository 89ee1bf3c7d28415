"""The formats that an encoder is written in: their files, what they need and what they can hold.

Shapes: images [N, 3, S, S] in [0, 1], S the size of the views; features [N, D].
"""

import io
import json
from collections.abc import Callable, Mapping
from importlib.util import find_spec
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from workloads.extras import install_command
from workloads.simclr.encoder import CONVNETS
from workloads.simclr.own_encoders import OwnEncoder
from workloads.simclr.spec import RunSpec
from workloads.simclr.vit import VisionTransformer
from workloads.spec import SpecError

__all__ = [
    "FILES",
    "FORMATS",
    "PACKAGES",
    "ExportFormat",
    "encoder_file",
    "lacks",
    "problems_with_format",
    "told_of",
    "without_paths",
]

ExportFormat = Literal["torchvision", "safetensors", "onnx", "timm"]
FORMATS: tuple[ExportFormat, ...] = get_args(ExportFormat)
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


def encoder_file(
    encoder: nn.Module, spec: RunSpec, format: ExportFormat, *, published: bool = False
) -> bytes:
    """Write an encoder in a format. Raises SpecError where it is too large for it."""
    match format:
        case "torchvision" | "timm":
            return _state_dict(encoder, spec.view_size)
        case "safetensors":
            return _safetensors(encoder, told_of(spec, published=published))
        case "onnx":
            return _onnx(encoder, spec)


def problems_with_format(spec: RunSpec, format: ExportFormat) -> list[str]:
    """List what a format lacks here, and what of an encoder it cannot hold."""
    missing = [name for name in PACKAGES[format] if find_spec(name) is None]
    problems = [lacks(f"--format {format}", *missing)] if missing else []
    if format not in ("torchvision", "timm"):
        return problems

    encoder, instead = spec.encoder, "; safetensors and onnx can hold it"
    name = encoder.architecture
    of_format = name.startswith(f"{format}/") or (name, format) == ("vit-s16", "timm")
    if name in CONVNETS or (encoder.is_own and not of_format):
        return [
            f"encoder.architecture={encoder.architecture}: {format} has no such network{instead}"
        ]

    of_resnets = (("width", f"{encoder.width:g}", "1"), ("stem", encoder.stem, "imagenet"))
    for field, value, has in (
        *(() if encoder.is_own else of_resnets),
        ("input_normalization", encoder.input_normalization, "none"),
    ):
        if value != has:
            problems.append(
                f"encoder.{field}={value}: {encoder.architecture} of {format} has only "
                f"{has}{instead}"
            )
    return problems


def lacks(who: str, *packages: str) -> str:
    """Say which packages are missing, and how to install them."""
    return f"{who}: needs {' and '.join(packages)}: {install_command('export')}"


def without_paths(spec: RunSpec) -> RunSpec:
    """Return the specification without the folders of the machine that it ran on."""
    return spec.with_values(
        {"data.root": None, "eval.transfer.data.root": None, "init.weights": None}
    )


def told_of(spec: RunSpec, *, published: bool) -> dict[str, Any]:
    """Return what is told of an encoder beside its weights, without folders of this machine.

    Of one that was trained elsewhere that is no more than what it is and what it was evaluated on.
    """
    tree = without_paths(spec).tree()
    if not published:
        return tree
    return {
        "data": tree["data"],
        "augment": {"output_size": spec.view_size},
        "encoder": tree["encoder"],
    }


def _state_dict(encoder: nn.Module, side: int) -> bytes:
    network = encoder.network if isinstance(encoder, OwnEncoder) else encoder
    if isinstance(network, VisionTransformer):
        tensors = network.timm_state(side)
    else:
        tensors = dict(network.state_dict())
    buffer = io.BytesIO()
    torch.save(tensors, buffer)
    return buffer.getvalue()


def _safetensors(encoder: nn.Module, told: Mapping[str, Any]) -> bytes:
    from safetensors.torch import save

    return save(
        encoder.state_dict(),
        metadata={"format": "pt", "simclr": json.dumps(told)},
    )


def _onnx(encoder: nn.Module, spec: RunSpec) -> bytes:
    size = sum(tensor.numel() * tensor.element_size() for tensor in encoder.state_dict().values())
    if size > ONNX_BYTES:
        raise SpecError(
            [
                f"--format onnx: the encoder has {size / 2**30:.1f} GiB, a file below 2; "
                "safetensors can hold it"
            ]
        )
    side = spec.view_size
    images = torch.rand(2, 3, side, side, generator=torch.Generator().manual_seed(0))
    if not isinstance(encoder, OwnEncoder):
        return _traced(encoder, images)
    try:
        return _traced(encoder, images)
    except Exception as error:  # whatever its author's code does
        lines = str(error).strip().splitlines() or [""]
        why = f"{type(error).__name__}: {lines[0]}"
        raise SpecError(
            [
                f"encoder.architecture={spec.encoder.architecture}: cannot be written as onnx "
                f"({why}); safetensors can hold it"
            ]
        ) from error


def _traced(encoder: nn.Module, images: Tensor) -> bytes:
    """Write the encoder for any number of images, as it maps these two.

    Raises ValueError where its code fixes their number, RuntimeError for other features.
    """
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
    batch = program.model_proto.graph.input[0].type.tensor_type.shape.dim[0]
    if not batch.dim_param:
        raise ValueError(
            "its code fixes the number of images as it is traced, as len(images) does and "
            "images.shape[0] does not"
        )
    content: bytes = program.model_proto.SerializeToString()
    if find_spec("onnxruntime") is not None:
        _compare(content, encoder, torch.cat([images, images[:1].flip(3)]))
    return content


def _compare(content: bytes, encoder: Callable[[Tensor], Tensor], images: Tensor) -> None:
    """Raise RuntimeError when ONNX Runtime computes other features."""
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
