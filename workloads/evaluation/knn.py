"""Weighted k-nearest neighbours by cosine similarity."""

import numpy as np
import torch
from numpy.typing import NDArray

from workloads.evaluation.spec import KnnSpec

__all__ = ["knn_scores"]


def knn_scores(
    bank: NDArray[np.float32],
    labels: NDArray[np.int64],
    queries: NDArray[np.float32],
    *,
    classes: int,
    knn: KnnSpec,
    block: int = 256,
) -> NDArray[np.float32]:
    """Class scores [Q, C] of queries [Q, D] against a bank [N, D]: sum of exp(cosine / temperature) over k neighbours."""
    keys = torch.nn.functional.normalize(torch.from_numpy(bank), dim=1)
    of_keys = torch.from_numpy(labels)
    scores = []
    for start in range(0, len(queries), block):
        rows = torch.nn.functional.normalize(torch.from_numpy(queries[start : start + block]), dim=1)
        similarity, index = (rows @ keys.T).topk(min(knn.k, len(keys)), dim=1)
        # Relative to the nearest neighbour, so that no exponential overflows at a small temperature.
        weight = ((similarity - similarity[:, :1]) / knn.temperature).exp()
        scores.append(torch.zeros(len(rows), classes).scatter_add_(1, of_keys[index], weight))
    return torch.cat(scores).numpy()
