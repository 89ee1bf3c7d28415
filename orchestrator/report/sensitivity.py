"""What a comparison's own seeds say alone, without the spread that the cells of a sweep share."""

import math
import statistics

from scipy.special import stdtr

from orchestrator.verdicts import Values
from search_spaces import Comparison

__all__ = ["own_p"]

FEWEST_SEEDS = 2


def own_p(comparison: Comparison, values: Values) -> float | None:
    """Return p of a paired t-test of the comparison's own values: that it does not hold.

    It is one-sided, or the larger of the two one-sided ones of "within". None for rates, for fewer
    than two seeds, and for values without any spread of their own.
    """
    if comparison.event is not None:
        return None
    columns = [(term.weight, values.get((term.at, term.metric), {})) for term in comparison.terms]
    seeds = sorted(set.intersection(*(set(column) for _, column in columns)))
    if len(seeds) < FEWEST_SEEDS:
        return None
    sums = [math.fsum(weight * column[seed] for weight, column in columns) for seed in seeds]
    sd = statistics.stdev(sums)
    if sd <= 1e-9 * max(map(abs, sums)):
        return None
    error = sd / math.sqrt(len(sums))
    mean, bound = statistics.fmean(sums), comparison.bound
    beyond = [mean - bound] if comparison.relation == "above" else [bound - mean, bound + mean]
    return max(float(stdtr(len(sums) - 1, -one / error)) for one in beyond)
