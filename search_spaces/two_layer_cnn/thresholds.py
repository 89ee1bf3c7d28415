"""How many labels a curve of errors stands for, and how that moves with the signal-to-noise ratio.

Between guessing (an error of 50 %) and learning (0 %) a curve over log2 of the labels encloses an
area: what it takes from the fewest labels on until the error is 25 %, on average over the noise of
the curve. That is the estimate of Spearman and Karber of a threshold, a weighted sum of errors; a
least-squares slope of such thresholds is one, too. So both are ordinary comparisons between cells,
with one value for each seed, and spread over seeds is their uncertainty.
"""

import math
from collections.abc import Mapping, Sequence

from search_spaces.claims import Place

__all__ = ["octaves", "slope", "weighted"]

_GUESS = 50.0  # the error in % of a network that guesses


def octaves(counts: Sequence[int]) -> dict[int, float]:
    """Return the weights of errors in % whose sum is log2(threshold / fewest labels).

    The counts of labels are increasing. Below the first the error counts as 50 %, beyond the last
    as 0; in between the curve is drawn straight over log2.
    """
    places = [math.log2(count) for count in counts]
    weights = {}
    for index, count in enumerate(counts):
        before = places[index - 1] if index else places[index]
        after = places[index + 1] if index + 1 < len(places) else places[index]
        weights[count] = (after - before) / 2 / _GUESS
    return weights


def slope(ratios: Sequence[float]) -> dict[float, float]:
    """Return the weights of values at these ratios whose sum is their slope over log2(ratio)."""
    centre = math.fsum(map(math.log2, ratios)) / len(ratios)
    offsets = {ratio: math.log2(ratio) - centre for ratio in ratios}
    total = math.fsum(offset**2 for offset in offsets.values())
    return {ratio: offset / total for ratio, offset in offsets.items()}


def weighted(*sums: tuple[float, Mapping[Place, float]]) -> dict[Place, float]:
    """Add up weighted sums of cells, each times a factor; cells that cancel are left out."""
    total: dict[Place, float] = {}
    for factor, weights in sums:
        for at, weight in weights.items():
            total[at] = total.get(at, 0.0) + factor * weight
    return {at: weight for at, weight in total.items() if weight}
