"""A quick evaluation of a state in training, for searches that compare settings before they end."""

from typing import Any

from workloads.datasets import load
from workloads.distributed.data_parallel import said_by_first
from workloads.distributed.worker import Worker
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import top_k_accuracy
from workloads.evaluation.protocols.knn import knn_scores
from workloads.simclr.spec import RunSpec

__all__ = ["validation_score"]


def validation_score(spec: RunSpec, state: dict[str, Any], worker: Worker) -> float:
    """Compute kNN top-1 in % of the validation images, with the training images as the bank.

    By `spec.eval.knn`. A second of work where logistic regression takes ten; the test split is not
    touched. Every worker calls and is told.
    """
    data = load(spec.data)
    encoder = FrozenEncoder.of_state(spec, state, worker)
    bank, asked = encoder.features(data.train), encoder.features(data.validation)

    score = 0.0
    if worker.rank == 0:
        scores = knn_scores(
            bank, data.train.labels, asked, classes=len(data.classes), knn=spec.eval.knn
        )
        score = float(top_k_accuracy(scores, data.validation.labels, 1))
    (score,) = said_by_first([score], worker)
    return score
