"""Arms, counts of labels and thresholds that the spaces of the two-layer study share.

Source: Zhang & Cao, "Understanding the Benefits of SimCLR Pre-Training in Two-Layer CNNs", arXiv
2409.18685. Theorem 4.2: after pre-training on n0 unlabeled inputs, a training loss of epsilon comes
with a test loss of 6 epsilon + exp(-n^2) or less for any n = Omega(1) labels if n0 SNR^2 =
Omega(1). Theorem 4.3: direct training needs n SNR^q = Omega(1), and otherwise fits its labels with
a test loss of 0.1 or more. Constants and logarithms are not given; where a claim needs one, it is
ours.
"""

from collections.abc import Iterable

from search_spaces.claims import Comparison, Place, contrast
from search_spaces.values import Value

__all__ = [
    "ARMS",
    "DIRECT",
    "FEW_LABELS",
    "LABELS",
    "LEARNED",
    "LOST",
    "NOTE",
    "SIMCLR",
    "below",
    "fails",
    "labels",
    "learns",
    "ratios",
]

SIMCLR, DIRECT = "SimCLR pre-training", "direct"
ARMS: dict[str, dict[str, Value]] = {
    SIMCLR: {"pretrain.method": "simclr"},
    DIRECT: {"pretrain.method": "none"},
}
LABELS = tuple(str(2**power) for power in range(1, 11))
FEW_LABELS = 8  # n = Omega(1) of Theorem 4.2: from here on

LEARNED = 0.06  # 6 epsilon: the test loss that the theorems promise, with our epsilon of 0.01
LOST = 0.1  # the test loss that Theorem 4.3 promises to direct training without enough labels
# n SNR^q: direct training changes from one to the other in between
FAILS_BELOW, LEARNS_FROM = 1.0, 4.0

NOTE = (
    "The paper has no printed numbers to compare with. It does not give learning rates, stopping "
    "rules and initial scales either: ours are the preset's. Claims are bounded for generated "
    "inputs (Definition 3.1); images of a class differ, which costs a few percent of error. Images "
    "beyond those that a class has come again, beside fresh noise."
)


def ratios(*names: str) -> dict[str, dict[str, Value]]:
    """Return signal-to-noise ratios as an axis of `grid`."""
    return {name: {"data.signal_to_noise": float(name)} for name in names}


def labels(names: Iterable[str] = LABELS) -> dict[str, dict[str, Value]]:
    """Return numbers of labels as an axis of `grid`."""
    return {name: {"data.labels": int(name)} for name in names}


def fails(ratio: str, power: int = 3) -> tuple[str, ...]:
    """Return the numbers of labels with which direct training fails, by Theorem 4.3."""
    return tuple(count for count in LABELS if int(count) * float(ratio) ** power < FAILS_BELOW)


def learns(ratio: str, power: int = 3) -> tuple[str, ...]:
    """Return the numbers of labels with which direct training learns, by Theorem 4.3."""
    return tuple(count for count in LABELS if int(count) * float(ratio) ** power >= LEARNS_FROM)


def below(at: Place, bound: float, *, metric: str | None = None) -> Comparison:
    """Require that a cell's value be below a bound."""
    label = f"{' · '.join(at)} < {bound:g}" + (f" in {metric}" if metric else "")
    return contrast(label, {at: -1.0}, bound=-bound, metric=metric)
