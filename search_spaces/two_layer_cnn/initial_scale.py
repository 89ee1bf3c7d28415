"""Lemmas 5.1 and 5.2: how small must filters begin, and what does a smaller beginning cost?

Expected ordering: while filters are tiny, pre-training is a power method, and an error of the order
of their size is all that it makes. So the smaller sigma_0 is, the better filters align, up to what
the first eigenvector does; and the steps grow as log(1 / sigma_0), by log 100 / log(1 + lambda_1) =
25 for each hundredth, with lambda_1 = 2 eta ||mu||^2 / tau = 0.2.

Cost: 14 runs a seed, about 5 s together on one core of an AMD EPYC; nothing is fine-tuned.

    simclr-orch ablate initial-scale --preset P

Pre-training stops once filters have left the tiny scale (`pretrain.target_norm`). From 1e-3 on they
begin there: no step is taken, and they stay where chance put them.
"""

from search_spaces.ablation import Ablation
from search_spaces.claims import Claim, Comparison, Place, above, beats, contrast, similar
from search_spaces.layout import Axis, Layout, grid
from search_spaces.two_layer_cnn.theorems import (
    NOTE,
    ONLY_PRETRAINED,
    below,
    ratios,
)
from search_spaces.values import Value

__all__ = ["INITIAL_SCALE"]

_RATIOS = ("0.2", "0.4")
_SCALES: dict[str, dict[str, Value]] = {
    name: {"pretrain.initial_std": float(name)}
    for name in ("1e-10", "1e-8", "1e-6", "1e-5", "1e-4", "3e-4", "1e-3")
}
_TINY = ("1e-10", "1e-8", "1e-6")  # a hundred times larger, each
_A_HUNDREDTH = 25.3  # steps: log 100 / log 1.2

_LAYOUT = Layout(
    axes=(
        Axis(name="signal-to-noise ratio", labels=_RATIOS),
        Axis(name="scale of the first filters, sigma_0", labels=tuple(_SCALES), log=True),
    ),
    cells=grid(ratios(*_RATIOS), _SCALES),
    note=f"{NOTE} Filters are measured after pre-training, without fine-tuning.",
)


def _steps(ratio: str, smaller: str, larger: str) -> tuple[Comparison, Comparison]:
    """Both sides of how many steps a hundredth of sigma_0 costs, within two."""
    first, second = (ratio, smaller), (ratio, larger)
    name = f"steps at SNR {ratio}: {smaller} - {larger}"
    more: dict[Place, float] = {first: 1.0, second: -1.0}
    fewer: dict[Place, float] = {first: -1.0, second: 1.0}
    low, high = _A_HUNDREDTH - 2, _A_HUNDREDTH + 2
    return (
        contrast(f"{name} > {low:g}", more, bound=low, metric="pretrain_steps"),
        contrast(f"{name} < {high:g}", fewer, bound=-high, metric="pretrain_steps"),
    )


INITIAL_SCALE = Ablation(
    name="initial-scale",
    title="Scale of the first filters",
    question="How small must filters be when pre-training begins?",
    source="Lemmas 5.1 and 5.2",
    fixed=ONLY_PRETRAINED,
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="alignment",
    figure="lines",
    claims=(
        Claim.alike(
            "Filters that begin small enough (sigma_0 up to 1e-6) align with the signal: cosine "
            "above 0.95.",
            "Lemma 5.2",
            *(above((ratio, scale), 0.95) for ratio in _RATIOS for scale in _TINY),
        ),
        Claim.alike(
            "How small they begin then does not matter: 1e-10 and 1e-8 lead to cosines within "
            "0.01.",
            "Lemma 5.1",
            *(similar((ratio, "1e-10"), (ratio, "1e-8"), within=0.01) for ratio in _RATIOS),
        ),
        Claim.alike(
            "Larger beginnings align less: the cosine falls from 1e-6 to 1e-5, 1e-4 and 3e-4.",
            "Lemma 5.1, whose error is of the order of sigma_0",
            *(
                beats((ratio, smaller), (ratio, larger))
                for ratio in _RATIOS
                for smaller, larger in (("1e-6", "1e-5"), ("1e-5", "1e-4"), ("1e-4", "3e-4"))
            ),
        ),
        Claim.alike(
            "Filters that begin at 1e-3 do not align at all: cosine below 0.1.",
            "Condition 4.1, with our constant",
            *(below((ratio, "1e-3"), 0.1) for ratio in _RATIOS),
        ),
        Claim.alike(
            "The steps of pre-training grow as log(1 / sigma_0): each hundredth costs log 100 / "
            "log 1.2 = 25 more, within 2.",
            "Lemma 5.1 and Lemma 5.2",
            *(
                side
                for ratio in _RATIOS
                for smaller, larger in (("1e-10", "1e-8"), ("1e-8", "1e-6"))
                for side in _steps(ratio, smaller, larger)
            ),
        ),
    ),
    workload="two-layer-cnn",
)
