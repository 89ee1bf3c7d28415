"""What the metrics of SimCLR runs are called, and which of them are drawn over epochs."""

from collections.abc import Mapping

from workloads.quantity import Curves, Quantity, percent

__all__ = ["CURVES", "LOGGED", "QUANTITIES"]

QUANTITIES: Mapping[str, Quantity] = {
    "linear_top1": percent("linear evaluation top-1"),
    "linear_top1_z": percent("linear evaluation top-1"),
    "linear_top5": percent("linear evaluation top-5"),
    "linear_validation_top1": percent("linear evaluation top-1 on validation"),
    "linear_validation_top1_z": percent("linear evaluation top-1 on validation"),
    "classifier_top1": percent("supervised top-1"),
    "classifier_top5": percent("supervised top-5"),
    "classifier_validation_top1": percent("supervised top-1 on validation"),
    "knn_top1": percent("nearest-neighbour top-1"),
    "knn_top5": percent("nearest-neighbour top-5"),
    "online_top1": percent("online top-1"),
    "online_top5": percent("online top-5"),
    "online_validation_top1": percent("online top-1 on validation"),
    **{f"finetune_{share}_top1": percent("fine-tuned top-1") for share in ("1", "10", "100")},
    **{
        f"finetune_{share}_top5": percent(f"fine-tuned top-5, {share} % of labels")
        for share in ("1", "10", "100")
    },
    **{
        f"finetune_{share}_validation_top1": percent("fine-tuned top-1 on validation")
        for share in ("1", "10", "100")
    },
    "transfer_linear": percent("accuracy in the data set's metric"),
    "transfer_finetune": percent("accuracy in the data set's metric"),
    "contrastive_accuracy": percent("contrastive accuracy"),
    "contrastive_entropy": Quantity("contrastive entropy", "nats", 1),
    "probe_color_h": percent("probe color h"),
    "probe_color_z": percent("probe color z"),
    "probe_rotation_h": percent("probe rotation h"),
    "probe_rotation_z": percent("probe rotation z"),
    "probe_noise_h": percent("probe noise h"),
    "probe_noise_z": percent("probe noise z"),
    "probe_sobel_h": percent("probe sobel h"),
    "probe_sobel_z": percent("probe sobel z"),
}
CURVES = Curves(
    {
        "loss": Quantity("training loss"),
        "contrastive_accuracy": QUANTITIES["contrastive_accuracy"],
    }
)
# What training tells of an epoch, in the order of tables.
LOGGED = (
    "loss",
    "training_accuracy",
    "contrastive_accuracy",
    "contrastive_entropy",
    "learning_rate",
    "images_per_second",
)
