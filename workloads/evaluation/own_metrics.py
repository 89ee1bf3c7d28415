"""Evaluation metrics of somebody's own, on the features of a frozen encoder.

An own metric is a function that is called with features and labels of the splits, by the names
train, validation and test, and its options, and gives numbers by name. A name says its unit by its
end: `_percent` (between 0 and 100), `_nats`, or none; of one with the word error or loss, less is
better. Test labels are for the number alone, and choices are made on the validation split.

Shapes: N images of a split, D the width of h.
"""

import math
import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from workloads.evaluation_result import EvaluationResult
from workloads.named_parts import find_named, pinned_named
from workloads.parts import METRICS, OwnPart
from workloads.simclr.labels_needed import LABELLED_RESULTS
from workloads.simclr.spec import MetricsSpec
from workloads.spec import SpecError

__all__ = ["Features", "Labels", "Measures", "measured", "metric_problems", "pinned_metrics"]

Features = Mapping[str, NDArray[np.float32]]
Labels = Mapping[str, NDArray[np.int64]]

METRIC = "eval.metrics.names"  # the field
BUILT_IN = (*LABELLED_RESULTS, "transfer", "contrastive")  # how names of built-in results begin
TRIED = {"train": 48, "validation": 24, "test": 24}  # images of 3 classes, before a run


class Measures(Protocol):
    """What an own metric is, with options as one frozen pydantic class or one parameter each."""

    def __call__(self, features: Features, labels: Labels, *, options: Any) -> Mapping[str, float]:
        """Return numbers of features [N, D] and labels [N] of train, validation and test."""


def measured(metrics: MetricsSpec, features: Features, labels: Labels) -> EvaluationResult:
    """Compute all own metrics.

    Raises SpecError for a part that cannot be had, fails, or gives what is no result.
    """
    results: dict[str, float] = {}
    for name, part, options in _found(metrics):
        try:
            own = _readable(features), _readable(labels)
            given = part.make(*own, options=options)
        except SpecError:
            raise
        except Exception as error:  # whatever its author's code raises
            raise SpecError([f"{_named(name)}: fails: {_told(error)}"]) from error
        if problems := _problems(given, results):
            raise SpecError([f"{_named(name)}: {problem}" for problem in problems])
        results |= {result: float(value) for result, value in given.items()}
    return EvaluationResult(results)


def pinned_metrics(metrics: MetricsSpec) -> MetricsSpec:
    """Return the metrics with code and all options pinned. Raises SpecError.

    A part whose code is another than was pinned is an error.
    """
    if not metrics.names:
        return metrics
    return metrics.with_values(
        pinned_named(METRICS, METRIC, metrics.names, metrics.options, metrics.code)
    )


@lru_cache(maxsize=64)
def metric_problems(metrics: MetricsSpec) -> tuple[str, ...]:
    """Say why own metrics cannot be had, by trying them on a few random features."""
    random = np.random.default_rng(0)
    features = {
        name: random.standard_normal((count, 16)).astype(np.float32)
        for name, count in TRIED.items()
    }
    labels = {name: np.arange(count) % 3 for name, count in TRIED.items()}
    try:
        measured(metrics, features, labels)
    except SpecError as error:
        return tuple(error.problems)
    return ()


def _found(metrics: MetricsSpec) -> Iterator[tuple[str, OwnPart, BaseModel]]:
    """Each metric by name with its options. Raises SpecError with the problems of all."""
    found, problems = list[tuple[str, OwnPart, BaseModel]](), list[str]()
    for name in metrics.names:
        try:
            found.append((name, *find_named(METRICS, METRIC, name, metrics.options, metrics.code)))
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError(problems)
    return iter(found)


def _readable(arrays: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
    """The arrays, copied: what a metric does to them reaches no other."""
    return {name: np.array(values) for name, values in arrays.items()}


def _problems(given: object, before: Mapping[str, float]) -> list[str]:
    if not isinstance(given, Mapping) or not given:
        return [f"gives {given!r}, and not numbers by name"]
    found = []
    for name, value in given.items():
        if not isinstance(name, str) or not re.fullmatch("[a-z][a-z0-9_]*", name):
            found.append(f"gives {name!r}, which is no name of a-z, 0-9 and _")
        elif name.startswith(BUILT_IN) or name in before:
            found.append(f"gives {name}, which is the name of another result")
        elif isinstance(value, bool) or not isinstance(value, int | float | np.number):
            found.append(f"gives {name}={value!r}, which is no number")
        elif not math.isfinite(value):
            found.append(f"gives {name}={value}, which is not finite")
        elif name.endswith("_percent") and not -1e-6 <= value <= 100 + 1e-6:
            found.append(f"gives {name}={value:g}, which does not lie between 0 and 100")
    return found


def _named(name: str) -> str:
    return f"eval.metrics.names={name!r}"


def _told(error: BaseException) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
