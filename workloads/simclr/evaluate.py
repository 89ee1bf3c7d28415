"""What a pre-trained encoder is worth: linear evaluation and nearest neighbours on frozen features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import nn

from workloads.datasets import DataSet, load
from workloads.evaluation.features import encoder_digest, extract
from workloads.evaluation.knn import knn_scores
from workloads.evaluation.linear import LinearClassifier, fit_lbfgs, fit_sgd
from workloads.evaluation.scores import top_k_accuracy
from workloads.simclr.pretrain import initial_model
from workloads.simclr.spec import RunSpec
from workloads.worker import Worker

__all__ = ["Features", "evaluate", "load_encoder"]

Features = dict[str, NDArray[np.float32]]


def load_encoder(spec: RunSpec, state: dict[str, Any], worker: Worker) -> nn.Module:
    """The encoder f of a pre-training state, in inference mode. Every one of its keys must fit."""
    encoder = initial_model(spec).encoder
    # Without the head: an untrained encoder's fingerprint does not name one.
    weights = {name: value for name, value in state["model"].items() if name.startswith("encoder.")}
    encoder.load_state_dict({name.removeprefix("encoder."): value for name, value in weights.items()})
    return encoder.to(worker.device).eval()


def evaluate(spec: RunSpec, state: dict[str, Any], worker: Worker) -> dict[str, float]:
    """Test accuracies in % of the last epoch's encoder, by `spec.eval`, with what was chosen on the validation split.

    Keys: linear_top1, linear_top5, linear_validation_top1, linear_l2, linear_converged, knn_top1, knn_top5. The labels of
    the test images are read once, after everything is chosen. Raises RuntimeError if the encoder was changed.
    """
    data = load(spec.data)
    encoder = load_encoder(spec, state, worker)
    bf16 = spec.precision == "bf16" and worker.bf16
    before = encoder_digest(encoder)
    features = {
        name: extract(encoder, getattr(data, name), view_size=spec.view_size, worker=worker, bf16=bf16)
        for name in ("train", "validation", "test")
    }
    linear = _linear(spec, encoder, data, features, worker, bf16)
    if encoder_digest(encoder) != before:
        raise RuntimeError("linear evaluation changed the encoder that it had to leave frozen")
    validation = top_k_accuracy(linear.scores(features["validation"]), data.validation.labels, 1)
    neighbours = knn_scores(
        features["train"], data.train.labels, features["test"], classes=len(data.classes), knn=spec.eval.knn
    )
    scores, labels = linear.scores(features["test"]), data.test.labels
    return {
        "linear_top1": top_k_accuracy(scores, labels, 1),
        "linear_top5": top_k_accuracy(scores, labels, 5),
        "linear_validation_top1": validation,
        "linear_l2": linear.l2,
        "linear_converged": float(linear.converged),
        "knn_top1": top_k_accuracy(neighbours, labels, 1),
        "knn_top5": top_k_accuracy(neighbours, labels, 5),
    }


def _linear(
    spec: RunSpec, encoder: nn.Module, data: DataSet, features: Features, worker: Worker, bf16: bool
) -> LinearClassifier:
    match spec.eval.protocol:
        case "lbfgs":
            held_out = features["validation"], data.validation.labels
            return fit_lbfgs(features["train"], data.train.labels, held_out, classes=len(data.classes), l2=spec.eval.l2)
        case "sgd":
            return fit_sgd(
                encoder,
                data.train,
                spec.eval.sgd,
                feature_dim=features["train"].shape[1],
                classes=len(data.classes),
                view_size=spec.view_size,
                worker=worker,
                bf16=bf16,
                seed=spec.seed,
            )
