"""Condition 4.1 and Theorems 4.2 and 4.3: does the dimension of a patch matter at equal SNR?

Expected ordering: not once it is large, for alignment depends on n0 SNR^2 only, and the threshold
of direct training on n SNR^q only. The theorems ask for a dimension above powers of n0 and n; where
it is far below, noise patches are no longer orthogonal to one another, and filters that fit one
input's noise meet that of others.

Cost: 20 runs a seed, about 10 s together on one core of an AMD EPYC.

    simclr-orch ablate patch-dimension --preset P --seeds 29 --until-decided --max-seeds 29

The condition suffices. That it is needed is not claimed by the paper; we ask whether small
dimensions do harm here. Inputs are always generated, whatever the preset's: images have a dimension
of their own. All runs count, those that do not reach the training loss, too.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Place, beats, similar
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    NOTE,
    OF_RATES,
    below,
    fails_in,
    learns_in,
)
from search_spaces.values import Value

__all__ = ["PATCH_DIMENSION"]


def _line(method: str, ratio: float, labels: int) -> dict[str, Value]:
    return {
        "pretrain.method": method,
        "data.signal_to_noise": ratio,
        "data.labels": labels,
    }


_LOW, _HIGH = "SimCLR, SNR 0.1, 8 labels", "SimCLR, SNR 0.2, 8 labels"
_FEW, _MANY = "direct, SNR 0.2, 64 labels", "direct, SNR 0.2, 512 labels"
_LINES: dict[str, dict[str, Value]] = {
    _LOW: _line("simclr", 0.1, 8),
    _HIGH: _line("simclr", 0.2, 8),
    _FEW: _line("none", 0.2, 64),
    _MANY: _line("none", 0.2, 512),
}
_DIMENSIONS: dict[str, dict[str, Value]] = {
    name: {"data.dimension": int(name)} for name in ("30", "100", "300", "1000", "3000")
}
_LARGE = ("1000", "3000")

_LAYOUT = Layout(
    axes=(
        Axis(name="training", labels=tuple(_LINES)),
        Axis(name="dimension d of a patch", labels=tuple(_DIMENSIONS), log=True),
    ),
    cells=grid(_LINES, _DIMENSIONS),
    note=f"{NOTE} {OF_RATES}",
)


def _pairs(line: str) -> tuple[Place, Place]:
    first, second = _LARGE
    return (line, first), (line, second)


PATCH_DIMENSION = Ablation(
    name="patch-dimension",
    title="Dimension of a patch",
    question="Does the dimension of a patch matter at an equal signal-to-noise ratio?",
    source="Condition 4.1 and Theorems 4.2 and 4.3",
    fixed={"data.name": "gaussian"},
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="test_error",
    figure="lines",
    claims=(
        Claim.alike(
            "Where the dimension is large, alignment depends on n0 SNR^2 only: cosines in 1,000 "
            "and in 3,000 dimensions lie within 0.02.",
            "Lemma 5.2 and Condition 4.1",
            *(similar(*_pairs(line), within=0.02, metric="alignment") for line in (_LOW, _HIGH)),
        ),
        Claim.alike(
            "After SimCLR pre-training 8 labels suffice at SNR 0.2 in either: the error is below 1 "
            "% in 9 of 10 runs or more.",
            "Theorem 4.2",
            *(learns_in((_HIGH, dimension)) for dimension in _LARGE),
        ),
        Claim.alike(
            "In either, direct training fails with 64 labels at SNR 0.2 (test loss of 0.1 or more) "
            "and learns with 512 (error below 1 %), in 9 of 10 runs or more.",
            "Theorem 4.3",
            *(fails_in((_FEW, dimension)) for dimension in _LARGE),
            *(learns_in((_MANY, dimension)) for dimension in _LARGE),
        ),
        Claim.alike(
            "In 30 dimensions, far fewer than the 250 unlabeled inputs, pre-training does not find "
            "a signal of SNR 0.1: cosine below 0.5, where n0 SNR^2 alone promises 0.91.",
            "Condition 4.1, beyond where it holds",
            below((_LOW, "30"), 0.5, metric="alignment"),
        ),
        Claim.alike(
            "In 100 dimensions few labels do not suffice as they do in 1,000: the error after "
            "SimCLR pre-training is higher on average.",
            "Condition 4.1, beyond where it holds",
            *(beats((line, "100"), (line, "1000")) for line in (_LOW, _HIGH)),
        ),
    ),
    workload="two-layer-cnn",
)
