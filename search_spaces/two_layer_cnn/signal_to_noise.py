"""Lemma 5.2: how many unlabeled inputs does pre-training need to find the signal?

Expected ordering: pre-training is a power method whose top eigenvector is the signal once n0 SNR^2
is large. The cosine of filters and signal is one curve over n0 SNR^2: at least 0.9 from 2.5 on, at
most 0.5 up to 0.25.

Cost: 28 runs a seed, about 15 s together on one core of an AMD EPYC; nothing is fine-tuned.

    simclr-orch ablate signal-to-noise --preset P

The curve drawn, (1 + 1 / (2 n0 SNR^2))^(-1/2), is our derivation: in high dimension the noise of
each input adds eigenvalues of +- sigma_p^2 d / n0 to the signal's 2 ||mu||^2. The lemma only says
that the others are of smaller order. Where n0 SNR^2 is below 1, filters stay under the curve, as
they grow out of the tiny scale before the first eigenvector outruns the next: 0.15 at SNR 0.05 and
0.29 at 0.07 where it is 0.25 (5 seeds).
"""

import math
from collections.abc import Callable

from search_spaces.ablation import Ablation, Overlay
from search_spaces.claims import Claim, Place, above, similar
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    NOTE,
    ONLY_PRETRAINED,
    below,
    ratios,
)
from search_spaces.values import Value

__all__ = ["SIGNAL_TO_NOISE", "where"]

_RATIOS = ("0.05", "0.07", "0.1", "0.15", "0.2", "0.3", "0.4")
_UNLABELED = ("50", "100", "250", "1000")
_INPUTS: dict[str, dict[str, Value]] = {
    count: {"data.unlabeled": int(count)} for count in _UNLABELED
}

# Pairs of nearly equal n0 SNR^2, with different SNR and n0.
_SAME_FOUND: tuple[tuple[Place, Place], ...] = (
    (("0.05", "1000"), ("0.1", "250")),
    (("0.1", "1000"), ("0.2", "250")),
    (("0.15", "1000"), ("0.3", "250")),
    (("0.2", "1000"), ("0.4", "250")),
)
_SAME_LOST: tuple[tuple[Place, Place], ...] = (
    (("0.05", "100"), ("0.07", "50")),
    (("0.07", "100"), ("0.1", "50")),
)
_SAME = 0.05  # cosines that are no farther apart count as the same

_LAYOUT = Layout(
    axes=(
        Axis(name="signal-to-noise ratio", labels=_RATIOS, log=True),
        Axis(name="unlabeled inputs", labels=_UNLABELED, log=True),
    ),
    cells=grid(ratios(*_RATIOS), _INPUTS),
    note=f"{NOTE} Filters are measured after pre-training, without fine-tuning.",
)


def where(holds: Callable[[float], bool]) -> tuple[Place, ...]:
    """Return the cells whose n0 SNR^2 is as asked."""
    return tuple(
        cell.at
        for cell in _LAYOUT.cells
        if holds(round(int(cell.at[1]) * float(cell.at[0]) ** 2, 9))
    )


def _predicted(unlabeled_snr2: float) -> tuple[float, float]:
    return unlabeled_snr2, 1 / math.sqrt(1 + 1 / (2 * unlabeled_snr2))


SIGNAL_TO_NOISE = Ablation(
    name="signal-to-noise",
    title="Unlabeled inputs, signal-to-noise ratio and alignment",
    question="How many unlabeled inputs does pre-training need to find the signal?",
    source="Lemma 5.2",
    fixed=ONLY_PRETRAINED,
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="alignment",
    figure="points",
    claims=(
        Claim.alike(
            "With enough unlabeled inputs (n0 SNR^2 above 2.5) pre-trained filters align "
            "with the signal: cosine above 0.9.",
            "Lemma 5.2",
            *(above(at, 0.9) for at in where(lambda found: found > 2.5)),
        ),
        Claim.alike(
            "A cosine of 0.9 is reached where n0 SNR^2 is 2.5.",
            "Lemma 5.2, with our constant",
            *(above(at, 0.9) for at in where(lambda found: found == 2.5)),
        ),
        Claim.alike(
            "With too few unlabeled inputs (n0 SNR^2 up to 0.25) they do not: cosine below 0.5.",
            "Lemma 5.2 and Condition 4.1",
            *(below(at, 0.5) for at in where(lambda found: found <= 0.25)),
        ),
        Claim.alike(
            "Only n0 SNR^2 matters where it is 2.5 or more: equal ones lead to cosines within "
            "0.05.",
            "Lemma 5.2 and Condition 4.1",
            *(similar(one, other, within=_SAME) for one, other in _SAME_FOUND),
        ),
        Claim.alike(
            "Only n0 SNR^2 matters where it is 0.5 or less, too: equal ones lead to cosines "
            "within 0.05.",
            "Lemma 5.2 and Condition 4.1, beyond where they hold",
            *(similar(one, other, within=_SAME) for one, other in _SAME_LOST),
        ),
    ),
    workload="two-layer-cnn",
    against="unlabeled_snr2",
    overlays=(
        Overlay(
            label="(1 + 1 / (2 n0 SNR^2))^(-1/2), our prediction",
            points=tuple(_predicted(10 ** (power / 10)) for power in range(-10, 24)),
        ),
    ),
    counts_if="pretrain_converged",
)
