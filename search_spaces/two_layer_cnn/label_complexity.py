"""Theorems 4.2 and 4.3: how many labels does fine-tuning need, with and without pre-training?

The pre-training is SimCLR's.

Expected ordering: after pre-training on 250 unlabeled inputs a few labels suffice, about as many at
every signal-to-noise ratio from 0.2 on. Without it, at least 1 / SNR^3 are needed, and 4 / SNR^3
suffice: below, the network fits its labels and guesses on new inputs (error 50 %, loss ln 2).

Cost: 100 runs a seed, about 10 s together on one core of an AMD EPYC.

    simclr-orch ablate label-complexity --preset P

Claims are on runs that reach the training loss of 0.01, as the theorems are. `pretraining-controls`
asks whether they do.
"""

import math

from search_spaces.ablation import Ablation, Overlay
from search_spaces.claims import Claim, Comparison, above, beats
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    ARMS,
    DIRECT,
    FEW_LABELS,
    LABELS,
    LEARNED,
    LOST,
    NOTE,
    SIMCLR,
    below,
    fails,
    labels,
    learns,
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
    note=f"{NOTE} Runs that do not reach the training loss of 0.01 say nothing on the claims.",
)


def _guesses(count: str) -> tuple[Comparison, Comparison]:
    """The test loss of an output of about 0 is ln 2."""
    at, guess = ("0.2", count, DIRECT), round(math.log(2), 3)
    return above(at, guess - 0.1, metric="test_loss"), below(at, guess + 0.1, metric="test_loss")


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
            "After SimCLR pre-training few labels suffice: the error is below 1 % from 8 "
            "labels on (SNR 0.2).",
            "Theorem 4.2",
            *(below(("0.2", count, SIMCLR), 1) for count in _ENOUGH),
        ),
        Claim.alike(
            "After SimCLR pre-training the test loss is at most 6 times the training loss of "
            "0.01, from 8 labels on (SNR 0.2).",
            "Theorem 4.2",
            *(below(("0.2", count, SIMCLR), LEARNED, metric="test_loss") for count in _ENOUGH),
        ),
        Claim.alike(
            "Direct training with too few labels fails: the error is above 40 % with up to "
            "64 labels (SNR 0.2).",
            "Theorem 4.3",
            *(above(("0.2", count, DIRECT), 40) for count in fails("0.2")),
        ),
        Claim.alike(
            "Direct training with enough labels succeeds: the error is below 1 % from 512 "
            "labels on (SNR 0.2).",
            "Theorem 4.3",
            *(below(("0.2", count, DIRECT), 1) for count in learns("0.2")),
        ),
        Claim.alike(
            "Wherever direct training has too few labels, SimCLR pre-training leads to a "
            "lower error.",
            "Theorems 4.2 and 4.3: Theorem 4.2 asks for fewer labels than Theorem 4.3",
            *(
                beats((ratio, count, DIRECT), (ratio, count, SIMCLR))
                for ratio in _RATIOS
                for count in fails(ratio)
            ),
        ),
        Claim.alike(
            "The labels that direct training needs grow as the cube of the noise-to-signal ratio: "
            "its test loss is at least 0.1 below 1 / SNR^3 labels and at most 0.06 from 4 / SNR^3 "
            "on.",
            "Theorem 4.3",
            *(
                above((ratio, fails(ratio)[-1], DIRECT), LOST, metric="test_loss")
                for ratio in _RATIOS
            ),
            *(
                below((ratio, learns(ratio)[0], DIRECT), LEARNED, metric="test_loss")
                for ratio in _ALIGNED
            ),
        ),
        Claim.alike(
            "64 labels are enough for direct training at SNR 0.4 (error below 5 %), and too "
            "few at 0.2 (above 40 %).",
            "Theorem 4.3",
            below(("0.4", "64", DIRECT), 5),
            above(("0.2", "64", DIRECT), 40),
        ),
        Claim.alike(
            "The labels needed after SimCLR pre-training do not depend on the "
            "signal-to-noise ratio as long as the unlabeled "
            "inputs suffice: 8 labels lead to an error below 1 % at SNR 0.2, 0.3 and 0.4.",
            "Theorem 4.2",
            *(below((ratio, str(FEW_LABELS), SIMCLR), 1) for ratio in _ALIGNED),
        ),
        Claim.alike(
            "Direct training with too few labels overfits harmfully: it fits them and guesses on "
            "new inputs, with a test loss of ln 2 within 0.1 (SNR 0.2, up to 64 labels).",
            "Theorem 4.3",
            *(comparison for count in fails("0.2") for comparison in _guesses(count)),
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
