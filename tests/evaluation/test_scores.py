"""Milliseconds to seconds: metrics against scikit-learn and brute force, intervals against naive
loops and known truths.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Any, get_args

import numpy as np
import pytest
from numpy.typing import NDArray
from scipy.stats import binom
from sklearn.metrics import recall_score, top_k_accuracy_score

from workloads.evaluation.metrics import scores as module
from workloads.evaluation.metrics.scores import (
    Metric,
    classified,
    mean_average_precision,
    mean_per_class_accuracy,
    metric_value,
    scored,
    top_k_accuracy,
)

Scores = NDArray[np.float64]
Labels = NDArray[np.int64]


def one_label(count: int, seed: int, classes: int = 4) -> tuple[Scores, Labels]:
    """Rare and frequent classes, told apart with different success; the last class never occurs."""
    generator = np.random.default_rng(seed)
    labels = generator.choice(
        classes - 1, size=count, p=np.arange(1, classes) / np.arange(1, classes).sum()
    )
    scores = generator.normal(size=(count, classes))
    scores[np.arange(count), labels] += 0.4 + 0.5 * labels
    return scores, labels


def several_labels(count: int, seed: int, classes: int = 3) -> tuple[Scores, Labels]:
    """Classes of which each example has any number, some of them difficult; many scores are
    equal.
    """
    generator = np.random.default_rng(seed)
    labels = (generator.random((count, classes)) < np.linspace(0.1, 0.5, classes)).astype(np.int64)
    scores = (generator.normal(size=labels.shape) + 1.2 * labels).round(1)
    labels[generator.random(labels.shape) < 0.1] = -1
    return scores, labels


# Values


@pytest.mark.parametrize("seed", range(3))
def test_mean_per_class_is_the_mean_of_the_recalls_of_classes_that_occur(seed: int) -> None:
    scores, labels = one_label(80, seed)
    recalls = recall_score(labels, scores.argmax(1), labels=np.unique(labels), average="macro")
    assert mean_per_class_accuracy(scores, labels) == pytest.approx(100 * recalls)


def eleven_points(scores: Scores, labels: Labels) -> float | None:
    """From the definition, in fractions: precision and recall at every threshold."""
    kept = [(s, y) for s, y in zip(scores.tolist(), labels.tolist(), strict=True) if y >= 0]
    positives = sum(y for _, y in kept)
    if positives == 0:
        return None
    points = []
    for threshold in {s for s, _ in kept}:
        found = [y for s, y in kept if s >= threshold]
        points.append((Fraction(sum(found), positives), Fraction(sum(found), len(found))))
    highest = [
        max(precision for recall, precision in points if recall >= Fraction(tenths, 10))
        for tenths in range(11)
    ]
    return float(100 * sum(highest) / 11)


@pytest.mark.parametrize("count", [10, 60])
@pytest.mark.parametrize("seed", range(4))
def test_mean_average_precision_is_voc_2007s(seed: int, count: int) -> None:
    scores, labels = several_labels(count, seed)
    labels[:, 0] = np.minimum(labels[:, 0], 0)  # a class without examples
    labels[0, 1] = 1
    expected = [
        value for c in range(3) if (value := eleven_points(scores[:, c], labels[:, c])) is not None
    ]
    assert 1 <= len(expected) <= 2
    assert mean_average_precision(scores, labels) == pytest.approx(np.mean(expected))


def test_average_precision_of_a_ranking_that_one_can_check_by_hand() -> None:
    # Ranked + - + -: precision 1 up to recall 1/2, that is at 0, 0.1, ..., 0.5, and 2/3 at the
    # other five points.
    scores, labels = np.array([[4.0], [3], [2], [1]]), np.array([[1], [0], [1], [0]])
    assert mean_average_precision(scores, labels) == pytest.approx(100 * (6 * 1 + 5 * 2 / 3) / 11)
    # nothing told apart: half are right
    assert mean_average_precision(np.zeros((4, 1)), labels) == pytest.approx(50)


def test_labels_without_any_example_of_a_class_have_no_average_precision() -> None:
    with pytest.raises(ValueError, match="no class"):
        mean_average_precision(np.zeros((3, 2)), np.array([[0, -1], [0, 0], [-1, 0]]))


# Evaluation results


@pytest.mark.parametrize("metric", ["top-1", "mean per class"])
def test_an_evaluation_result_agrees_with_itself_where_scores_are_equal(metric: Metric) -> None:
    scores, labels = one_label(200, seed=0)
    scores = scores.round()  # ties in most rows, as neighbours' votes have them
    found = scored("x", metric, scores, labels)
    said = np.eye(4)[found.predictions["x"].predicted]
    assert (
        found.results["x"]
        == metric_value(metric, scores, labels)
        == metric_value(metric, said, labels)
    )
    assert (found.predictions["x"].labels == labels).all()


def test_classified_names_both_accuracies_and_keeps_the_first_ones_predictions() -> None:
    scores, labels = one_label(300, seed=1, classes=8)
    labels = np.arange(300) % 8
    found = classified("linear", scores, labels, suffix="_z")
    share = [100 * top_k_accuracy_score(labels, scores, k=k, labels=range(8)) for k in (1, 5)]
    assert found.results == pytest.approx({"linear_top1_z": share[0], "linear_top5_z": share[1]})
    assert found.results["linear_top5_z"] == top_k_accuracy(scores, labels, 5)
    assert found.intervals.keys() == found.results.keys()
    for name, (low, high) in found.intervals.items():
        assert low < found.results[name] < high
    assert found.predictions.keys() == {"linear_top1_z"}
    assert (found.predictions["linear_top1_z"].predicted == scores.argmax(1)).all()


def test_classified_adds_the_mean_per_class_where_classes_are_not_balanced() -> None:
    # the smallest of seven has a seventh of the largest
    scores, labels = one_label(300, seed=1, classes=8)
    found = classified("knn", scores, labels, suffix="_z")
    assert (
        found.results.keys()
        == found.intervals.keys()
        == {"knn_top1_z", "knn_top5_z", "knn_mean_per_class_z"}
    )
    recalls = recall_score(labels, scores.argmax(1), labels=np.unique(labels), average="macro")
    assert found.results["knn_mean_per_class_z"] == pytest.approx(100 * recalls)
    assert found.results["knn_mean_per_class_z"] != pytest.approx(
        found.results["knn_top1_z"], abs=0.5
    )
    assert (
        found.intervals["knn_mean_per_class_z"]
        == scored("x", "mean per class", scores, labels).intervals["x"]
    )
    assert found.predictions.keys() == {"knn_top1_z"}, "the same would be compared twice"


@pytest.mark.parametrize(
    ("sizes", "given"),
    [
        ([40, 40, 40], False),
        ([43, 46, 44], False),  # test images of the digits
        ([100, 149, 100], False),
        ([100, 150, 100], True),
        ([1595, 5099, 2744], True),  # some of SVHN's
        ([1, 2, 2], False),  # five of a balanced test set
        ([3, 5, 5], True),
        ([0, 40, 40], False),  # a class without test images
    ],
)
def test_the_mean_per_class_is_left_out_where_it_would_repeat_top1(
    sizes: list[int], given: bool
) -> None:
    labels = np.repeat(np.arange(3), sizes)
    assert ("x_mean_per_class" in classified("x", np.eye(3)[labels], labels).results) is given


def test_multi_label_predictions_are_the_positive_logits() -> None:
    scores, labels = several_labels(50, seed=0)
    predictions = scored("voc", "mAP", scores, labels).predictions["voc"]
    assert predictions.predicted.dtype == np.int64
    assert (predictions.predicted == (scores > 0)).all()
    assert (predictions.labels == labels).all()


# Intervals


@pytest.mark.parametrize("metric", get_args(Metric))
def test_the_bootstrap_draws_examples(metric: Metric, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is said of counts of kinds is exactly the metric of examples repeated as often as they
    were drawn.
    """
    asked: list[tuple[NDArray[np.int64], Callable[[Any], NDArray[np.float64]]]] = []

    def listen(
        kinds: NDArray[np.int64], statistic: Callable[[Any], NDArray[np.float64]]
    ) -> tuple[float, float]:
        asked.append((kinds, statistic))
        return 0.0, 0.0

    monkeypatch.setattr(module, "bootstrap_interval", listen)
    scores, labels = several_labels(40, seed=3) if metric == "mAP" else one_label(40, seed=3)
    rows = np.random.default_rng(0).integers(40, size=(30, 40))
    rows[0, :] = 7  # one example forty times
    scored("x", metric, scores, labels)
    ((kinds, statistic),) = asked
    match metric:
        case "top-1":
            kind = (scores.argmax(1) == labels).astype(np.int64)
        case "mean per class":
            kind = 2 * labels + (scores.argmax(1) == labels)
        case "mAP":
            kind = np.arange(40)
    counts = np.stack([np.bincount(kind[drawn], minlength=len(kinds)) for drawn in rows])
    assert (np.bincount(kind, minlength=len(kinds)) == kinds).all()
    defined = [metric != "mAP" or bool((labels[drawn] == 1).any()) for drawn in rows]
    expected = [metric_value(metric, scores[drawn], labels[drawn]) for drawn in rows[defined]]
    assert statistic(counts)[defined] == pytest.approx(np.array(expected))
    assert np.isnan(statistic(counts)[np.logical_not(defined)]).all()


@pytest.mark.parametrize("metric", get_args(Metric))
def test_intervals_are_those_of_a_naive_bootstrap(metric: Metric) -> None:
    scores, labels = several_labels(150, seed=5) if metric == "mAP" else one_label(150, seed=5)
    generator = np.random.default_rng(1)
    drawn = [
        metric_value(metric, scores[rows], labels[rows])
        for rows in generator.integers(150, size=(1500, 150))
    ]
    interval = scored("x", metric, scores, labels).intervals["x"]
    # A quantile of 2.5 % from 1,000 normal draws has a standard error of 0.085 sigma, from 1,500 of
    # 0.07: four of both.
    assert interval == pytest.approx(
        np.quantile(drawn, [0.025, 0.975]), abs=0.44 * float(np.std(drawn))
    )


@pytest.mark.parametrize(("right", "count"), [(1400, 2000), (10, 200), (49_000, 50_000)])
def test_the_interval_of_an_accuracy_is_binomial(right: int, count: int) -> None:
    scores = np.eye(2)[(np.arange(count) < right).astype(np.int64)]
    low, high = scored("x", "top-1", scores, np.ones(count, np.int64)).intervals["x"]
    spread = 100 * float(np.sqrt(right * (count - right) / count**3))
    exact = 100 * binom.ppf([0.025, 0.975], count, right / count) / count
    assert (low, high) == pytest.approx(exact, abs=4 * 0.085 * spread + 100 / count)


def test_the_same_examples_have_the_same_interval() -> None:
    scores, labels = one_label(100, seed=2)
    assert (
        scored("x", "top-1", scores, labels).intervals
        == scored("x", "top-1", scores, labels).intervals
    )


def test_of_a_hundred_percent_every_draw_is_a_hundred_percent() -> None:
    assert scored("x", "top-1", np.eye(3), np.arange(3)).intervals["x"] == (100, 100)


def covered(
    repeats: int, truth: float, draw: Callable[[], tuple[Scores, Labels]], metric: Metric
) -> float:
    intervals = [scored("x", metric, *draw()).intervals["x"] for _ in range(repeats)]
    return float(np.mean([low <= truth <= high for low, high in intervals]))


@pytest.mark.parametrize(("count", "truth"), [(200, 0.703), (1000, 0.947)])
def test_the_interval_of_an_accuracy_covers_the_truth_in_95_percent(
    count: int, truth: float
) -> None:
    generator = np.random.default_rng([count, round(1000 * truth)])

    def draw() -> tuple[Scores, Labels]:
        return np.eye(2)[(generator.random(count) < truth).astype(np.int64)], np.ones(
            count, np.int64
        )

    # Four standard errors of 1,500 repeats are 2.3 %; the steps of an accuracy cost or add half a
    # percent.
    assert covered(1500, 100 * truth, draw, "top-1") == pytest.approx(0.95, abs=0.028)


def test_the_interval_of_a_mean_over_classes_covers_the_truth_in_95_percent() -> None:
    generator, count = np.random.default_rng(0), 200
    frequency, accuracy = np.array([0.5, 0.3, 0.15, 0.05]), np.array([0.9, 0.7, 0.5, 0.4])

    def draw() -> tuple[Scores, Labels]:
        labels = generator.choice(4, size=count, p=frequency)
        right = generator.random(count) < accuracy[labels]
        return np.eye(4)[np.where(right, labels, (labels + 1) % 4)], labels

    # Four standard errors of 1,000 repeats are 2.8 %; the rarest class has 10 of 200 examples,
    # which costs 1 %.
    assert covered(1000, 100 * float(accuracy.mean()), draw, "mean per class") == pytest.approx(
        0.95, abs=0.035
    )


def test_the_interval_of_mean_average_precision_covers_its_mean_over_such_test_sets() -> None:
    generator = np.random.default_rng(0)

    def draw() -> tuple[Scores, Labels]:
        labels = (generator.random((300, 3)) < [0.1, 0.2, 0.4]).astype(np.int64)
        return generator.normal(size=labels.shape) + 1.2 * labels, labels

    mean = float(np.mean([mean_average_precision(*draw()) for _ in range(600)]))
    # Four standard errors of 120 repeats are 8 %.
    assert covered(120, mean, draw, "mAP") == pytest.approx(0.95, abs=0.08)
