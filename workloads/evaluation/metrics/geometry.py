"""Numbers of features and of a linear head: how many dimensions are used, and what lies near what.

Effective rank: Roy & Vetterli 2007; of representations Garrido et al. 2023 ("RankMe"), who do not
centre. Alignment and uniformity: Wang & Isola 2020. The spectrum of a linear head: Figure B.3.

Shapes: N features of D dimensions, Q of them asked for their K neighbours.
"""

import numpy as np
from numpy.typing import NDArray
from torch import nn

from workloads.representation import HeadSpectrum
from workloads.simclr.batch_norm import GlobalBatchNorm

__all__ = [
    "Features",
    "alignment",
    "effective_rank",
    "head_spectrum",
    "nearest",
    "normalised",
    "participation_ratio",
    "singular_values",
    "uniformity",
    "varies",
]

Features = NDArray[np.float32] | NDArray[np.float64]
Rows = NDArray[np.int64]


def singular_values(features: Features, rounding: float = 0.0) -> NDArray[np.float64]:
    """Compute the singular values of centred features [N, D], in decreasing order.

    All are 0 where features differ by less than `rounding` of their norm.
    """
    if not varies(features, rounding):
        return np.zeros(min(features.shape))
    centred = features - features.mean(axis=0, dtype=np.float64)
    found: NDArray[np.float64] = np.linalg.svd(centred, compute_uv=False)
    return found


def effective_rank(values: NDArray[np.float64]) -> float:
    """Compute exp of the entropy of singular values that are scaled to sum to 1.

    It is k for k equal ones, and 0 where all are 0.
    """
    if not values.any():
        return 0.0
    share = values[values > 0] / values.sum()
    return float(np.exp(-(share * np.log(share)).sum()))


def participation_ratio(values: NDArray[np.float64]) -> float:
    """Compute (sum v)^2 / sum v^2 of the variances v along principal axes, from singular values.

    v are their squares. It is 0 where all are 0.
    """
    variances = values**2
    return float(variances.sum() ** 2 / (variances**2).sum()) if values.any() else 0.0


def alignment(first: Features, second: Features) -> float:
    """Compute the mean squared distance of l2-normalised features [N, D] of an image's two views.

    It is 0 when views agree, and at most 4.
    """
    return float(((normalised(first) - normalised(second)) ** 2).sum(axis=1).mean())


def uniformity(features: Features) -> float:
    """Compute log of the mean of exp(-2 d^2) over pairs of l2-normalised features [N, D].

    d is the distance of a pair: 0 where all features are one point.
    """
    unit = normalised(features)
    rows, columns = np.triu_indices(len(unit), k=1)
    squared = np.maximum(2 - 2 * (unit @ unit.T)[rows, columns], 0)
    return float(np.log(np.exp(-2 * squared).mean()))


def normalised(features: Features) -> NDArray[np.float64]:
    """Scale the rows of features [N, D] to length 1; zeros stay zeros."""
    wide = features.astype(np.float64)
    unit: NDArray[np.float64] = wide / np.maximum(
        np.linalg.norm(wide, axis=1, keepdims=True), 1e-12
    )
    return unit


def varies(features: Features, rounding: float) -> bool:
    """Tell whether features [N, D] differ by more than `rounding` of their norm."""
    wide = features.astype(np.float64)
    return bool(np.linalg.norm(wide - wide.mean(axis=0)) > rounding * np.linalg.norm(wide))


def nearest(features: Features, queries: Rows, count: int) -> Rows:
    """Find the features nearest to each query row by cosine, itself left out: rows [Q, K].

    K is `count`, clipped to the other features.
    """
    unit = normalised(features)
    cosines = unit[queries] @ unit.T
    cosines[np.arange(len(queries)), queries] = -np.inf
    found: Rows = np.argsort(-cosines, axis=1, kind="stable")[:, : min(count, len(features) - 1)]
    return found


def head_spectrum(head: nn.Module | None) -> tuple[HeadSpectrum | None, str | None]:
    """Compute the spectrum of W of a linear projection head (Figure B.3), or say why there is none.

    W is the layer's weight without what BN after it scales, as the paper's g(h) = W h. The paper
    plots "squared real eigenvalues" and leaves open what became of complex ones: here their squared
    modulus, which is the same for real ones.
    """
    if head is None:
        return None, "no projection head: nothing is said of z"

    layers = [module for module in head.modules() if not [*module.children()]]
    linear = [layer for layer in layers if isinstance(layer, nn.Linear)]
    if not linear:
        return None, "the head has no linear layer: no spectrum of it"
    known = (nn.Linear, nn.BatchNorm1d, GlobalBatchNorm)
    if len(linear) > 1 or not all(isinstance(layer, known) for layer in layers):
        return None, f"the head is not linear ({len(linear)} linear layers): no spectrum of it"

    weight = linear[0].weight.detach().double().cpu().numpy()
    outputs, inputs = weight.shape
    if outputs == inputs:
        squared = np.sort(np.abs(np.linalg.eigvals(weight)) ** 2)[::-1]
        return HeadSpectrum("eigenvalues", squared, (outputs, inputs)), None
    squared = np.sort(np.linalg.svd(weight, compute_uv=False) ** 2)[::-1]
    return HeadSpectrum("singular values", squared, (outputs, inputs)), None
