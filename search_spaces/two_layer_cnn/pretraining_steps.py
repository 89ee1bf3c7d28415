"""Theorem 4.2 and Lemma 5.1: how long must pre-training last, and can it last too long?

Expected ordering: T_SimCLR is of the order of log(1 / sigma_0): until then filters turn to the
signal, at the same speed however small they are, and leave the tiny scale; filters that have not
left it cannot be fine-tuned in 3,000 steps. Of more steps the theorem says nothing. Beyond the tiny
scale the softmax saturates, and filters turn away from the signal again.

Cost: 24 runs a seed, about 10 s together on one core of an AMD EPYC.

    simclr-orch ablate pretraining-steps --preset P --seeds 29 --until-decided --max-seeds 29

Pre-training takes exactly so many steps, whatever the size of the filters. SNR is 0.2, and every
run has 8 labels. All runs count, those that do not reach the training loss, too.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Event, above, beats, similar
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    FEW_LABELS,
    GENERATED,
    LOSS_TARGET,
    NOTE,
    OF_RATES,
    learns_in,
    nearly_always,
)
from search_spaces.values import Value

__all__ = ["PRETRAINING_STEPS"]

_SCALES: dict[str, dict[str, Value]] = {
    name: {"pretrain.initial_std": float(name)} for name in ("1e-8", "1e-6", "1e-4")
}
_STEPS: dict[str, dict[str, Value]] = {
    name: {"pretrain.max_steps": int(name)}
    for name in ("10", "20", "30", "40", "50", "60", "80", "160")
}
# log(0.003 / sigma_0) / log 1.2, the steps until filters have left the tiny scale
_LONG_ENOUGH = {"1e-8": "80", "1e-6": "50", "1e-4": "30"}
_TOO_SHORT = {"1e-8": "40", "1e-6": "20"}

_LAYOUT = Layout(
    axes=(
        Axis(name="scale of the first filters, sigma_0", labels=tuple(_SCALES)),
        Axis(name="steps of pre-training", labels=tuple(_STEPS), log=True),
    ),
    cells=grid(_SCALES, _STEPS),
    note=f"{NOTE} Every run has 8 labels at SNR 0.2. {OF_RATES}",
)

PRETRAINING_STEPS = Ablation(
    name="pretraining-steps",
    title="Steps of pre-training",
    question="How long must pre-training last, and can it last too long?",
    source="Theorem 4.2 and Lemma 5.1",
    # a norm that is never reached
    fixed={
        "pretrain.method": "simclr",
        "pretrain.target_norm": 1e9,
        "data.labels": FEW_LABELS,
        "data.signal_to_noise": 0.2,
    },
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="alignment",
    figure="lines",
    claims=(
        Claim.alike(
            "While filters are tiny the steps decide, not their size: up to 30 steps the cosines "
            "from 1e-8 and 1e-6 lie within 0.01.",
            "Lemma 5.1",
            *(
                similar(("1e-8", steps), ("1e-6", steps), within=0.01)
                for steps in ("10", "20", "30")
            ),
        ),
        Claim.alike(
            "Filters turn to the signal: the cosine is higher after 20 steps than after 10, after "
            "30 than after 20, and above 0.95 once they leave the tiny scale (50 steps from 1e-6, "
            "80 from 1e-8).",
            "Lemma 5.2",
            *(
                beats((scale, later), (scale, sooner))
                for scale in _SCALES
                for sooner, later in (("10", "20"), ("20", "30"))
            ),
            *(above((scale, _LONG_ENOUGH[scale]), 0.95) for scale in ("1e-8", "1e-6")),
        ),
        Claim.alike(
            "After log(1 / sigma_0) steps few labels suffice: with 80 from 1e-8, 50 from 1e-6 and "
            "30 from 1e-4 the test error is below 1 % in 9 of 10 runs or more.",
            "Theorem 4.2",
            *(learns_in((scale, steps)) for scale, steps in _LONG_ENOUGH.items()),
            where=GENERATED,
        ),
        Claim.alike(
            "Filters still at the tiny scale are not fine-tuned in 3,000 steps: after 40 from "
            "1e-8 and 20 from 1e-6 the training loss is above 0.01 in 9 of 10 runs or more.",
            "Theorem 4.2, whose T_SimCLR grows as log(1 / sigma_0)",
            *(
                nearly_always((scale, steps), Event(value=LOSS_TARGET), metric="training_loss")
                for scale, steps in _TOO_SHORT.items()
            ),
        ),
        Claim.alike(
            "Beyond the tiny scale more steps do harm: from each scale the cosine is lower after "
            "160 than where it left the tiny scale.",
            "Lemma 5.1, beyond where it holds",
            *(
                beats((scale, steps), (scale, "160"), by=0.05)
                for scale, steps in _LONG_ENOUGH.items()
            ),
        ),
    ),
    workload="two-layer-cnn",
)
