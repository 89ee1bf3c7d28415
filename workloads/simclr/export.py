"""A trained encoder as files that others load, each with a card that says what it is.

Only the encoder leaves: the projection head is thrown away after pre-training (section 2.1).
"""

import json
from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import torch
from torch import nn

from workloads.distributed.worker import Worker
from workloads.simclr.export_formats import (
    FILES,
    FORMATS,
    ExportFormat,
    encoder_file,
    lacks,
    problems_with_format,
)
from workloads.simclr.model_card import CARD, CardResult, model_card
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_encoder
from workloads.spec import SpecError

# Model cards that were written import from here, so that names of the card and of formats stay.
__all__ = ["CARD", "FILES", "FORMATS", "CardResult", "ExportFormat", "exported", "load_exported"]


def exported(
    state: Mapping[str, Any],
    spec: RunSpec,
    format: ExportFormat,
    results: Sequence[CardResult] = (),
    *,
    run: str | None = None,
    published: str | None = None,
) -> dict[str, bytes]:
    """Return file names and contents: an encoder in a format, and its model card with results.

    `run` is the fingerprint on the card, the specification's by default; `published` says where
    weights came from that were not trained here, of which the specification's part on training does
    not hold.

    Images go in as this program's views are, in [0, 1]; a normalisation of the specification is
    inside where the format has code (onnx), or is built with the encoder (safetensors). Raises
    SpecError for what a format cannot express or lacks.
    """
    if problems := problems_with_format(spec, format):
        raise SpecError(problems)
    encoder = load_encoder(spec, dict(state), Worker(torch.device("cpu")))
    card = model_card(
        spec,
        format,
        results,
        run=run or spec.fingerprint(),
        features=int(encoder.feature_dim),  # type: ignore[arg-type]
        epochs=state["epoch"],
        published=published,
    )
    return {
        FILES[format]: encoder_file(encoder, spec, format, published=published is not None),
        CARD: card.encode(),
    }


def load_exported(path: Path) -> tuple[nn.Module, RunSpec]:
    """Read the encoder of a .safetensors file of this program, and the run's specification.

    The encoder is on the CPU, in inference mode. Every key must fit. Raises SpecError for another
    file.
    """
    if find_spec("safetensors") is None:
        raise SpecError([lacks(str(path), "safetensors")])
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
