"""What the metrics of the two-layer study are called, and which of them are drawn over steps."""

from collections.abc import Mapping

from workloads.quantity import Curves, Quantity, cosine, percent

__all__ = ["CURVES", "LOGGED", "QUANTITIES"]

QUANTITIES: Mapping[str, Quantity] = {
    "test_error": percent("test error", better="lower"),
    "test_loss": Quantity("test loss", "nats", 3, better="lower"),
    "training_loss": Quantity("training loss", "nats", 3, better="lower"),
    "pretrain_loss": Quantity("contrastive loss", "nats", 3, better="lower"),
    "pretrain_steps": Quantity("pre-training", "steps", 0, better="lower"),
    "finetune_steps": Quantity("fine-tuning", "steps", 0, better="lower"),
    "alignment": cosine("alignment of filters with the signal"),
    "finetuned_alignment": cosine("alignment of the longest filters after fine-tuning"),
    "predicted_alignment": cosine("predicted alignment"),
    "eigenvector_alignment": cosine("alignment of the top eigenvector with the signal"),
    "top_eigenvalue_ratio": Quantity("top eigenvalue over its prediction 2 η ‖μ‖² / τ", "", 3),
    "eigenvalue_gap": Quantity("second eigenvalue over the first", "", 3, 0.0, 1.0),
    "unlabeled_snr2": Quantity("n₀ SNR²"),
}
CURVES = Curves(
    {"loss": Quantity("training loss", "nats"), "alignment": QUANTITIES["alignment"]},
    phases=("pre-training", "fine-tuning"),
    unit_of_time="step",
    of_many_cells=True,
    stop_early=True,
)
LOGGED = ("loss", "alignment", "norm", "phase")
