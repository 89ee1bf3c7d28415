"""How sure a number over test examples is: the percentile bootstrap.

Examples that a statistic cannot tell apart are of one kind. How often each kind comes up when N
examples are drawn with replacement is multinomial, so drawing these counts is the bootstrap itself,
whatever the number of examples: an accuracy has two kinds, right and wrong, and its draws are
binomial.

The interval answers for other test examples and for nothing else: the network, its seed and its
training images are as they were. Where all examples are right, or none, every draw says the same
and the interval has no width; up to 3 / N of other examples may then still be otherwise ("rule of
three").
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

__all__ = ["CONFIDENCE", "DRAWS", "bootstrap_interval"]

CONFIDENCE = 0.95
DRAWS = 1000
SEED = 0
MOST_COUNTS = 10_000_000  # held at once

Statistic = Callable[[NDArray[np.int64]], NDArray[np.float64]]


def bootstrap_interval(kinds: NDArray[np.int64], statistic: Statistic) -> tuple[float, float]:
    """Return the 95 % interval of a statistic of how many examples there are of each kind [K].

    `statistic` is given the counts of many draws [draws, K] and returns its values [draws]; NaN
    leaves a draw out. Equal counts give equal intervals.
    """
    generator = np.random.default_rng(SEED)
    total = int(kinds.sum())

    at_once = max(1, MOST_COUNTS // len(kinds))
    sizes = [min(at_once, DRAWS - start) for start in range(0, DRAWS, at_once)]
    values = np.concatenate(
        [statistic(generator.multinomial(total, kinds / total, size)) for size in sizes]
    )

    low, high = np.nanquantile(values, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    return float(low), float(high)
