"""Extension of Lemma 5.2: what if the second view of an input is drawn anew for each step?

Expected ordering: the paper's matrix of pre-training has one second view for each input, and so the
noise of both views. With new ones in each step the noise of second views averages out, and that of
first views is left: half of it. So n0 inputs with fresh views align filters as 2 n0 inputs with
fixed ones do, and better still where n0 SNR^2 is below 1: no eigenvector of noise is there to grow.

Cost: 24 runs a seed, about 60 s together on one core of an AMD EPYC; nothing is fine-tuned.

    simclr-orch ablate fresh-views --preset P

The curves drawn are (1 + 1 / (2 n0 SNR^2))^(-1/2) for fixed views, as in `signal-to-noise`, and (1
+ 1 / (4 n0 SNR^2))^(-1/2) for fresh ones; both are our derivation. First views are the unlabeled
inputs themselves, which do not change.
"""

import math

from search_spaces.ablation import Ablation, Overlay
from search_spaces.claims import Claim, Place, beats, similar
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import NOTE, ONLY_PRETRAINED, ratios
from search_spaces.values import Value

__all__ = ["FRESH_VIEWS"]

_FIXED, _FRESH = "fixed", "fresh in each step"
_VIEWS: dict[str, dict[str, Value]] = {
    _FIXED: {"pretrain.views": "fixed"},
    _FRESH: {"pretrain.views": "fresh"},
}
_RATIOS = ("0.05", "0.1", "0.2")
_UNLABELED = ("50", "100", "250", "500")
_INPUTS: dict[str, dict[str, Value]] = {
    count: {"data.unlabeled": int(count)} for count in _UNLABELED
}
_DOUBLED = (("50", "100"), ("250", "500"))
_SAME = 0.02  # cosines that are no farther apart count as the same

_LAYOUT = Layout(
    axes=(
        Axis(name="second views", labels=tuple(_VIEWS)),
        Axis(name="signal-to-noise ratio", labels=_RATIOS, log=True),
        Axis(name="unlabeled inputs", labels=_UNLABELED, log=True),
    ),
    cells=grid(_VIEWS, ratios(*_RATIOS), _INPUTS),
    note=f"{NOTE} The paper has fixed views only. Filters are measured after pre-training, without "
    "fine-tuning.",
)


def _found(ratio: str, count: str) -> float:
    return int(count) * float(ratio) ** 2


def _curve(noise: float) -> tuple[tuple[float, float], ...]:
    """The cosine over n0 SNR^2 where noise adds so much to its square, relative to the signal."""
    places = [10 ** (power / 10) for power in range(-10, 15)]
    return tuple((found, 1 / math.sqrt(1 + noise / found)) for found in places)


_EACH: tuple[tuple[str, str], ...] = tuple(
    (ratio, count) for ratio in _RATIOS for count in _UNLABELED
)
# n0 SNR^2 of 2 and more, as far as there are twice the inputs
_TWICE: tuple[tuple[Place, Place], ...] = tuple(
    ((_FRESH, ratio, few), (_FIXED, ratio, many))
    for ratio in _RATIOS
    for few, many in _DOUBLED
    if _found(ratio, few) >= 2
)

FRESH_VIEWS = Ablation(
    name="fresh-views",
    title="Second views that are drawn anew",
    question="What does pre-training gain if the second view of an input is drawn anew for each "
    "step?",
    source="Lemma 5.2",
    fixed=ONLY_PRETRAINED,
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="alignment",
    figure="points",
    claims=(
        Claim.alike(
            "Fresh views align filters better than fixed ones at every SNR and number of inputs.",
            "Lemma 5.2, by our derivation",
            *(beats((_FRESH, ratio, count), (_FIXED, ratio, count)) for ratio, count in _EACH),
        ),
        Claim.alike(
            "Where n0 SNR^2 is 2 or more they are worth twice the inputs: cosines lie within 0.02 "
            "of those of 2 n0 inputs with fixed views.",
            "Lemma 5.2, by our derivation",
            *(similar(fresh, fixed, within=_SAME) for fresh, fixed in _TWICE),
        ),
        Claim.alike(
            "Where n0 SNR^2 is below 0.65 they are worth more than twice the inputs.",
            "Lemma 5.2, by our derivation",
            *(
                beats((_FRESH, ratio, few), (_FIXED, ratio, many))
                for ratio in _RATIOS
                for few, many in _DOUBLED
                if _found(ratio, few) < 0.65
            ),
        ),
    ),
    workload="two-layer-cnn",
    extension=True,
    against="unlabeled_snr2",
    overlays=(
        Overlay(label="fixed views: (1 + 1 / (2 n0 SNR^2))^(-1/2)", points=_curve(1 / 2)),
        Overlay(label="fresh views: (1 + 1 / (4 n0 SNR^2))^(-1/2)", points=_curve(1 / 4)),
    ),
    counts_if="pretrain_converged",
)
