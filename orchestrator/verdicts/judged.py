"""What judging one comparison takes, and what it gives."""

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

from orchestrator.verdicts.looks import Look, Looks
from orchestrator.verdicts.spread import Spread
from search_spaces.claims import Comparison, Place, Term
from workloads.quantity import Quantity

__all__ = [
    "Evidence",
    "Judged",
    "Lost",
    "Quantities",
    "Schedule",
    "Values",
    "Verdict",
    "is_contrast",
    "limits_of",
]

Verdict = Literal["reproduced", "contradicted", "alike", "undecided", "not asked"]
# (cell, metric or None for its own) -> seed -> value
Values = Mapping[tuple[Place, str | None], Mapping[int, float]]
# cell -> seed that ended without a value that counts -> the word why: "diverged", "not converged",
# "failed"
Lost = Mapping[Place, Mapping[int, str]]
# (cell, metric or None for its own) -> what is measured: its unit and limits, and which way is up
Quantities = Mapping[tuple[Place, str | None], Quantity]

UNKNOWN = Quantity("value")
MARGINS = {"%": 1.0}  # by unit: how far apart is called alike where a comparison does not say


@dataclass(frozen=True, kw_only=True)
class Judged:
    """One comparison with its verdict, and the interval from which this can be read.

    `seeds` are those that were judged and `estimate` is their mean, or their rate. The interval is,
    above: [lower bound at alpha, upper bound at alpha / m], of the look that judged it, and both at
    alpha / m if alike; within: both bounds at alpha when reproduced, else at alpha / 2m. It ends
    where the metric does. There is none before the first look. `leans` is where the mean points.
    `more_seeds` would probably decide (power 0.8 if mean and spread are as estimated); None when
    nothing is left to decide or `note` says why it cannot be said. `tied`: every seed gave exactly
    the bound.

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
    test: str = ""
    df: float | None = None
    p: float | None = None
    lost: Lost = field(default_factory=dict)
    margin: float | None = None
    paper: float | None = None
    looks: tuple[Look, ...] = ()

    @property
    def of_paper(self) -> float | None:
        """The effect as a part of the paper's: 1 is as large, below 0 the other way round.

        None for what is no difference, and where the paper has none.
        """
        if self.estimate is None or not self.paper or not is_contrast(self.comparison):
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

    def after(self, seeds: int, fewest: int = 2) -> "Schedule":
        """Return the schedule once the looks are taken that so many seeds allow."""
        return replace(self, looks=self.looks.after(seeds, fewest=fewest))

    def share(self, seeds: int, fewest: int = 2) -> float:
        """Return what the look at so many seeds may spend; past the last look, what that may."""
        return self.level * self.looks.share(seeds, fewest=fewest)

    def later(self, available: int, fewest: int, most: int) -> tuple[list[int], range]:
        """Return the planned numbers of seeds that are still to come, and those after them.

        Past the last look nothing is planned; a longer plan would have about as much to spend at
        its own end.
        """
        planned = [n for n in self.looks.planned if n > available and n >= fewest]
        start = max(available, *self.looks.planned[-1:], fewest - 1) + 1
        return planned, range(start, available + most + 1)


@dataclass(frozen=True)
class Evidence:
    """All that is known: values and lost runs of cells, and what the whole sweep says of both."""

    values: Values
    lost: Lost
    spread: Spread | None
    quantities: Quantities

    def column(self, term: Term) -> Mapping[int, float]:
        """Return a term's value for each seed."""
        return self.values.get((term.at, term.metric), {})

    def quantity(self, term: Term) -> Quantity:
        """Return what a term measures."""
        return self.quantities.get((term.at, term.metric), UNKNOWN)

    def limits(self, comparison: Comparison) -> tuple[float, float]:
        """Return the least and the largest that a weighted sum can be."""
        return limits_of(comparison, self.quantity)

    def margin(self, comparison: Comparison) -> float | None:
        """Return how far apart two sides may be and still be called alike.

        None where that is not asked: the comparison is no plain "a beats b", or nothing says it.
        """
        if comparison.relation != "above" or comparison.bound or not is_contrast(comparison):
            return None
        if comparison.margin is not None or comparison.event is not None:
            return comparison.margin
        units = {self.quantity(term).unit for term in comparison.terms}
        return MARGINS.get(units.pop()) if len(units) == 1 else None

    def lost_of(self, comparison: Comparison) -> Lost:
        """Return the runs that a comparison's cells have lost."""
        return {term.at: self.lost[term.at] for term in comparison.terms if self.lost.get(term.at)}


def limits_of(comparison: Comparison, quantity: Callable[[Term], Quantity]) -> tuple[float, float]:
    """Return the least and the largest that a sum of terms can be, of these quantities."""
    ends = [sorted(term.weight * end for end in quantity(term).ends) for term in comparison.terms]
    return math.fsum(low for low, _ in ends), math.fsum(high for _, high in ends)


def is_contrast(comparison: Comparison) -> bool:
    """Whether the weights add up to nothing: a difference, and not a value."""
    return abs(math.fsum(term.weight for term in comparison.terms)) < 1e-9
