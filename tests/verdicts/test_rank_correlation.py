"""Milliseconds to seconds: rank correlation against scipy, its interval against simulated cells."""

import math

import numpy as np
import pytest
from scipy import stats

from orchestrator.verdicts.rank_correlation import rank_correlation
from search_spaces.claims import Place


def cells(values: list[float]) -> dict[Place, float]:
    return {(f"cell {index}",): value for index, value in enumerate(values)}


def once(values: list[float]) -> dict[Place, list[float]]:
    """One seed for each cell."""
    return {at: [value] for at, value in cells(values).items()}


def test_rho_is_spearmans_of_the_means_over_the_cells_that_both_have() -> None:
    rng = np.random.default_rng(0)
    seeds: dict[Place, list[float]] = {
        (str(index),): rng.normal(50 + index, 3, 1 + index % 4).tolist() for index in range(9)
    }
    paper: dict[Place, float] = {
        (str(index),): float(round(60 - (index - 5) ** 2)) for index in range(2, 12)
    }
    found = rank_correlation({**seeds, ("8",): []}, paper)
    shared = range(2, 8)
    expected = stats.spearmanr(
        [np.mean(seeds[str(i),]) for i in shared], [paper[str(i),] for i in shared]
    )
    assert found.cells == 6
    assert found.rho == pytest.approx(float(expected.statistic))


def test_the_interval_is_bonett_and_wrights() -> None:
    found = rank_correlation(once([1, 2, 3, 4, 5, 6, 7]), cells([2, 1, 4, 3, 7, 5, 6]))
    rho = 1 - 6 * (1 + 1 + 1 + 1 + 4 + 1 + 1) / (7 * 48)
    assert found.rho == pytest.approx(rho)
    margin = 1.959964 * math.sqrt((1 + rho**2 / 2) / 4)
    assert (found.low, found.high) == pytest.approx(
        (math.tanh(math.atanh(rho) - margin), math.tanh(math.atanh(rho) + margin))
    )
    wider = rank_correlation(
        once([1, 2, 3, 4, 5, 6, 7]), cells([2, 1, 4, 3, 7, 5, 6]), confidence=0.99
    )
    assert found.low is not None
    assert wider.low is not None
    assert wider.low < found.low


@pytest.mark.parametrize(("sign", "n"), [(1, 4), (-1, 4), (1, 7), (-1, 30)])
def test_perfect_order_of_few_cells_is_not_certain(sign: int, n: int) -> None:
    found = rank_correlation(
        once([float(index) for index in range(n)]),
        cells([sign * math.exp(index) for index in range(n)]),
    )
    assert found.rho == pytest.approx(sign)
    assert found.low is not None
    assert found.high is not None
    far, near = (found.low, found.high) if sign > 0 else (-found.high, -found.low)
    assert near == 1
    assert far < 1
    assert far < 0 if n == 4 else far > 0.4  # of 24 orders of 4 cells, 2 are perfect


@pytest.mark.parametrize("rho", [0.0, 0.6, 0.9])
@pytest.mark.parametrize("n", [4, 7, 12, 49])
def test_the_interval_covers_the_truth_as_often_as_it_says(n: int, rho: float) -> None:
    rng, trials = np.random.default_rng([n, round(10 * rho)]), 500
    pearson = 2 * math.sin(math.pi * rho / 6)  # of normal values whose rank correlation is rho
    covered = 0
    for ours, other in rng.normal(0, 1, (trials, 2, n)):
        paper = pearson * ours + math.sqrt(1 - pearson**2) * other
        found = rank_correlation(once(ours.tolist()), cells(paper.tolist()))
        assert found.low is not None
        assert found.high is not None
        covered += found.low <= rho <= found.high
    assert covered / trials > 0.92
    assert n == 4 or covered / trials < 0.995


def test_without_enough_cells_or_with_equal_values_there_is_no_correlation_but_a_reason() -> None:
    few = rank_correlation(once([1, 2, 3, 4]), cells([1, 2, 3]))
    assert (few.cells, few.rho, few.low, few.high) == (3, None, None, None)
    assert "4 cells" in few.reason
    assert "ours are all equal" in rank_correlation(once([5, 5, 5, 5]), cells([1, 2, 3, 4])).reason
    assert (
        "paper's are all equal" in rank_correlation(once([1, 2, 3, 4]), cells([5, 5, 5, 5])).reason
    )
    assert rank_correlation(once([1, 2, 2, 4]), cells([1, 2, 2, 4])).rho == pytest.approx(1)


def test_values_that_are_not_finite_are_refused() -> None:
    with pytest.raises(ValueError, match="not all finite"):
        rank_correlation(once([1, 2, math.nan, 4]), cells([1, 2, 3, 4]))
