"""What of a run needs the labels of its data, where these have none.

Only pre-training does without: an encoder is evaluated on other data.
"""

from workloads.datasets import why_without_labels
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

__all__ = ["LABELLED_RESULTS", "label_problems"]

# How results and metrics begin that come from labels, or from test images, of a run's own data.
LABELLED_RESULTS = (
    *("linear", "knn", "classifier", "online", "finetune", "probe"),
    *("training_accuracy", "validation_score"),
)
ELSEWHERE = "evaluate on other data by eval.transfer.data, or later by `simclr-orch evaluate`"


def label_problems(spec: RunSpec) -> list[str]:
    """List what a specification asks that needs labels, and why the data have none.

    The list is empty for data with labels.
    """
    if spec.data.labels != "none":
        return []
    asked = {
        f"loss.name={spec.loss.name!r}: trains on labels; needs a contrastive loss": (
            spec.loss.name == "cross-entropy"
        ),
        f"eval.protocol={spec.eval.protocol!r}: needs labels; needs none, and {ELSEWHERE}": (
            spec.eval.protocol != "none"
        ),
        "eval.online=True: trains a classifier on labels; needs false": spec.eval.online,
        "eval.projection=True: needs labels; needs false": spec.eval.projection,
        f"eval.finetune.labels={list(spec.eval.finetune.labels)}: needs labels; needs []": bool(
            spec.eval.finetune.labels
        ),
        f"eval.metrics.names={list(spec.eval.metrics.names)}: needs labels; needs []": bool(
            spec.eval.metrics.names
        ),
        f"eval.probe.tasks={list(spec.eval.probe.tasks)}: needs test images; needs []": bool(
            spec.eval.probe.tasks
        ),
    }
    if not (found := [problem for problem, is_asked in asked.items() if is_asked]):
        return []
    return [*found, *_why(spec)]


def _why(spec: RunSpec) -> list[str]:
    try:
        reasons = why_without_labels(spec.data)
    except SpecError as error:
        reasons = error.problems
    return [f"data without labels: {reason}" for reason in reasons]
