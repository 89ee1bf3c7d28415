"""Images drawn in a random order of each class, the same on all platforms and in all versions."""

import numpy as np
from numpy.typing import NDArray

__all__ = [
    "TEST_SUBSET",
    "TRAINING",
    "TRAIN_SUBSET",
    "VALIDATION",
    "in_order_of_draw",
    "rank_in_class",
    "rows_used",
    "subset",
]

# One stream of random numbers per purpose, so that a smaller subset does not change who is held out
# for another reason.
TRAIN_SUBSET, TEST_SUBSET, VALIDATION, TRAINING = 0, 1, 2, 4


def rows_used(labels: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the rows of labels [M] or [M, C] that are not to be skipped."""
    return np.flatnonzero(labels >= 0 if labels.ndim == 1 else (labels >= 0).any(1))


def rank_in_class(labels: NDArray[np.int64], seed: int, purpose: int) -> NDArray[np.int64]:
    """Return the position of each image in a random order of its class, from 0.

    Raw bits of PCG64, because numpy keeps those the same on all platforms and in all versions; what
    its distributions make of them may change.
    """
    bits = np.random.PCG64(np.random.SeedSequence([seed, purpose])).random_raw(len(labels))
    order = np.lexsort((bits, labels))
    ordered = labels[order]
    ranks = np.empty(len(labels), dtype=np.int64)
    ranks[order] = np.arange(len(labels)) - np.searchsorted(ordered, ordered)
    return ranks


def subset(
    labels: NDArray[np.int64], count: int | None, seed: int, purpose: int
) -> NDArray[np.int64]:
    """Draw `count` rows, sorted, as many of each class as can be.

    A class that is too small gives all it has. Each class's first image, then each one's second,
    and so on: a smaller subset lies within a larger one. Of images that may have several labels,
    whichever come.
    """
    if count is None:
        return rows_used(labels)
    return np.sort(in_order_of_draw(labels, seed, purpose)[:count])


def in_order_of_draw(labels: NDArray[np.int64], seed: int, purpose: int) -> NDArray[np.int64]:
    """Return all rows that are not to be skipped, as `subset` draws them: the first come first."""
    rows = rows_used(labels)
    classes = labels[rows] if labels.ndim == 1 else np.zeros(len(rows), np.int64)
    ranks = rank_in_class(classes, seed, purpose)
    return rows[np.lexsort((classes, ranks))]
