"""What has to be shown for each verdict on one comparison of means: one-sided tests.

The rules are in orchestrator/verdicts/means.py.
"""

import math
from dataclasses import dataclass
from typing import Literal

from orchestrator.verdicts.judged import Verdict
from orchestrator.verdicts.sample import Sample, power
from search_spaces.claims import Comparison

__all__ = ["Test", "Tests"]

Tests = list[tuple[float, int, float]]  # (edge, side, level), one-sided, which must all pass


@dataclass(frozen=True)
class Test:
    """The tests of one comparison out of the m of its claim."""

    comparison: Comparison
    m: int
    margin: float | None

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

    def decide(self, sample: Sample, level: float) -> Verdict:
        """Return the verdict of one look."""
        if all(sample.shows(*test) for test in self.tests(sample.mean, level)):
            return self.leans(sample.mean)
        alike = self.alike(level)
        return "alike" if alike and all(sample.shows(*test) for test in alike) else "undecided"

    def interval(self, sample: Sample, level: float) -> tuple[float, float]:
        """Return the interval of `Judged`."""
        verdict = self.decide(sample, level)
        if verdict == "alike":
            below = over = level / self.m
        elif self.comparison.relation == "above":
            below, over = level, level / self.m
        else:
            below = over = level if verdict == "reproduced" else level / (2 * self.m)
        return sample.mean - sample.margin(below), sample.mean + sample.margin(over)

    def p(self, sample: Sample) -> float:
        """The p-value of what is claimed, of one look."""
        sides = (1,) if self.comparison.relation == "above" else (1, -1)
        return max(sample.p(edge, side) for edge, side in zip(self.edges, sides, strict=True))

    def power(self, sample: Sample, n: int, level: float) -> float:
        """Return how probably n seeds decide, as the estimate points or as alike.

        That is if the truth is as estimated. For two tests it is the least that it can be, which is
        near the truth where it matters.
        """

        def of(tests: Tests) -> float:
            return math.fsum(power(sample, n, *test) for test in tests) - (len(tests) - 1)

        alike = self.alike(level)
        points = of(self.tests(sample.mean, level))
        if not alike or abs(sample.mean) >= (self.margin or 0.0):
            return points
        return max(points, of(alike))

    def alike(self, level: float) -> Tests:
        """The tests that show both sides to be alike; none where that is not asked."""
        if self.margin is None:
            return []
        return [(-self.margin, 1, level / self.m), (self.margin, -1, level / self.m)]

    def tests(self, estimate: float, level: float) -> Tests:
        """The tests of what the estimate says."""
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
