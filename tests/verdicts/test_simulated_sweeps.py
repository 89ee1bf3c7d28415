"""Seconds: how often verdicts with a sweep's spread are wrong where the truth is known.

benchmarks/verdicts.py has the long form. Numbers are drawn from fixed seeds.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from scipy import stats

from orchestrator.verdicts import Look, Looks, Values, judge, looks_up_to, spread_of
from search_spaces.claims import Claim, Place, beats

PLACES: list[Place] = [(f"cell {number}",) for number in range(21)]
CLAIM = Claim.alike("a statement", "a section", beats(PLACES[0], PLACES[1]))
MANY = Claim.alike("a statement", "a section", *(beats(PLACES[0], at) for at in PLACES[1:]))
Table = npt.NDArray[np.floating[Any]]
Noise = Callable[[np.random.Generator, tuple[int, int]], Table]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Table:
    return rng.normal(0, 1, shape)


def heavy_tailed(rng: np.random.Generator, shape: tuple[int, int]) -> Table:
    return rng.standard_t(3, shape) / math.sqrt(3)


def unequal(rng: np.random.Generator, shape: tuple[int, int]) -> Table:
    return rng.normal(0, 1, shape) * np.exp(0.5 * rng.normal(0, 1, (shape[0], 1)))


def sweep(rng: np.random.Generator, noise: Noise, gain: float, cells: int, seeds: int) -> Table:
    table = 50 + rng.normal(0, 1, seeds) + noise(rng, (cells, seeds))
    table[0] += gain
    return table


def values(table: Table) -> Values:
    return {(PLACES[row], None): dict(enumerate(table[row].tolist())) for row in range(len(table))}


def verdict(table: Table, claim: Claim = CLAIM, looks: Looks | None = None) -> str:
    known = values(table)
    return judge(claim, "small", known, looks=looks or Looks(), spread=spread_of(known)).verdict


def at_most(found: int, level: float, trials: int) -> bool:
    return bool(stats.binom.sf(found - 1, trials, level) > 1e-4)


@pytest.mark.parametrize(
    ("noise", "seeds", "level"),
    [(normal, 3, 0.05), (normal, 6, 0.05), (heavy_tailed, 3, 0.05), (unequal, 3, 0.06)],
)
def test_equal_cells_are_told_apart_at_the_level_only(
    noise: Noise, seeds: int, level: float
) -> None:
    rng, trials = np.random.default_rng(seeds), 400
    found = [verdict(sweep(rng, noise, 0.0, 10, seeds)) for _ in range(trials)]
    assert at_most(found.count("reproduced"), level, trials)
    assert at_most(found.count("contradicted"), level, trials)
    assert found.count("reproduced") + found.count("contradicted") > 0


def test_a_claim_of_many_comparisons_is_found_with_three_seeds_and_a_wrong_one_is_not() -> None:
    rng, trials = np.random.default_rng(0), 40
    right = [verdict(sweep(rng, normal, 5.0, 21, 3), MANY) for _ in range(trials)]
    assert right.count("reproduced") >= 0.8 * trials
    wrong = 0
    for _ in range(trials):
        table = sweep(rng, normal, 5.0, 21, 3)
        table[1] += 5.0
        wrong += verdict(table, MANY) == "reproduced"
    assert at_most(wrong, 0.05, trials)


def test_looks_keep_the_level_planned_and_not() -> None:
    rng, trials = np.random.default_rng(1), 150
    label = CLAIM.small[0].label
    planned, by_hand = [], []
    for _ in range(trials):
        table = sweep(rng, normal, 0.0, 8, 8)
        planned.append(verdict(table, looks=Looks(looks_up_to(3, 8))))
        taken: dict[str, tuple[Look, ...]] = {label: ()}
        for seeds in range(3, 9):
            known = values(table[:, :seeds])
            found = judge(CLAIM, "small", known, taken=taken, spread=spread_of(known))
            taken = {label: found.judged[0].looks}
            if found.verdict != "undecided":
                break
        by_hand.append(found.verdict)
    for one in (planned, by_hand):
        assert at_most(one.count("reproduced"), 0.05, trials)
        assert at_most(one.count("contradicted"), 0.05, trials)
