"""Percentages from scores of N test examples for C classes, and how sure they are."""

from typing import assert_never

import numpy as np
from numpy.typing import NDArray

from workloads.bootstrap import bootstrap_interval
from workloads.datasets.sources.transfer_sets import Metric
from workloads.evaluation_result import EvaluationResult, Predictions

__all__ = [
    "Metric",
    "classified",
    "mean_average_precision",
    "mean_per_class_accuracy",
    "metric_value",
    "scored",
    "top_k_accuracy",
]

Scores = NDArray[np.floating]
Labels = NDArray[np.int64]
Interval = tuple[float, float]

UNBALANCED = 1.5  # times as many examples in the largest class of a test set as in the smallest


def top_k_accuracy(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> float:
    """Compute the percentage of rows of scores [N, C] whose label [N] is among the k highest.

    It is 100 when there are at most k classes.
    """
    return 100 * float(_right(scores, labels, k).mean())


def mean_per_class_accuracy(scores: Scores, labels: Labels) -> float:
    """Compute the accuracy in % of each class of labels [N] by scores [N, C], and average these.

    Classes that do not occur are left out.
    """
    return float(_mean_per_class(_outcomes(_right(scores, labels, 1), labels)[None])[0])


def mean_average_precision(scores: Scores, labels: Labels) -> float:
    """Compute the PASCAL VOC 2007 challenge's mean average precision in %.

    Of scores [N, C] and labels 0, 1 or -1 [N, C]. Of each class: the mean, over the recalls 0, 0.1,
    ..., 1, of the highest precision at that recall or a higher one. Examples labelled -1
    ("difficult") do not count for that class. Classes without a 1 are left out of the mean.
    Examples of equal score are ranked together, where the challenge's own code took them in the
    order of its files. Raises ValueError when no class has a 1.
    """
    if not (labels == 1).any():
        raise ValueError("labels: no class has an example")
    return float(_mean_average_precision(scores, labels, np.ones((1, len(labels)), np.int64))[0])


def metric_value(metric: Metric, scores: Scores, labels: Labels) -> float:
    """Compute a metric, in %, of scores [N, C] and labels: [N], or [N, C] for mAP."""
    match metric:
        case "top-1":
            return top_k_accuracy(scores, labels, 1)
        case "mean per class":
            return mean_per_class_accuracy(scores, labels)
        case "mAP":
            return mean_average_precision(scores, labels)
        case _:
            assert_never(metric)


def scored(name: str, metric: Metric, scores: Scores, labels: Labels) -> EvaluationResult:
    """Return one result of this name by a metric, with its interval and the predictions behind it.

    For mAP the scores are logits of one classifier a class, and what is predicted is every class
    above 0: comparisons of such models test accuracy rather than mAP, as the paper's do (B.8). Its
    interval is for test sets of this size. Of few examples mAP is too high on average, by half its
    standard error in simulations with 40 to 400 positive examples a class, and covered the mAP of
    endless data in 85 to 93 % instead of 95 %.
    """
    if metric == "mAP":
        each = np.ones(len(labels), np.int64)
        interval = bootstrap_interval(
            each, lambda counts: _mean_average_precision(scores, labels, counts)
        )
        predictions = Predictions((scores > 0).astype(np.int64), labels)
        return EvaluationResult(
            {name: mean_average_precision(scores, labels)}, {name: interval}, {name: predictions}
        )

    predicted = _best(scores, 1)[:, 0]
    right = predicted == labels
    match metric:
        case "top-1":
            value, interval = 100 * float(right.mean()), _accuracy_interval(right)
        case "mean per class":
            outcomes = _outcomes(right, labels)
            value = float(_mean_per_class(outcomes[None])[0])
            interval = bootstrap_interval(outcomes, _mean_per_class)
        case _:
            assert_never(metric)
    return EvaluationResult({name: value}, {name: interval}, {name: Predictions(predicted, labels)})


def classified(name: str, scores: Scores, labels: Labels, suffix: str = "") -> EvaluationResult:
    """Return top-1 and top-5 accuracy of scores [N, C], and the predictions behind the first.

    They are named `{name}_top1{suffix}` and `{name}_top5{suffix}`. Where the classes of labels [N]
    are not balanced also `{name}_mean_per_class{suffix}`, whose predictions are the same: where the
    largest has at least 1.5 times as many examples as the smallest, and more than one example more.
    Below that it would all but repeat top-1 (the two are equal where all classes have equally
    many), and subsets that are as balanced as can be are below. Classes that do not occur do not
    count.
    """
    first, five = f"{name}_top1{suffix}", f"{name}_top5{suffix}"
    right = _right(scores, labels, 5)
    of_five = EvaluationResult({five: 100 * float(right.mean())}, {five: _accuracy_interval(right)})
    result = scored(first, "top-1", scores, labels) | of_five
    if _unbalanced(labels):
        of_classes = scored(f"{name}_mean_per_class{suffix}", "mean per class", scores, labels)
        result |= EvaluationResult(of_classes.results, of_classes.intervals)
    return result


def _unbalanced(labels: Labels) -> bool:
    _, sizes = np.unique(labels, return_counts=True)
    return bool(sizes.max() >= UNBALANCED * sizes.min() and sizes.max() > sizes.min() + 1)


def _best(scores: Scores, k: int) -> NDArray[np.int64]:
    """The k classes [N, k] of the highest scores, in any order.

    All that is said of an example asks here, so ties agree.
    """
    best: NDArray[np.int64] = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return best


def _right(scores: Scores, labels: Labels, k: int) -> NDArray[np.bool_]:
    """Of each example whether its label is among the k highest scores."""
    right: NDArray[np.bool_] = (_best(scores, min(k, scores.shape[1])) == labels[:, None]).any(1)
    return right


def _accuracy_interval(right: NDArray[np.bool_]) -> Interval:
    return bootstrap_interval(
        np.bincount(right, minlength=2), lambda counts: 100 * counts[:, 1] / len(right)
    )


def _outcomes(right: NDArray[np.bool_], labels: Labels) -> NDArray[np.int64]:
    """How many examples each class and outcome [2 C] has: class 0 wrong, class 0 right, ..."""
    outcomes: NDArray[np.int64] = np.bincount(
        2 * labels + right, minlength=2 * (int(labels.max()) + 1)
    )
    return outcomes


def _mean_per_class(outcomes: NDArray[np.int64]) -> NDArray[np.float64]:
    """Of outcomes [draws, 2 C]; a class that a draw leaves out is left out of that draw's mean."""
    of_class = outcomes.reshape(len(outcomes), -1, 2)
    total, right = of_class.sum(2), of_class[:, :, 1]
    mean: NDArray[np.float64] = 100 * (right / np.maximum(total, 1)).sum(1) / (total > 0).sum(1)
    return mean


def _mean_average_precision(
    scores: Scores, labels: Labels, counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """In % [draws], of draws in which each example comes up `counts` [draws, N] times.

    NaN for a draw without any 1.
    """
    by_example = np.ascontiguousarray(counts.T, dtype=np.int32)
    present = [c for c in range(scores.shape[1]) if (labels[:, c] == 1).any()]
    of_class = np.stack(
        [_average_precision(scores[:, c], labels[:, c], by_example) for c in present]
    )
    defined = ~np.isnan(of_class)
    total = np.where(defined, of_class, 0).sum(0)
    mean: NDArray[np.float64] = np.divide(
        total, defined.sum(0), out=np.full(len(total), np.nan), where=defined.any(0)
    )
    return mean


def _average_precision(
    scores: Scores, labels: Labels, counts: NDArray[np.int32]
) -> NDArray[np.float64]:
    """In % [draws], of one class's scores [N] and labels [N], by counts [N, draws].

    At least one label is 1.

    Precision as a function of the threshold is highest just below a positive example's score, so
    only these thresholds are tried.
    """
    order = np.argsort(-scores, kind="stable")
    order = order[labels[order] >= 0]
    positive = labels[order] == 1
    ranked = -scores[order]

    # Behind the last example of each score that a positive one has.
    ends = np.unique(np.searchsorted(ranked, ranked[positive], side="right"))
    starts = np.concatenate([[0], ends[:-1]])
    positives_before = np.concatenate([[0], np.cumsum(positive)])[starts]
    retrieved = np.add.reduceat(counts[order[: ends[-1]]], starts, axis=0).cumsum(0)
    true = np.add.reduceat(counts[order[positive]], positives_before, axis=0).cumsum(0)
    precision = true / np.maximum(retrieved, 1)
    best = np.maximum.accumulate(precision[::-1], axis=0)[::-1]

    draws = np.arange(counts.shape[1])
    # In whole numbers, because 3 / 10 >= 0.3 is a matter of rounding.
    reached = [(10 * true < tenths * true[-1]).sum(0) for tenths in range(11)]
    average: NDArray[np.float64] = 100 * np.mean([best[first, draws] for first in reached], axis=0)
    average[true[-1] == 0] = np.nan
    return average
