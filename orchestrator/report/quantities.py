"""What results are called in figures and tables: name, unit, and how many digits are worth
showing.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from search_spaces import Ablation

__all__ = ["Quantity", "metric_quantity", "quantity"]


@dataclass(frozen=True)
class Quantity:
    """A number that is shown: `digits` after the point, three significant ones for None; values are
    in `low` to `high`.
    """

    name: str
    unit: str = ""
    digits: int | None = None
    low: float = 0.0
    high: float | None = None

    @property
    def label(self) -> str:
        """Name and unit, as on an axis."""
        return f"{self.name} ({self.unit})" if self.unit else self.name

    @property
    def differences(self) -> str:
        """The unit of a difference between two values."""
        return "points" if self.unit == "%" else self.unit

    @property
    def resolution(self) -> float:
        """The smallest range that is worth an axis: ten of the last digit."""
        return 10.0 ** (1 - (3 if self.digits is None else self.digits))

    def text(self, value: float) -> str:
        """The value without its unit."""
        return f"{value:.3g}" if self.digits is None else f"{value:.{self.digits}f}"

    def told(self, value: float, spread: float | None) -> str:
        """The value with its sample standard deviation and unit, as in a sentence."""
        number = self.text(value) + (f" ± {self.text(spread)}" if spread is not None else "")
        return f"{number} {self.unit}".rstrip()


def _percent(name: str) -> Quantity:
    return Quantity(name, "%", 1, 0.0, 100.0)


def _cosine(name: str) -> Quantity:
    return Quantity(name, "cosine", 3, 0.0, 1.0)


_QUANTITIES: Mapping[str, Quantity] = {
    "linear_top1": _percent("linear evaluation top-1"),
    "linear_top1_z": _percent("linear evaluation top-1"),
    "linear_top5": _percent("linear evaluation top-5"),
    "linear_validation_top1": _percent("linear evaluation top-1 on validation"),
    "linear_validation_top1_z": _percent("linear evaluation top-1 on validation"),
    "classifier_top1": _percent("supervised top-1"),
    "classifier_top5": _percent("supervised top-5"),
    "classifier_validation_top1": _percent("supervised top-1 on validation"),
    "knn_top1": _percent("nearest-neighbour top-1"),
    "knn_top5": _percent("nearest-neighbour top-5"),
    **{f"finetune_{share}_top1": _percent("fine-tuned top-1") for share in ("1", "10", "100")},
    **{
        f"finetune_{share}_top5": _percent(f"fine-tuned top-5, {share} % of labels")
        for share in ("1", "10", "100")
    },
    **{
        f"finetune_{share}_validation_top1": _percent("fine-tuned top-1 on validation")
        for share in ("1", "10", "100")
    },
    "transfer_linear": _percent("accuracy in the data set's metric"),
    "transfer_finetune": _percent("accuracy in the data set's metric"),
    "contrastive_accuracy": _percent("contrastive accuracy"),
    "contrastive_entropy": Quantity("contrastive entropy", "nats", 1),
    "probe_color_h": _percent("probe color h"),
    "probe_color_z": _percent("probe color z"),
    "probe_rotation_h": _percent("probe rotation h"),
    "probe_rotation_z": _percent("probe rotation z"),
    "probe_noise_h": _percent("probe noise h"),
    "probe_noise_z": _percent("probe noise z"),
    "probe_sobel_h": _percent("probe sobel h"),
    "probe_sobel_z": _percent("probe sobel z"),
    "test_error": _percent("test error"),
    "test_loss": Quantity("test loss", "nats", 3),
    "training_loss": Quantity("training loss", "nats", 3),
    "pretrain_loss": Quantity("contrastive loss", "nats", 3),
    "pretrain_steps": Quantity("pre-training", "steps", 0),
    "finetune_steps": Quantity("fine-tuning", "steps", 0),
    "alignment": _cosine("alignment of filters with the signal"),
    "finetuned_alignment": _cosine("alignment of the longest filters after fine-tuning"),
    "predicted_alignment": _cosine("predicted alignment"),
    "eigenvector_alignment": _cosine("alignment of the top eigenvector with the signal"),
    "top_eigenvalue_ratio": Quantity("top eigenvalue over its prediction 2 η ‖μ‖² / τ", "", 3),
    "eigenvalue_gap": Quantity("second eigenvalue over the first", "", 3, 0.0, 1.0),
    "unlabeled_snr2": Quantity("n₀ SNR²"),
}


def quantity(metric: str) -> Quantity:
    """What a result of that name is; a name that is not known stands for itself, without a unit."""
    known = _QUANTITIES.get(metric)
    if known is None and metric.endswith("_mean_per_class"):
        return _percent(metric.replace("_", " "))
    return known or Quantity(metric.replace("_", " "))


def metric_quantity(ablation: Ablation) -> Quantity:
    """Return what the cells are compared by; of cells with metrics of their own, what these share.

    Metrics that are all in percent share their unit, others nothing but that they are values.
    """
    metrics = {ablation.metric_of(cell) for cell in (*ablation.paper.cells, *ablation.small.cells)}
    found = {quantity(metric) for metric in metrics}
    if len(found) == 1:
        return found.pop()
    if {one.unit for one in found} == {"%"}:
        return _percent("value" if any("error" in one.name for one in found) else "accuracy")
    return Quantity("value")
