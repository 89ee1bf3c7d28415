"""Weighted k-nearest neighbours by cosine similarity."""

import itertools
from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from workloads.evaluation.metrics.scores import top_k_accuracy
from workloads.simclr.spec import KnnSpec

__all__ = ["chosen_knn", "knn_scores"]

BLOCK = 256  # queries whose similarities to the whole bank are in memory at a time


def knn_scores(
    bank: NDArray[np.float32],
    labels: NDArray[np.int64],
    queries: NDArray[np.float32],
    *,
    classes: int,
    knn: KnnSpec,
    block: int = BLOCK,
) -> NDArray[np.float32]:
    """Compute class scores [Q, C] of queries [Q, D] against a bank [N, D] with labels [N].

    Each is the sum of exp(cosine / temperature) over those of the k nearest that are of the class.
    """
    of_keys = torch.from_numpy(labels)
    scores = []
    for similarity, index in _neighbours(bank, queries, knn.k, block):
        weight = _weight(similarity, knn.temperature)
        scores.append(torch.zeros(len(weight), classes).scatter_add_(1, of_keys[index], weight))
    return torch.cat(scores).numpy()


def chosen_knn(
    bank: NDArray[np.float32],
    labels: NDArray[np.int64],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    classes: int,
    knn: KnnSpec,
    block: int = BLOCK,
) -> KnnSpec:
    """Choose k and temperature, of the choices of `knn`, by top-1 on validation features [Q, D].

    Among equals the smaller k, then the larger temperature. A field without choices keeps its
    value; without any, nothing is computed. Similarities are computed and sorted once for all
    pairs.
    """
    if not knn.k_choices and not knn.temperature_choices:
        return knn

    counts = sorted(knn.k_choices or (knn.k,))
    temperatures = sorted(knn.temperature_choices or (knn.temperature,))
    queries, expected = validation
    of_keys = torch.from_numpy(labels)
    # In this order, so that the first of equals is the one that is wanted.
    right = dict.fromkeys(itertools.product(counts, reversed(temperatures)), 0)

    start = 0
    for similarity, index in _neighbours(bank, queries, counts[-1], block):
        of_block = expected[start : start + block]
        start += block
        for temperature in temperatures:
            weight = _weight(similarity, temperature)
            scores, voted = torch.zeros(len(similarity), classes), 0
            for k in counts:  # each adds its neighbours to those of the smaller ones
                scores.scatter_add_(1, of_keys[index[:, voted:k]], weight[:, voted:k])
                voted = k
                accuracy = top_k_accuracy(scores.numpy(), of_block, 1)
                right[k, temperature] += round(accuracy * len(of_block) / 100)

    k, temperature = max(right, key=lambda pair: right[pair])  # the first of equals
    return knn.with_values({"k": k, "temperature": temperature})


def _neighbours(
    bank: NDArray[np.float32], queries: NDArray[np.float32], k: int, block: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """Of each block of queries, cosines and rows in the bank of the k nearest keys, both [B, k].

    The nearest come first.
    """
    keys = torch.nn.functional.normalize(torch.from_numpy(bank), dim=1)
    for start in range(0, len(queries), block):
        rows = torch.nn.functional.normalize(
            torch.from_numpy(queries[start : start + block]), dim=1
        )
        yield (rows @ keys.T).topk(min(k, len(keys)), dim=1)


def _weight(similarity: Tensor, temperature: float) -> Tensor:
    # Relative to the nearest neighbour, so that no exponential overflows at a small temperature.
    return ((similarity - similarity[:, :1]) / temperature).exp()
