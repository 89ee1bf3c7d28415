"""Arms, counts of labels and thresholds that the spaces of the two-layer study share.

Source: Zhang & Cao, "Understanding the Benefits of SimCLR Pre-Training in Two-Layer CNNs", arXiv
2409.18685. Theorem 4.2: after pre-training on n0 unlabeled inputs, a training loss of epsilon comes
with a test loss of 6 epsilon + exp(-n^2) or less for any n = Omega(1) labels if n0 SNR^2 =
Omega(1). Theorem 4.3: direct training needs n SNR^q = Omega(1), and otherwise fits its labels with
a test loss of 0.1 or more. Constants and logarithms are not given; where a claim needs one, it is
ours.
"""

from collections.abc import Iterable

from search_spaces.claims import Comparison, Event, Place, contrast, rate_above
from search_spaces.scope import Where
from search_spaces.values import Value

__all__ = [
    "ARMS",
    "DIRECT",
    "FEW_LABELS",
    "GENERATED",
    "LABELS",
    "LEARNED",
    "LOSS_TARGET",
    "LOST",
    "NEARLY_ALL",
    "NOTE",
    "OF_LOST",
    "OF_RATES",
    "ONLY_PRETRAINED",
    "SIMCLR",
    "below",
    "fails",
    "fails_in",
    "labels",
    "learns",
    "learns_in",
    "nearly_always",
    "ratios",
]

SIMCLR, DIRECT = "SimCLR pre-training", "direct"
ARMS: dict[str, dict[str, Value]] = {
    SIMCLR: {"pretrain.method": "simclr"},
    DIRECT: {"pretrain.method": "none"},
}
# SimCLR pre-training alone: what is asked is how well filters align, and nothing is fine-tuned
ONLY_PRETRAINED: dict[str, Value] = {
    "pretrain.method": "simclr",
    "finetune.max_steps": 0,
    "data.labels": 2,
    "data.test": 2,
}
LABELS = tuple(str(2**power) for power in range(1, 11))
FEW_LABELS = 8  # n = Omega(1) of Theorem 4.2: from here on

LOSS_TARGET = 0.01  # our epsilon: the training loss at which fine-tuning stops
LEARNED = 0.06  # 6 epsilon: the test loss that the theorems promise, with that epsilon
LOST = 0.1  # the test loss that Theorem 4.3 promises to direct training without enough labels
# n SNR^q: direct training changes from one to the other in between
FAILS_BELOW, LEARNS_FROM = 1.0, 4.0

NEARLY_ALL = 0.9  # of runs; the theorems hold with high probability, and the number is ours
OF_RATES = (
    "Single runs either learn or guess, so that claims are on how many do. That it is 9 of 10 or "
    "more takes 29 seeds at the 5 % level if all do (0.9^29 is 0.047) and 46 if one does not, "
    "planned beforehand by --max-seeds; 34 if all do and nobody planned."
)

NOTE = (
    "The paper has no printed numbers to compare with. It does not give learning rates, stopping "
    "rules and initial scales either: ours are the preset's. Images beyond those that a class has "
    "come again, beside fresh noise."
)


OF_LOST = (
    "A run that does not reach the training loss of 0.01 counts in claims on rates as one that did "
    "not do it, and says nothing in others."
)
# of claims whose bounds images do not meet
GENERATED = (
    Where(
        field="data.name",
        among=("gaussian",),
        because="images of a class differ, which costs a few percent of error, and the bound is "
        "one for generated inputs (Definition 3.1)",
    ),
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


def nearly_always(at: Place, event: Event, *, metric: str | None = None) -> Comparison:
    """Require that something happen in nine of ten of a cell's runs or more."""
    return rate_above(at, NEARLY_ALL, metric=metric, event=event)


def learns_in(at: Place) -> Comparison:
    """Require a test error below 1 % in nine of ten of a cell's runs or more."""
    return nearly_always(at, Event(side="below", value=1.0), metric="test_error")


def fails_in(at: Place) -> Comparison:
    """Require the test loss of too few labels in nine of ten of a cell's runs or more."""
    return nearly_always(at, Event(value=LOST), metric="test_loss")


def below(at: Place, bound: float, *, metric: str | None = None) -> Comparison:
    """Require that a cell's value be below a bound."""
    label = f"{' · '.join(at)} < {bound:g}" + (f" in {metric}" if metric else "")
    return contrast(label, {at: -1.0}, bound=-bound, metric=metric)
