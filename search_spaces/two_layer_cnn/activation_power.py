"""Theorems 4.2 and 4.3: does a steeper activation, with q = 4 instead of 3, need more labels?

The activation is max(0, z)^q.

Expected ordering: direct training needs labels in proportion to 1 / SNR^q, so more with q = 4;
after SimCLR pre-training few labels suffice with either.

Cost: 40 runs a seed, about 6 s together on one core of an AMD EPYC.

    simclr-orch ablate activation-power --preset P --seeds 29 --until-decided --max-seeds 29

SNR is 0.3, where both thresholds lie among the numbers of labels: 1 to 4 / SNR^q is 37 to 148 for q
= 3 and 123 to 494 for 4.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Event, beats
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    ARMS,
    DIRECT,
    FEW_LABELS,
    GENERATED,
    LABELS,
    LEARNED,
    NOTE,
    OF_LOST,
    OF_RATES,
    SIMCLR,
    fails,
    fails_in,
    labels,
    learns,
    learns_in,
    nearly_always,
)
from search_spaces.values import Value

__all__ = ["ACTIVATION_POWER"]

_RATIO = "0.3"
_POWERS: dict[str, dict[str, Value]] = {
    power: {"network.power": int(power)} for power in ("3", "4")
}
_ENOUGH = tuple(count for count in LABELS if int(count) >= FEW_LABELS)

_LAYOUT = Layout(
    axes=(
        Axis(name="power q of the activation", labels=tuple(_POWERS)),
        Axis(name="labels", labels=LABELS, log=True),
        Axis(name="training", labels=tuple(ARMS)),
    ),
    cells=grid(_POWERS, labels(), ARMS),
    note=f"{NOTE} {OF_RATES} {OF_LOST}",
)

ACTIVATION_POWER = Ablation(
    name="activation-power",
    title="Power of the activation",
    question="Does a steeper activation need more labels, with and without pre-training?",
    source="Theorems 4.2 and 4.3",
    fixed={"data.signal_to_noise": float(_RATIO)},
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="test_error",
    figure="lines",
    claims=(
        Claim.alike(
            "Direct training needs labels in proportion to 1 / SNR^q: in 9 of 10 runs or more its "
            "test loss is at least 0.1 below 1 / SNR^q labels and at most 0.06 from 4 / SNR^q on.",
            "Theorem 4.3",
            *(fails_in((power, fails(_RATIO, int(power))[-1], DIRECT)) for power in _POWERS),
            *(
                nearly_always(
                    (power, learns(_RATIO, int(power))[0], DIRECT),
                    Event(side="below", value=LEARNED),
                    metric="test_loss",
                )
                for power in _POWERS
            ),
            where=GENERATED,
        ),
        Claim.alike(
            "Direct training needs more labels with q = 4 than with q = 3: its error is "
            "higher on average with 64 and with 128.",
            "Theorem 4.3",
            *(beats(("4", count, DIRECT), ("3", count, DIRECT)) for count in ("64", "128")),
        ),
        Claim.alike(
            "After SimCLR pre-training few labels suffice with either: from 8 labels on the error "
            "is below 1 % in 9 of 10 runs or more.",
            "Theorem 4.2",
            *(learns_in((power, count, SIMCLR)) for power in _POWERS for count in _ENOUGH),
            where=GENERATED,
        ),
    ),
    workload="two-layer-cnn",
    counts_if="converged",
)
