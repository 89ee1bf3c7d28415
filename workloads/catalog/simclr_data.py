"""The data of a SimCLR run, pinned by content: a fingerprint stands for that, not for a path."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import Any

from workloads.datasets import content_digest, load, pinned_data
from workloads.datasets.spec import EMBEDDED, DataSpec
from workloads.evaluation.own_metrics import metric_problems, pinned_metrics
from workloads.evaluation.protocols.label_subsets import pinned_lists
from workloads.evaluation.protocols.transfer import data_of
from workloads.simclr.initial import pinned_start
from workloads.simclr.labels_needed import LABELLED_RESULTS
from workloads.simclr.own_parts import pinned_parts
from workloads.simclr.pretrain import as_found
from workloads.simclr.spec import AugmentSpec, MetricsSpec, RunSpec
from workloads.simclr.views import operation_problems, pinned_operations
from workloads.spec import SpecError
from workloads.workload import DataFacts

__all__ = ["content_of", "own_problems", "pinned", "prepared"]


def prepared(spec: RunSpec, *, download: bool) -> tuple[RunSpec, DataFacts]:
    """Return the recipe with the digest of its images, and what they are.

    Its fingerprint then stands for the images, and not for a path.
    """
    data = load(spec.data, download=download, without_labels=True)
    spec = as_found(spec, data)
    if spec.init.weights is not None and spec.init.content is None:
        pinned_start(spec)  # raises where they cannot be read
    with _named_as_transfer():
        for protocol in spec.eval.transfer.protocols:
            load(data_of(spec, protocol), download=download, several_labels=True)
    own = _pinned_as("data", spec.data)
    pinned = (
        spec
        if spec.data.name in EMBEDDED
        else spec.with_values({"data.content": data.content} | own)
    )
    counts = len(data.train), len(data.validation), len(data.test)
    lacking = () if data.has_labels else LABELLED_RESULTS
    return pinned, DataFacts(_title(spec.data), *counts, data.content, tuple(data.notes), lacking)


def pinned(spec: RunSpec) -> RunSpec:
    """Return the recipe with all beside its images pinned by content.

    That is transfer data, lists of images, initial weights, and the code of own parts.
    """
    spec = pinned_start(pinned_parts(pinned_lists(spec)))
    spec = _pinned_own(spec)
    data = spec.eval.transfer.data
    if not spec.eval.transfer.protocols or data.name in EMBEDDED or data.content is not None:
        return spec
    with _named_as_transfer():
        return spec.with_values({"eval.transfer.data.content": content_of(data)})


def own_problems(spec: RunSpec) -> list[str]:
    """List why own operations and metrics cannot be used, by trying them on a few numbers."""
    found = list(metric_problems(spec.eval.metrics))
    return found + (list(operation_problems(spec.augment)) if spec.schedule.epochs else [])


def _pinned_own(spec: RunSpec) -> RunSpec:
    """Return the recipe with code and options of own data sets, operations and metrics.

    Raises SpecError for a part that cannot be had, and for other code than was pinned.
    """
    steps: list[Callable[[], dict[str, Any]]] = [lambda: _pinned_as("data", spec.data)]
    if spec.augment.own and spec.schedule.epochs:
        steps.append(lambda: _pinned_as("augment", pinned_operations(spec.augment)))
    if spec.eval.metrics.names:
        steps.append(lambda: _pinned_as("eval.metrics", pinned_metrics(spec.eval.metrics)))
    if spec.eval.transfer.protocols:
        steps.append(lambda: _pinned_transfer(spec))
    values, problems = dict[str, Any](), list[str]()
    for step in steps:
        try:
            values |= step()
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return spec.with_values(values) if values else spec


def _pinned_transfer(spec: RunSpec) -> dict[str, Any]:
    with _named_as_transfer():
        return _pinned_as("eval.transfer.data", spec.eval.transfer.data)


def _pinned_as(group: str, part: DataSpec | AugmentSpec | MetricsSpec) -> dict[str, Any]:
    """Code and options of a group, by dotted field; nothing for built-in data."""
    if isinstance(part, DataSpec):
        pinned = pinned_data(part)
    else:
        pinned = {"options": dict(part.options), "code": dict(part.code)}
    return {f"{group}.{name}": value for name, value in pinned.items()}


@contextmanager
def _named_as_transfer() -> Iterator[None]:
    """Name the fields of data as those of a transfer, where problems are told of them."""
    try:
        yield
    except SpecError as error:
        raise SpecError(
            [f"eval.transfer.{one}" if one.startswith("data.") else one for one in error.problems]
        ) from None


@lru_cache
def content_of(data: DataSpec) -> str:
    """Return the digest of a data set, found once a process."""
    return content_digest(data)


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
