"""Condition 4.1 and Theorem 4.2: how many unlabeled inputs does it take to do with 8 labels?

Expected ordering: error falls and alignment rises with unlabeled inputs; 250 suffice at SNR 0.2,
where n0 SNR^2 is 10. Half the SNR takes four times as many. Where n0 SNR^2 is far below 1,
pre-training is as bad as none. The theorem hides constants and logarithms: with 1,000 unlabeled
inputs at SNR 0.1 we measured an error of 6 +- 9 % (16 of 20 runs fit their labels).

Cost: 16 runs a seed, about 6 s together on one core of an AMD EPYC.

    simclr-orch ablate unlabeled-data --preset P --seeds 29 --until-decided --max-seeds 29
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Event
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    FEW_LABELS,
    GENERATED,
    NOTE,
    OF_LOST,
    OF_RATES,
    below,
    learns_in,
    nearly_always,
    ratios,
)
from search_spaces.values import Value

__all__ = ["UNLABELED_DATA"]

_RATIOS = ("0.1", "0.2")
_COUNTS = ("10", "24", "50", "100", "250", "500", "1000")
_NONE = "none (direct)"
_INPUTS: dict[str, dict[str, Value]] = {
    **{count: {"pretrain.method": "simclr", "data.unlabeled": int(count)} for count in _COUNTS},
    _NONE: {"pretrain.method": "none"},
}
_FEWEST, _FEW = "10", "24"  # n0 SNR^2 of 0.1 and 0.24 at SNR 0.1

_LAYOUT = Layout(
    axes=(
        Axis(name="signal-to-noise ratio", labels=_RATIOS),
        Axis(name="unlabeled inputs", labels=tuple(_INPUTS), log=True),
    ),
    cells=grid(ratios(*_RATIOS), _INPUTS),
    note=f"{NOTE} {OF_RATES} {OF_LOST} Every run has 8 labels.",
)


def _guesses(count: str) -> Comparison:
    """Whether runs at SNR 0.1 with so many unlabeled inputs guess."""
    return nearly_always(("0.1", count), Event(value=40), metric="test_error")


UNLABELED_DATA = Ablation(
    name="unlabeled-data",
    title="Unlabeled inputs at 8 labels",
    question="How many unlabeled inputs does it take to do with 8 labels?",
    source="Condition 4.1 and Theorem 4.2",
    fixed={"data.labels": FEW_LABELS},
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="test_error",
    figure="lines",
    claims=(
        Claim.alike(
            "With 250 unlabeled inputs or more, 8 labels lead to an error below 1 % in 9 of 10 "
            "runs or more (SNR 0.2: n0 SNR^2 is 10 or more).",
            "Condition 4.1, Theorem 4.2",
            *(learns_in(("0.2", count)) for count in ("250", "500", "1000")),
            where=GENERATED,
        ),
        Claim.alike(
            "Half the signal-to-noise ratio takes four times as many unlabeled inputs: at SNR 0.1 "
            "the error is below 1 % with 1000 in 9 of 10 runs or more.",
            "Condition 4.1, Theorem 4.2",
            learns_in(("0.1", "1000")),
            where=GENERATED,
        ),
        Claim.alike(
            "With far too few unlabeled inputs pre-training does not help: at SNR 0.1 with 10 (n0 "
            "SNR^2 is 0.1) the error is above 40 % in 9 of 10 runs or more, as without "
            "pre-training.",
            "Condition 4.1",
            *(_guesses(count) for count in (_FEWEST, _NONE)),
        ),
        Claim.alike(
            "Nor does it help with 24 (n0 SNR^2 is 0.24): the error is above 40 % in 9 of 10 runs "
            "or more.",
            "Condition 4.1, with our constant",
            _guesses(_FEW),
        ),
        Claim.alike(
            "With either number of unlabeled inputs the filters do not find the signal: "
            "cosine below 0.5.",
            "Lemma 5.2 and Condition 4.1",
            *(below(("0.1", count), 0.5, metric="alignment") for count in (_FEWEST, _FEW)),
        ),
    ),
    workload="two-layer-cnn",
    counts_if="converged",
)
