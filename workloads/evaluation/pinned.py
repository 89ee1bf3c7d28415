"""What a run's fingerprint stands for beside its training images: content, not paths, and own code.

Transfer data, lists of images, initial weights, and code and options of own parts.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any

from workloads.datasets import content_digest, pinned_data
from workloads.datasets.spec import EMBEDDED, DataSpec
from workloads.evaluation.own_metrics import metric_problems, pinned_metrics
from workloads.evaluation.protocols.label_subsets import pinned_lists
from workloads.simclr.initial import pinned_start
from workloads.simclr.own_parts import pinned_parts
from workloads.simclr.spec import AugmentSpec, MetricsSpec, RunSpec
from workloads.simclr.views import operation_problems, pinned_operations
from workloads.spec import SpecError

__all__ = [
    "content_of",
    "named_as_transfer",
    "own_problems",
    "pinned",
    "pinned_as",
    "pinned_own",
]


def pinned(spec: RunSpec) -> RunSpec:
    """Return the recipe with all beside its images pinned by content.

    That is transfer data, lists of images, initial weights, and the code of own parts.
    """
    spec = pinned_start(pinned_parts(pinned_lists(spec)))
    spec = pinned_own(spec)
    data = spec.eval.transfer.data
    if not spec.eval.transfer.protocols or data.name in EMBEDDED or data.content is not None:
        return spec
    with named_as_transfer():
        return spec.with_values({"eval.transfer.data.content": content_of(data)})


def own_problems(spec: RunSpec) -> list[str]:
    """List why own operations and metrics cannot be used, by trying them on a few numbers."""
    found = list(metric_problems(spec.eval.metrics))
    return found + (list(operation_problems(spec.augment)) if spec.schedule.epochs else [])


def pinned_own(spec: RunSpec) -> RunSpec:
    """Return the recipe with code and options of own data sets, operations and metrics.

    Raises SpecError for a part that cannot be had, and for other code than was pinned.
    """
    steps: list[Callable[[], dict[str, Any]]] = [lambda: pinned_as("data", spec.data)]
    if spec.augment.own and spec.schedule.epochs:
        steps.append(lambda: pinned_as("augment", pinned_operations(spec.augment)))
    if spec.eval.metrics.names:
        steps.append(lambda: pinned_as("eval.metrics", pinned_metrics(spec.eval.metrics)))
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
    with named_as_transfer():
        return pinned_as("eval.transfer.data", spec.eval.transfer.data)


def pinned_as(group: str, part: DataSpec | AugmentSpec | MetricsSpec) -> dict[str, Any]:
    """Return code and options of a group, by dotted field; nothing for built-in data."""
    if isinstance(part, DataSpec):
        pinned = pinned_data(part)
    else:
        pinned = {"options": dict(part.options), "code": dict(part.code)}
    return {f"{group}.{name}": value for name, value in pinned.items()}


@contextmanager
def named_as_transfer() -> Iterator[None]:
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
