"""The data of a SimCLR run, read and pinned by content: a fingerprint does not stand for a path."""

from pathlib import Path

from workloads.datasets import load
from workloads.datasets.spec import EMBEDDED, DataSpec
from workloads.evaluation.pinned import named_as_transfer, pinned_as
from workloads.evaluation.protocols.transfer import data_of
from workloads.simclr.initial import pinned_start
from workloads.simclr.labels_needed import LABELLED_RESULTS
from workloads.simclr.pretrain import as_found
from workloads.simclr.spec import RunSpec
from workloads.workload import DataFacts

__all__ = ["prepared"]


def prepared(spec: RunSpec, *, download: bool) -> tuple[RunSpec, DataFacts]:
    """Return the recipe with the digest of its images, and what they are.

    Its fingerprint then stands for the images, and not for a path.
    """
    data = load(spec.data, download=download, without_labels=True)
    spec = as_found(spec, data)
    if spec.init.weights is not None and spec.init.content is None:
        pinned_start(spec)  # raises where they cannot be read
    with named_as_transfer():
        for protocol in spec.eval.transfer.protocols:
            load(data_of(spec, protocol), download=download, several_labels=True)
    own = pinned_as("data", spec.data)
    pinned = (
        spec
        if spec.data.name in EMBEDDED
        else spec.with_values({"data.content": data.content} | own)
    )
    counts = len(data.train), len(data.validation), len(data.test)
    lacking = () if data.has_labels else LABELLED_RESULTS
    return pinned, DataFacts(_title(spec.data), *counts, data.content, tuple(data.notes), lacking)


def _title(data: DataSpec) -> str:
    if data.name == "textures":
        shared = [name for name in ("palette", "arrangement") if getattr(data, name) == "shared"]
        nuisances = f", {' and '.join(shared)} shared" if shared else ""
        return (
            "textures (embedded, drawn so that the mechanism of section 3.1 exists"
            f"{nuisances}), {data.image_size} px"
        )
    if data.name in EMBEDDED:
        return f"{data.name} (embedded), {data.image_size} px"
    folder = Path(data.root or "").name
    return (
        f"{folder if data.name in ('image-folder', 'shards') else data.name}, {data.image_size} px"
    )
