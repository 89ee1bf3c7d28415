"""Seconds: two cells of several seeds on the same test examples, against draws with known truth."""

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.console import Console
from scipy import stats

from orchestrator.commands.compare_seeds import compare_seeds
from orchestrator.errors import PlanError
from orchestrator.storage import Storage
from orchestrator.verdicts.crossed import compare_cells, crossed
from workloads.evaluation_result import Predictions
from workloads.runs.predictions import predictions_bytes

Array = NDArray[Any]
DATA = {"name": "image-folder", "test_images": None, "split_seed": 0, "content": "1" * 20}


def drawn(
    rng: np.random.Generator, seeds: int, examples: int, *, seed: float, example: float, rest: float
) -> Array:
    """Leads [S, N] whose true mean is 0, with these standard deviations."""
    leads: Array = rng.normal(0, seed, (seeds, 1)) + rng.normal(0, example, (1, examples))
    return leads + rng.normal(0, rest, (seeds, examples))


@pytest.mark.parametrize("seeds", [3, 5, 10])
@pytest.mark.parametrize(("seed", "example"), [(0.7, 20), (2.0, 20), (0.0, 20), (0.7, 0.0)])
def test_the_interval_covers_the_truth_for_other_seeds_and_examples(
    seeds: int, seed: float, example: float
) -> None:
    rng, covered = np.random.default_rng([seeds, int(10 * seed)]), 0
    for _ in range(400):
        found = crossed(drawn(rng, seeds, 200, seed=seed, example=example, rest=30))
        low, high = found["interval"]
        covered += low <= 0 <= high
    assert covered >= 0.92 * 400, "95 %, less than three standard errors of 400 draws"


def test_each_interval_is_for_what_it_says_and_no_more() -> None:
    """Seeds alone are a paired t-test of the seeds' means, examples alone one of the examples'."""
    leads = drawn(np.random.default_rng(0), 4, 60, seed=5, example=20, rest=10) + 3
    found = crossed(leads)
    for interval, means in (("of_seeds", leads.mean(1)), ("of_examples", leads.mean(0))):
        expected = stats.t.interval(0.95, len(means) - 1, loc=leads.mean(), scale=stats.sem(means))
        assert found[interval] == pytest.approx(expected)
    assert found["difference"] == pytest.approx(leads.mean())
    low, high = found["interval"]
    assert low < min(found["of_seeds"][0], found["of_examples"][0])
    assert high > max(found["of_seeds"][1], found["of_examples"][1])


def test_a_difference_is_significant_where_the_interval_leaves_zero_out() -> None:
    rng = np.random.default_rng(1)
    for shift in (0.0, 1.0, 2.0, 4.0, 8.0):
        found = crossed(drawn(rng, 3, 100, seed=1, example=5, rest=10) + shift)
        low, high = found["interval"]
        assert (found["p"] < 0.05) == (low > 0 or high < 0)
    assert crossed(np.zeros((3, 10)))["p"] == 1.0
    assert crossed(np.ones((3, 10)))["p"] == 0.0


def said(right: Array, labels: Array) -> Predictions:
    return Predictions(np.where(right, labels, labels + 1), labels)


def cells(seeds: int, better: float, examples: int = 300) -> tuple[list[Predictions], ...]:
    """Two cells whose runs are right on 60 % and on `better` more."""
    rng, labels = np.random.default_rng(0), np.arange(examples) % 7
    return tuple(
        [said(rng.random(examples) < 0.6 + more, labels) for _ in range(seeds)]
        for more in (better, 0.0)
    )


def test_accuracies_and_their_difference_are_those_of_all_runs() -> None:
    ones, others = cells(3, 0.2)
    found = compare_cells(ones, others)
    accuracy = [
        100 * np.mean([each.predicted == each.labels for each in side]) for side in (ones, others)
    ]
    assert (found.accuracy_one, found.accuracy_other) == pytest.approx(tuple(accuracy))
    assert found.difference == pytest.approx(accuracy[0] - accuracy[1])
    assert (found.seeds, found.n) == (3, 300)
    with pytest.raises(PlanError, match="two seeds of each"):
        compare_cells(ones[:1], others[:1])
    with pytest.raises(PlanError, match="different examples"):
        compare_cells(ones, [*others[:2], said(np.ones(5), np.arange(5))])


def test_decisions_that_do_not_count_are_left_out_of_several_labels() -> None:
    labels = np.array([[1, 0, -1], [0, -1, -1], [1, 1, 1]])
    right = Predictions(np.where(labels < 0, 0, labels), labels)
    wrong = Predictions(1 - np.abs(labels), labels)
    found = compare_cells([right, right], [wrong, wrong])
    assert (found.accuracy_one, found.accuracy_other) == pytest.approx((100, 0))


def keep(storage: Storage, name: str, seed: int, predictions: Predictions, **data: Any) -> str:
    fingerprint = name * 32
    storage.write_json(
        f"runs/{fingerprint}/run.json",
        {
            "name": f"{name} · seed {seed}",
            "fingerprint": fingerprint,
            "status": "finished",
            "spec": {"seed": seed, "data": DATA | data},
        },
    )
    storage.write_bytes(
        f"runs/{fingerprint}/predictions.npz", predictions_bytes({"linear_top1": predictions})
    )
    return name


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Three seeds each of a cell, a0 to a2, and of one that is worse, b0 to b2."""
    storage = Storage(str(tmp_path))
    for letter, runs in zip("ab", cells(3, 0.2), strict=True):
        for seed, predictions in enumerate(runs):
            keep(storage, f"{letter}{seed}", seed, predictions)
    return storage


def compared(storage: Storage, ones: Sequence[str], others: Sequence[str]) -> tuple[Any, str]:
    printed = io.StringIO()
    ended = compare_seeds(ones, others, None, storage, Console(file=printed, width=200))
    assert ended.exit_code == 0
    return json.loads(json.dumps(ended.document, allow_nan=False)), printed.getvalue()


def test_two_cells_of_a_storage_are_paired_by_seed_in_whatever_order(storage: Storage) -> None:
    document, text = compared(storage, ["a0", "a1", "a2"], ["b2", "b0", "b1"])
    assert [run["seed"] for run in document["one"]] == [0, 1, 2]
    assert [run["name"] for run in document["other"]] == [
        f"b{seed} · seed {seed}" for seed in "012"
    ]
    found = document["comparisons"]["linear_top1"]
    assert found["verdict"] == "better"
    assert found["interval"][0] > 0
    assert "A is better than B by" in text
    assert "over 3 seeds and 300 test examples" in text
    turned, _ = compared(storage, ["b0", "b1", "b2"], ["a0", "a1", "a2"])
    assert turned["comparisons"]["linear_top1"]["verdict"] == "worse"


def test_runs_that_cannot_be_paired_are_refused_by_name(storage: Storage) -> None:
    labels = np.arange(300) % 7
    keep(storage, "c5", 5, said(np.ones(300), labels))
    keep(storage, "d1", 1, said(np.ones(300), labels), content="0" * 20)
    keep(storage, "e1", 1, said(np.ones(300), labels), content="0" * 20)
    for ones, others, problem in (
        (["a0", "a1"], ["b0", "c5"], "needs the same seeds of both, not 0, 1 and 0, 5"),
        (["a0", "a0"], ["b0", "b1"], "needs runs of different seeds, not a0a0a0a0a0a0 \\(seed 0"),
        (["a0", "a1"], ["a0", "b1"], "would be compared with itself"),
        (["a0", "d1"], ["b0", "e1"], "seeds were tested on different examples"),
        (["a0"], ["b0"], "two seeds of each are needed"),
    ):
        with pytest.raises(PlanError, match=problem):
            compared(storage, ones, others)
    with pytest.raises(PlanError, match="is no result that all runs have predictions of"):
        compare_seeds(["a0", "a1"], ["b0", "b1"], "knn_top1", storage, Console(quiet=True))
