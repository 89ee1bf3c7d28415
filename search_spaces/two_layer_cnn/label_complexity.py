"""Theorems 4.2 and 4.3: how many labels does fine-tuning need, with and without pre-training?

The pre-training is SimCLR's.

Expected ordering: after pre-training on 250 unlabeled inputs a few labels suffice, about as many at
every signal-to-noise ratio from 0.2 on. Without it, at least 1 / SNR^3 are needed, and 4 / SNR^3
suffice: below, the network fits its labels and guesses on new inputs (error 50 %, loss ln 2).

Cost: 100 runs a seed, about 10 s together on one core of an AMD EPYC.

    simclr-orch ablate label-complexity --preset P --seeds 29 --until-decided --max-seeds 29

The theorems promise a training loss of 0.01, too: a run that does not reach it counts as one that
did not do what is claimed of nine in ten. `pretraining-controls` asks how many reach it.
"""

import math
from itertools import pairwise
from typing import Literal

from search_spaces.ablation import Ablation, Overlay
from search_spaces.claims import Claim, Comparison, Event, Place, beats, wider_gap
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
    ratios,
)

__all__ = ["LABEL_COMPLEXITY"]

_RATIOS = ("0.1", "0.15", "0.2", "0.3", "0.4")
_ALIGNED = ("0.2", "0.3", "0.4")  # n0 SNR^2 of 10 and more, with 250 unlabeled inputs
_ENOUGH = tuple(count for count in LABELS if int(count) >= FEW_LABELS)
# n SNR^3 at the threshold of direct training: the middle of 1 to 4, which we measured
_THRESHOLD = 2.0

_LAYOUT = Layout(
    axes=(
        Axis(name="signal-to-noise ratio", labels=_RATIOS, log=True),
        Axis(name="labels", labels=LABELS, log=True),
        Axis(name="training", labels=tuple(ARMS)),
    ),
    cells=grid(ratios(*_RATIOS), labels(), ARMS),
    note=f"{NOTE} {OF_RATES} {OF_LOST}",
)


def _test_loss(at: Place, side: Literal["above", "below"], value: float) -> Comparison:
    return nearly_always(at, Event(side=side, value=round(value, 3)), metric="test_loss")


def _guesses(count: str) -> tuple[Comparison, Comparison]:
    """The test loss of an output of about 0 is ln 2."""
    at, guess = ("0.2", count, DIRECT), math.log(2)
    return _test_loss(at, "above", guess - 0.1), _test_loss(at, "below", guess + 0.1)


def _error(at: Place, side: Literal["above", "below"], value: float) -> Comparison:
    return nearly_always(at, Event(side=side, value=value), metric="test_error")


def _gap(ratio: str) -> tuple[Place, Place]:
    """What pre-training takes off the error at 64 labels."""
    return (ratio, "64", DIRECT), (ratio, "64", SIMCLR)


LABEL_COMPLEXITY = Ablation(
    name="label-complexity",
    title="Labels needed with and without pre-training",
    question="How many labels does fine-tuning need after SimCLR pre-training, "
    "and how many without?",
    source="Theorems 4.2 and 4.3",
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="test_error",
    figure="maps",
    claims=(
        Claim.alike(
            "After SimCLR pre-training few labels suffice: from 8 labels on the error is below 1 % "
            "in 9 of 10 runs or more (SNR 0.2).",
            "Theorem 4.2",
            *(learns_in(("0.2", count, SIMCLR)) for count in _ENOUGH),
            where=GENERATED,
        ),
        Claim.alike(
            "After SimCLR pre-training the test loss is at most 6 times the training loss of "
            "0.01 in 9 of 10 runs or more, from 8 labels on (SNR 0.2).",
            "Theorem 4.2",
            *(_test_loss(("0.2", count, SIMCLR), "below", LEARNED) for count in _ENOUGH),
            where=GENERATED,
        ),
        Claim.alike(
            "Direct training with too few labels fails: with up to 64 labels the error is above "
            "40 % in 9 of 10 runs or more (SNR 0.2).",
            "Theorem 4.3",
            *(_error(("0.2", count, DIRECT), "above", 40) for count in fails("0.2")),
        ),
        Claim.alike(
            "Direct training with enough labels succeeds: from 512 labels on the error is below 1 "
            "% in 9 of 10 runs or more (SNR 0.2).",
            "Theorem 4.3",
            *(learns_in(("0.2", count, DIRECT)) for count in learns("0.2")),
            where=GENERATED,
        ),
        Claim.alike(
            "Wherever direct training has too few labels, SimCLR pre-training leads to a "
            "lower error on average.",
            "Theorems 4.2 and 4.3: Theorem 4.2 asks for fewer labels than Theorem 4.3",
            *(
                beats((ratio, count, DIRECT), (ratio, count, SIMCLR))
                for ratio in _RATIOS
                for count in fails(ratio)
            ),
        ),
        Claim.alike(
            "The labels that direct training needs grow as the cube of the noise-to-signal ratio: "
            "in 9 of 10 runs or more its test loss is at least 0.1 below 1 / SNR^3 labels and at "
            "most 0.06 from 4 / SNR^3 on.",
            "Theorem 4.3",
            *(fails_in((ratio, fails(ratio)[-1], DIRECT)) for ratio in _RATIOS),
            *(
                _test_loss((ratio, learns(ratio)[0], DIRECT), "below", LEARNED)
                for ratio in _ALIGNED
            ),
            where=GENERATED,
        ),
        Claim.alike(
            "64 labels are enough for direct training at SNR 0.4 (error below 5 %), and too "
            "few at 0.2 (above 40 %), in 9 of 10 runs or more.",
            "Theorem 4.3",
            _error(("0.4", "64", DIRECT), "below", 5),
            _error(("0.2", "64", DIRECT), "above", 40),
            where=GENERATED,
        ),
        Claim.alike(
            "The labels needed after SimCLR pre-training do not depend on the "
            "signal-to-noise ratio as long as the unlabeled "
            "inputs suffice: 8 labels lead to an error below 1 % in 9 of 10 runs or more, at SNR "
            "0.2, 0.3 and 0.4.",
            "Theorem 4.2",
            *(learns_in((ratio, str(FEW_LABELS), SIMCLR)) for ratio in _ALIGNED),
            where=GENERATED,
        ),
        Claim.alike(
            "Direct training with too few labels overfits harmfully: it fits them and guesses on "
            "new inputs, with a test loss of ln 2 within 0.1 in 9 of 10 runs or more (SNR 0.2, up "
            "to 64 labels).",
            "Theorem 4.3",
            *(comparison for count in fails("0.2") for comparison in _guesses(count)),
        ),
        Claim.alike(
            "The advantage of pre-training is largest at low SNR: with 64 labels it takes more off "
            "the error at SNR 0.2 than at 0.3, and at 0.3 than at 0.4, on average.",
            "Theorems 4.2 and 4.3; abstract",
            *(wider_gap(_gap(low), _gap(high)) for low, high in pairwise(_ALIGNED)),
        ),
    ),
    workload="two-layer-cnn",
    overlays=(
        Overlay(
            label="2 / SNR^3 labels (Theorem 4.3 without its constant; 1 to 4 fit)",
            points=tuple((_THRESHOLD / ratio**3, ratio) for ratio in (0.125, 0.15, 0.2, 0.3, 0.4)),
            only=(DIRECT,),
        ),
    ),
    counts_if="converged",
)
