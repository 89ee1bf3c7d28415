"""What a t-test takes of a comparison's values: mean, spread, degrees of freedom, and its power.

The rules are in orchestrator/verdicts/means.py.
"""

import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from scipy.special import fdtrc, nctdtr, ndtr, stdtr, stdtrit

from orchestrator.verdicts.judged import Evidence
from orchestrator.verdicts.spread import Pooled
from search_spaces.claims import Comparison

__all__ = ["FEWEST_ALONE", "FEWEST_POOLED", "Sample", "paired_values", "power", "sample_of"]

FEWEST_POOLED = 3
FEWEST_ALONE = 5
ALONE, MODERATED = "paired t", "moderated t"
APART = "paired t, as it varies more than the sweep"
UNLIKE = 0.1  # level, over a claim, at which a comparison varies more than the sweep
EQUAL = 1e-6  # of a cell's value: nearer values are equal, as float32 keeps no more


@dataclass(frozen=True)
class Sample:
    """What a t-test needs of n values; `equal` if all are, and `sd` is 0 if nothing else is known.

    `test` is the one that it is fit for, from `fewest` seeds on.
    """

    n: int
    mean: float
    sd: float
    df: float
    equal: bool
    test: str = ALONE
    fewest: int = FEWEST_ALONE

    def margin(self, level: float) -> float:
        """Return how far a one-sided confidence bound at a level lies from the mean."""
        return _t(self.df, level) * self.sd / math.sqrt(self.n)

    def shows(self, edge: float, side: int, level: float) -> bool:
        """Whether the true mean is shown to be above (side 1) or below (side -1) the edge."""
        beyond = side * (self.mean - edge)
        return beyond > self.margin(level) if self.sd else False

    def p(self, edge: float, side: int) -> float:
        """The p-value of the same."""
        if not self.sd:
            return 1.0
        return float(stdtr(self.df, -side * (self.mean - edge) / self.sd * math.sqrt(self.n)))


def paired_values(comparison: Comparison, evidence: Evidence) -> tuple[dict[int, float], float]:
    """The comparison's value for each seed that all its cells have, and how near two are equal."""
    columns = [(term.weight, evidence.column(term), term.at) for term in comparison.terms]
    seeds = sorted(set.intersection(*(set(column) for _, column, _ in columns)))
    for _, column, at in columns:
        for seed in seeds:
            if not math.isfinite(column[seed]):
                raise ValueError(
                    f"cell {at!r}: the value {column[seed]!r} of seed {seed} is not finite"
                )

    sums = {
        seed: math.fsum(weight * column[seed] for weight, column, _ in columns) for seed in seeds
    }
    sizes = [abs(weight * column[seed]) for weight, column, _ in columns for seed in seeds]
    return sums, EQUAL * max((abs(comparison.bound), *sizes))


def sample_of(
    comparison: Comparison,
    paired: dict[int, float],
    seeds: Sequence[int],
    pooled: Pooled | None,
    m: int,
    equal: float,
    edges: Sequence[float],
) -> Sample:
    """Mean and spread; values that are equal but for rounding have none of their own.

    Such values are at an edge if they are but for rounding.
    """
    if not seeds:
        return Sample(0, 0.0, 0.0, 0.0, equal=True)

    values = [paired[seed] for seed in seeds]
    n, mean = len(values), statistics.fmean(values)
    same = max(values) - min(values) <= equal
    if same:
        edge = min(edges, key=lambda edge: abs(mean - edge))
        mean = edge if abs(mean - edge) <= equal else mean
    if pooled and n > 1 and all(seed in pooled.effects for seed in seeds):
        squeezed = _squeezed(
            comparison, values, [pooled.effects[seed] for seed in seeds], pooled, m
        )
        # Of one that varies more than the sweep a test of its own is fair from as many seeds.
        variance, df = squeezed or (statistics.variance(values), n - 1)
        name = MODERATED if squeezed else APART
        return Sample(n, mean, math.sqrt(variance), df, same, name, FEWEST_POOLED)
    return Sample(n, mean, 0.0 if same else statistics.stdev(values), n - 1, same)


def _squeezed(
    comparison: Comparison,
    values: Sequence[float],
    effects: Sequence[float],
    pooled: Pooled,
    m: int,
) -> tuple[float, float] | None:
    """The variance of a value and its degrees of freedom; None if it varies more than the sweep."""
    squares = math.fsum(term.weight**2 for term in comparison.terms)
    balance = math.fsum(term.weight for term in comparison.terms)
    balance = balance if abs(balance) > 1e-9 else 0.0
    prior = max(squares - balance**2 / pooled.cells_a_seed, EQUAL * squares) * pooled.variance
    rest = [value - balance * effect for value, effect in zip(values, effects, strict=True)]
    d, own = len(rest) - 1, statistics.variance(rest)
    if (
        d > 1
        and len(set(values)) > 1
        and float(fdtrc(d, pooled.prior_df, own / prior)) < UNLIKE / m
    ):
        return None

    variance = (pooled.prior_df * prior + d * own) / (pooled.prior_df + d)
    df = min(pooled.prior_df + d, pooled.df)
    if not balance:
        return variance, df
    of_seeds = balance**2 * statistics.variance(pooled.effects.values())
    both = variance + of_seeds
    return both, both**2 / (variance**2 / df + of_seeds**2 / (len(pooled.effects) - 1))


@cache
def _t(df: float, level: float) -> float:
    """What Student's t with so many degrees of freedom exceeds with probability `level`."""
    return -float(stdtrit(df, level))


def power(sample: Sample, n: int, edge: float, side: int, level: float) -> float:
    """How probably n seeds show it, if mean and spread are the sample's: a noncentral t's tail."""
    beyond = side * (sample.mean - edge)
    df = sample.df + n - sample.n
    shift, quantile = beyond / sample.sd * math.sqrt(n), _t(df, level)
    below = float(nctdtr(df, shift, quantile))
    # as scipy answers now and then for a shift above 37; then Abramowitz and Stegun 26.7.10
    if math.isnan(below):
        centred = quantile * (1 - 0.25 / df) - shift
        below = float(ndtr(centred / math.sqrt(1 + quantile**2 / (2 * df))))
    return 1 - below
