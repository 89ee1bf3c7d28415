"""Extension of Theorems 4.2 and 4.3: of 256 inputs in all, how many labels are worth having?

Expected ordering: none from the paper, which counts labels and leaves unlabeled inputs aside;
reviewers object that direct training should have all inputs labeled. SimCLR pre-training sees the
inputs that are left without labels; direct training sees the labeled ones only, and with 256 labels
all inputs.

Cost: 51 runs a seed, about 5 s together on one core of an AMD EPYC.

    simclr-orch ablate total-budget --preset P
"""

from collections.abc import Iterator

from search_spaces.ablation import Ablation
from search_spaces.layout import Axis, Cell, Layout
from search_spaces.two_layer_cnn.theorems import ARMS, DIRECT, NOTE, SIMCLR

__all__ = ["TOTAL_BUDGET"]

_TOTAL = 256
_LABELS = (2, 8, 32, 64, 128, 192, 224, 248)
_RATIOS = ("0.15", "0.2", "0.3")


def _cell(arm: str, count: int, ratio: str) -> Cell:
    unlabeled = {"data.unlabeled": _TOTAL - count} if arm == SIMCLR else {}
    values = {**ARMS[arm], "data.labels": count, **unlabeled, "data.signal_to_noise": float(ratio)}
    return Cell(at=(arm, str(count), ratio), values=values)


def _cells() -> Iterator[Cell]:
    for ratio in _RATIOS:
        for count in _LABELS:
            yield _cell(SIMCLR, count, ratio)
        for count in (*_LABELS, _TOTAL):
            yield _cell(DIRECT, count, ratio)


_LAYOUT = Layout(
    axes=(
        Axis(name="training", labels=tuple(ARMS)),
        Axis(
            name=f"labels among {_TOTAL} inputs",
            labels=tuple(str(count) for count in (*_LABELS, _TOTAL)),
            log=True,
        ),
        Axis(name="signal-to-noise ratio", labels=_RATIOS),
    ),
    cells=tuple(_cells()),
    note=f"{NOTE} Labeled and unlabeled inputs are {_TOTAL} in all.",
)

TOTAL_BUDGET = Ablation(
    name="total-budget",
    title="Labeled and unlabeled inputs at a fixed total",
    question=f"Of {_TOTAL} inputs in all, how many labels are worth having?",
    source="Theorems 4.2 and 4.3",
    paper=_LAYOUT,
    small=_LAYOUT,
    metric="test_error",
    figure="lines",
    claims=(),
    workload="two-layer-cnn",
    extension=True,
    counts_if="converged",
)
