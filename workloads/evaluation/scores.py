"""Accuracies from class scores."""

import numpy as np
from numpy.typing import NDArray

__all__ = ["top_k_accuracy"]


def top_k_accuracy(scores: NDArray[np.floating], labels: NDArray[np.int64], k: int) -> float:
    """Percentage of rows of scores [N, C] whose label is among the k highest; 100 when there are at most k classes."""
    k = min(k, scores.shape[1])
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    return 100 * float((best == labels[:, None]).any(1).mean())
