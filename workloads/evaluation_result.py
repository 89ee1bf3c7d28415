"""What an evaluation leaves: numbers, how sure they are, and what was said of each test example."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

__all__ = ["CardResult", "EvaluationResult", "Predictions"]


@dataclass(frozen=True)
class Predictions:
    """What a model said of each test example, so that two models are compared on the same ones.

    Of N examples: the class int64 [N]; where an example may have several of C classes, for each
    whether it has it, int64 [N, C] of 0 and 1, with -1 among the labels where that is not to be
    counted.
    """

    predicted: NDArray[np.int64]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class EvaluationResult:
    """What an evaluation found: results by name, how sure they are, and predictions behind them.

    Percentages have a 95 % interval over test examples.
    """

    results: Mapping[str, float]
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    predictions: Mapping[str, Predictions] = field(default_factory=dict)

    def only(self, beginning: str) -> "EvaluationResult":
        """Keep what is about results whose names begin so."""
        return EvaluationResult(
            {name: value for name, value in self.results.items() if name.startswith(beginning)},
            {name: value for name, value in self.intervals.items() if name.startswith(beginning)},
            {name: value for name, value in self.predictions.items() if name.startswith(beginning)},
        )

    def __or__(self, other: "EvaluationResult") -> "EvaluationResult":
        return EvaluationResult(
            {**self.results, **other.results},
            {**self.intervals, **other.intervals},
            {**self.predictions, **other.predictions},
        )


@dataclass(frozen=True)
class CardResult:
    """A row of a model card: a result, its 95 % interval if it has one, and its protocol."""

    name: str
    value: float
    interval: tuple[float, float] | None = None
    protocol: str = ""
