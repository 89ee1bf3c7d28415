"""One comparison judged from its seeds: t-tests, looks that share their error, seeds missing.

A comparison has one value a seed: the weighted sum of its cells, over the seeds that all of them
finished. What a seed does to every cell alike cancels in it. The values of n seeds are judged by a
one-sample t-test, so one seed is never a verdict. With error level alpha, for one of a claim's m
comparisons:

- "above" is reproduced when the lower one-sided bound at alpha exceeds the comparison's bound, and
  contradicted when the upper one-sided bound at alpha / m is below it;
- "within" is reproduced when both one-sided tests at alpha put it inside (two one-sided tests,
  Schuirmann 1987), and contradicted when one of them at alpha / 2m puts it outside.

Seeds may be added until there is a verdict. Looking again and again at full alpha would find
anything in the end, so the numbers of seeds at which one looks are fixed before the first (`looks`,
to a maximum of K), and the look at n seeds has alpha ((n / K)^2 - (n' / K)^2), n' being the look
before: the spending of Kim and DeMets (1987), added up without assuming anything on how looks
depend on each other. The verdict is that of the first look that decides, whatever comes later.
Without `looks` all seeds are one look at full alpha: fair when their number was not chosen by
looking at results.

Values without any spread (accuracies are coarse, and cells that ask for the same run share it) are
no evidence of certainty, and t is not defined. Each is then only a sign: n equal values beyond a
bound have probability 2^-n at most when the median is at the bound, and that must not exceed the
level. Values that all equal the bound decide nothing.

The levels are those of normal differences. In simulations (benchmarks/verdicts.py) heavy tails cost
power, not validity, and accuracies in steps as coarse as their spread raise 5 % to 6 %. Lopsided
differences do harm: when one cell now and then collapses and the other never does, 10 to 20 % were
called better than on average they are, until a collapse was among the seeds. Such cells show as
outliers in the report's spread.
"""

import bisect
import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Literal

from scipy.special import nctdtr, ndtr, stdtrit

from orchestrator.verdicts.looks import Look, Looks
from search_spaces.claims import Comparison, Place

__all__ = ["Judged", "Lost", "Schedule", "Values", "Verdict", "judge_comparison"]

Verdict = Literal["reproduced", "contradicted", "alike", "undecided", "not asked"]
# (cell, metric or None for its own) -> seed -> value
Values = Mapping[tuple[Place, str | None], Mapping[int, float]]
# cell -> seed that ended without a value that counts -> the word why: "diverged", "not converged",
# "collapsed", "failed"
Lost = Mapping[Place, Mapping[int, str]]

POWER = 0.8  # with which the seeds still needed should decide
MOST_SEEDS = 1000
EQUAL = 1e-6  # of a cell's value: nearer values are equal, as float32 keeps no more
LEAST_LEFT = 1e-9  # of the level, below which nothing can be decided any more
TIES = 3  # seeds at exactly the bound after which more are not worth running


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One comparison with its verdict, and the interval from which this can be read.

    `seeds` are those that were judged and `estimate` is their mean. The interval is, above: [lower
    bound at alpha, upper bound at alpha / m], of the look that judged it; within: both bounds at
    alpha when reproduced, else at alpha / 2m. There is none before the first look, nor for equal
    values that are too few. `leans` is where the mean points. `more_seeds` would probably decide
    (power 0.8 if mean and spread are as estimated); None when nothing is left to decide or `note`
    says why it cannot be said. `tied`: every seed gave exactly the bound.

    `p` is the least level at which it would be reproduced, over all looks; `test` how it was found,
    with `df` degrees of freedom. `lost` are the runs that its cells have lost. `margin`: how far
    apart may be called alike. `paper` is the paper's own value of the comparison. `looks` are those
    that were taken, this one included.
    """

    comparison: Comparison
    seeds: tuple[int, ...]
    estimate: float | None
    low: float | None
    high: float | None
    verdict: Verdict
    leans: Verdict
    more_seeds: int | None
    tied: bool
    note: str
    test: str = "paired t"
    df: float | None = None
    p: float | None = None
    lost: Lost = field(default_factory=dict)
    margin: float | None = None
    paper: float | None = None
    looks: tuple[Look, ...] = ()

    @property
    def of_paper(self) -> float | None:
        """The effect as a part of the paper's: 1 is as large, below 0 the other way round."""
        if self.estimate is None or not self.paper:
            return None
        return self.estimate / self.paper


@dataclass(frozen=True)
class Schedule:
    """The looks, and the level that they share."""

    looks: Looks
    level: float

    def __post_init__(self) -> None:
        if not 0 < self.level < 0.5:
            raise ValueError(f"level {self.level!r}: must be between 0 and 0.5")

    def after(self, seeds: int) -> "Schedule":
        """Return the schedule once the looks are taken that so many seeds allow."""
        return replace(self, looks=self.looks.after(seeds))

    def share(self, seeds: int) -> float:
        """Return what the look at so many seeds may spend; past the last look, what that may."""
        return self.level * self.looks.share(seeds)


def judge_comparison(comparison: Comparison, m: int, values: Values, schedule: Schedule) -> Judged:
    """Look at one of a claim's m comparisons as often as its seeds allow, until a look decides.

    Raises ValueError for a value that is not finite.
    """
    test = _Test(comparison, m)
    paired, equal = _paired(comparison, values)
    seeds, sums = tuple(paired), tuple(paired.values())
    sample = _sample(sums, equal, test.edges)
    low = high = None
    verdict: Verdict = "undecided"

    taken = schedule.looks.due(len(seeds))
    for look in taken:
        share = schedule.level * look.share
        sample = _sample(sums[: look.seeds], equal, test.edges)
        verdict = test.decide(sample, share)
        low, high = test.interval(sample, share)
        if verdict != "undecided":
            break

    more, note = None, ""
    if verdict == "undecided":
        more, note = _outlook(test, sample, len(seeds), schedule.after(len(seeds)))
    return Judged(
        comparison=comparison,
        seeds=seeds[: sample.n],
        estimate=sample.mean if sample.n else None,
        low=low,
        high=high,
        verdict=verdict,
        leans=test.leans(sample.mean) if sample.n else "undecided",
        more_seeds=more,
        tied=sample.n >= TIES and sample.sd == 0 and sample.mean in test.edges,
        note=note,
        looks=tuple(look for look in taken if verdict == "undecided" or look.seeds <= sample.n),
    )


@dataclass(frozen=True)
class _Sample:
    """What a t-test needs of n values; `sd` is 0 only if all are equal."""

    n: int
    mean: float
    sd: float

    def margin(self, level: float) -> float:
        """Return how far a one-sided confidence bound at a level lies from the mean."""
        return _t(self.n - 1, level) * self.sd / math.sqrt(self.n)


@dataclass(frozen=True)
class _Test:
    """The tests of one comparison out of the m of its claim."""

    comparison: Comparison
    m: int

    @property
    def edges(self) -> tuple[float, ...]:
        """Where the comparison begins or ceases to be true."""
        bound = self.comparison.bound
        return (bound,) if self.comparison.relation == "above" else (-bound, bound)

    def leans(self, estimate: float) -> Literal["reproduced", "contradicted"]:
        """Return which verdict the estimate points to."""
        bound = self.comparison.bound
        inside = estimate > bound if self.comparison.relation == "above" else abs(estimate) < bound
        return "reproduced" if inside else "contradicted"

    def decide(self, sample: _Sample, level: float) -> Verdict:
        """Return the verdict of one look."""
        tests = self._tests(sample.mean, level)
        shown = all(_shows(sample, *test) for test in tests)
        return self.leans(sample.mean) if shown else "undecided"

    def interval(self, sample: _Sample, level: float) -> tuple[float, float] | tuple[None, None]:
        """Return the interval of `Judged`; for equal values one point, if they decide."""
        verdict = self.decide(sample, level)
        if sample.sd == 0:
            return (None, None) if verdict == "undecided" else (sample.mean, sample.mean)
        if self.comparison.relation == "above":
            below, over = level, level / self.m
        else:
            below = over = level if verdict == "reproduced" else level / (2 * self.m)
        return sample.mean - sample.margin(below), sample.mean + sample.margin(over)

    def power(self, sample: _Sample, n: int, level: float) -> float:
        """Return how probably n seeds decide as the estimate points, if the truth is as estimated.

        For two tests the least that it can be, which is near the truth where it matters.
        """
        powers = [_power(sample, n, *test) for test in self._tests(sample.mean, level)]
        return math.fsum(powers) - (len(powers) - 1)

    def _tests(self, estimate: float, level: float) -> list[tuple[float, int, float]]:
        """The one-sided tests (edge, side, level) that must all pass for what the estimate says."""
        bound = self.comparison.bound
        match self.comparison.relation, self.leans(estimate):
            case "above", "reproduced":
                return [(bound, 1, level)]
            case "above", _:
                return [(bound, -1, level / self.m)]
            case _, "reproduced":
                return [(-bound, 1, level), (bound, -1, level)]
            case _:
                side = 1 if estimate > 0 else -1
                return [(side * bound, side, level / (2 * self.m))]


def _paired(comparison: Comparison, values: Values) -> tuple[dict[int, float], float]:
    """The comparison's value for each seed that all its cells have, and how near two are equal."""
    columns = [
        (term.weight, values.get((term.at, term.metric), {}), term.at) for term in comparison.terms
    ]
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


def _sample(values: Sequence[float], equal: float, edges: Sequence[float]) -> _Sample:
    """Mean and spread; values that are equal but for rounding have none.

    Such values are at an edge if they are but for rounding.
    """
    if not values:
        return _Sample(0, 0.0, 0.0)

    n, mean = len(values), statistics.fmean(values)
    if max(values) - min(values) > equal:
        squares = math.fsum((value - mean) ** 2 for value in values)
        return _Sample(n, mean, math.sqrt(squares / (n - 1)))
    edge = min(edges, key=lambda edge: abs(mean - edge))
    return _Sample(n, edge if abs(mean - edge) <= equal else mean, 0.0)


@cache
def _t(df: int, level: float) -> float:
    """What Student's t with so many degrees of freedom exceeds with probability `level`."""
    return -float(stdtrit(df, level))


def _shows(sample: _Sample, edge: float, side: int, level: float) -> bool:
    """Whether the true mean is shown to be above (side 1) or below (side -1) the edge."""
    beyond = side * (sample.mean - edge)
    if sample.sd == 0:
        return beyond > 0 and 2.0**-sample.n <= level
    return beyond > sample.margin(level)


def _power(sample: _Sample, n: int, edge: float, side: int, level: float) -> float:
    """How probably n seeds show it, if mean and spread are the sample's: a noncentral t's tail."""
    beyond = side * (sample.mean - edge)
    if sample.sd == 0:
        return float(beyond > 0 and 2.0**-n <= level)

    df = n - 1
    shift, quantile = beyond / sample.sd * math.sqrt(n), _t(df, level)
    below = float(nctdtr(df, shift, quantile))
    # as scipy answers now and then for a shift above 37; then Abramowitz and Stegun 26.7.10
    if math.isnan(below):
        centred = quantile * (1 - 0.25 / df) - shift
        below = float(ndtr(centred / math.sqrt(1 + quantile**2 / (2 * df))))
    return 1 - below


def _outlook(
    test: _Test, sample: _Sample, available: int, schedule: Schedule
) -> tuple[int | None, str]:
    """How many more seeds than those available would probably decide; or None, and why."""
    if why_not := _no_outlook(test, sample, schedule):
        return None, why_not

    def decides(n: int) -> bool:
        return test.power(sample, n, schedule.share(n)) >= POWER

    note = ""
    if sample.sd == 0:
        note = "the same with every seed"
    elif schedule.looks.planned and available < schedule.looks.planned[0]:
        note = f"not judged before {schedule.looks.planned[0]} seeds"

    for n in schedule.looks.planned:
        if n > available and decides(n):
            return n - available, note
    # Past the last look nothing is planned; a longer plan would have about as much to spend at its
    # own end.
    beyond = range(max(available, *schedule.looks.planned[-1:], 1) + 1, available + MOST_SEEDS + 1)
    index = bisect.bisect_left(beyond, True, key=decides)
    if index == len(beyond):
        return None, f"too near the bound: more than {MOST_SEEDS} more seeds"
    return beyond[index] - available, note


def _no_outlook(test: _Test, sample: _Sample, schedule: Schedule) -> str:
    """Why it cannot be said how many seeds would decide; empty where it can."""
    if sample.n == 0:
        return "no seed has finished all of its cells"
    if sample.n == 1:
        return "one seed has no spread to judge by"
    if sample.sd == 0 and sample.mean in test.edges:
        return f"exactly {sample.mean:g} with every seed"
    if schedule.looks.left < LEAST_LEFT:
        return "its looks have spent the level"
    return ""
