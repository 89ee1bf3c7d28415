"""Lemma 5.2: is the top eigenvalue of the matrix of pre-training that of the signal?

Expected ordering: the ratio to 2 eta ||mu||^2 / tau comes down to 1 as n0 SNR^2 grows, and the
second eigenvalue falls behind.

Cost: 28 runs a seed, those of `signal-to-noise`: asked together, they are run once.

    simclr-orch ablate top-eigenvalue --preset P
"""

from itertools import pairwise

from search_spaces.ablation import Ablation, Overlay
from search_spaces.claims import Claim, above, beats
from search_spaces.two_layer_cnn.signal_to_noise import SIGNAL_TO_NOISE, where
from search_spaces.two_layer_cnn.theorems import below

__all__ = ["TOP_EIGENVALUE"]

_RATIOS, _UNLABELED = (axis.labels for axis in SIGNAL_TO_NOISE.paper.axes)

TOP_EIGENVALUE = Ablation(
    name="top-eigenvalue",
    title="Top eigenvalue of the pre-training matrix",
    question="Is the top eigenvalue of the matrix of pre-training that of the signal?",
    source="Lemma 5.2",
    fixed=SIGNAL_TO_NOISE.fixed,
    paper=SIGNAL_TO_NOISE.paper,
    small=SIGNAL_TO_NOISE.small,
    metric="top_eigenvalue_ratio",
    figure="points",
    claims=(
        Claim.alike(
            "The top eigenvalue of the matrix of pre-training is that of the signal, 2 eta "
            "||mu||^2 / tau, within 10 % where n0 SNR^2 is 10 or more.",
            "Lemma 5.2",
            *(above(at, 0.9) for at in where(lambda found: found >= 10)),
            *(below(at, 1.1) for at in where(lambda found: found >= 10)),
        ),
        Claim.alike(
            "The gap below it grows with n0 SNR^2: the second eigenvalue over the first "
            "falls with SNR and with n0.",
            "Lemma 5.2",
            *(
                beats((low, "250"), (high, "250"), metric="eigenvalue_gap")
                for low, high in pairwise(_RATIOS)
            ),
            *(
                beats(("0.2", few), ("0.2", many), metric="eigenvalue_gap")
                for few, many in pairwise(_UNLABELED)
            ),
        ),
    ),
    workload="two-layer-cnn",
    against="unlabeled_snr2",
    overlays=(
        Overlay(
            label="1: the eigenvalue is 2 eta ||mu||^2 / tau, the signal's",
            points=((0.1, 1.0), (200.0, 1.0)),
        ),
    ),
    counts_if="pretrain_converged",
)
