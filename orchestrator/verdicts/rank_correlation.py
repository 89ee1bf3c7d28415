"""How alike two tables order their cells: the rank correlation of our means with the paper's.

It is Spearman's, and its interval is that of Bonett and Wright (2000): Fisher's z with standard
error sqrt((1 + rho^2 / 2) / (n - 3)), for n cells. It answers for other cells of the same kind and
other seeds at once, because a cell's mean brings the noise of its seeds along. It takes cells as
independent, which neighbours in a grid are not quite, so it is rather too narrow there.
"""

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from search_spaces.claims import Place

__all__ = ["Similarity", "rank_correlation"]

FEWEST_CELLS = 4  # with 3 the standard error is infinite


@dataclass(frozen=True, kw_only=True)
class Similarity:
    """Spearman's rho over so many cells and its interval; `reason` says why there is none."""

    cells: int
    rho: float | None = None
    low: float | None = None
    high: float | None = None
    reason: str = ""
    method: str = "Spearman's rho, Bonett-Wright interval"


def rank_correlation(
    ours: Mapping[Place, Sequence[float]], paper: Mapping[Place, float], *, confidence: float = 0.95
) -> Similarity:
    """Correlate over the cells that have values of ours, one a seed, and one of the paper's.

    Raises ValueError for a value that is not finite.
    """
    shared = [at for at, values in ours.items() if len(values) and at in paper]
    if len(shared) < FEWEST_CELLS:
        return Similarity(cells=len(shared), reason=f"needs {FEWEST_CELLS} cells that both have")

    means, reported = [statistics.fmean(ours[at]) for at in shared], [paper[at] for at in shared]
    for name, column in (("ours", means), ("the paper's", reported)):
        if not all(map(math.isfinite, column)):
            raise ValueError(f"{name}: {column!r} are not all finite")
        if len(set(column)) == 1:
            return Similarity(cells=len(shared), reason=f"{name} are all equal")

    rho = min(1.0, max(-1.0, _spearman(means, reported)))
    low, high = _interval(rho, len(shared), confidence)
    return Similarity(cells=len(shared), rho=rho, low=low, high=high)


def _spearman(one: Sequence[float], other: Sequence[float]) -> float:
    """Correlate ranks as scipy.stats.spearmanr does, which takes a second to import."""
    return float(np.corrcoef(_ranks(one), _ranks(other))[0, 1])


def _ranks(values: Sequence[float]) -> NDArray[np.float64]:
    """Rank values from 1 on; equal ones share the mean of their ranks."""
    _, which, counts = np.unique(values, return_inverse=True, return_counts=True)
    return np.asarray((np.cumsum(counts) - (counts - 1) / 2)[which], np.float64)


def _interval(rho: float, n: int, confidence: float) -> tuple[float, float]:
    # Perfect order is the last step of a scale with steps of 12 / (n^3 - n), and stands for all
    # from half a step below.
    most = 1 - 6 / (n**3 - n)
    z = math.atanh(max(-most, min(most, rho)))
    margin = float(ndtri((1 + confidence) / 2)) * math.sqrt((1 + rho * rho / 2) / (n - 3))
    low, high = math.tanh(z - margin), math.tanh(z + margin)
    return (-1.0 if rho <= -most else low), (1.0 if rho >= most else high)
