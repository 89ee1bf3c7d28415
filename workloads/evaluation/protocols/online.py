"""The online probe's classifier, evaluated on clean features."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import DataSet
from workloads.evaluation.divergence import FitDivergedError
from workloads.evaluation.metrics.scores import classified, top_k_accuracy
from workloads.evaluation_result import EvaluationResult
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

__all__ = ["online_result"]


def online_result(
    spec: RunSpec,
    state: dict[str, Any],
    data: DataSet,
    features_validation: NDArray[np.float32],
    features_test: NDArray[np.float32],
) -> EvaluationResult:
    """Evaluate the online classifier of a state on clean features h [N, D].

    Results are online_top1, online_top5 and online_validation_top1, of unbalanced test classes also
    online_mean_per_class.
    Raises SpecError when the state has none: it was trained without, or not at all;
    FitDivergedError when its weights are not finite.
    """
    if "online" not in state:
        raise SpecError(
            [
                f"eval.online={spec.eval.online}: the state after epoch {state['epoch']} has no "
                "online classifier"
            ]
        )
    classifier = state["online"]["classifier"]
    weight, bias = (classifier[name].numpy() for name in ("weight", "bias"))
    if not np.isfinite(weight).all() or not np.isfinite(bias).all():
        raise FitDivergedError("the online classifier")
    validation = top_k_accuracy(features_validation @ weight.T + bias, data.validation.labels, 1)
    return classified(
        "online", features_test @ weight.T + bias, data.test.labels
    ) | EvaluationResult({"online_validation_top1": validation})
