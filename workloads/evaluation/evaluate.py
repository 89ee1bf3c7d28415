"""What a trained encoder is worth, by all that `spec.eval` asks for.

Linear evaluation and nearest neighbours on frozen features, and what is added to them.
"""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import DataSet, load
from workloads.distributed.data_parallel import on_every_worker
from workloads.distributed.worker import Worker
from workloads.evaluation.features.cache import cached_features
from workloads.evaluation.features.digests import unchanged
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import classified, scored, top_k_accuracy
from workloads.evaluation.own_metrics import measured
from workloads.evaluation.protocols.finetune import finetuned
from workloads.evaluation.protocols.knn import chosen_knn, knn_scores
from workloads.evaluation.protocols.linear import LinearClassifier, fit_lbfgs, fit_sgd
from workloads.evaluation.protocols.online import online_result
from workloads.evaluation.protocols.probes import probe_accuracies
from workloads.evaluation.protocols.transfer import transferred
from workloads.evaluation_result import EvaluationResult
from workloads.simclr.labels_needed import label_problems
from workloads.simclr.pretrain import SimCLR
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import SupervisedModel, is_supervised, supervised_problems
from workloads.simclr.trained import load_model
from workloads.spec import SpecError

__all__ = ["Features", "evaluate"]

Features = dict[str, NDArray[np.float32]]


def evaluate(spec: RunSpec, state: dict[str, Any], worker: Worker) -> EvaluationResult:
    """Evaluate the encoder of a run's last epoch as `spec.eval` says, mostly by accuracies in %.

    Unless `eval.protocol` is none: linear_top1, linear_top5, linear_validation_top1, linear_l2,
    linear_converged, knn_top1, knn_top5, all of h, and with choices for the neighbours knn_k,
    knn_temperature, knn_validation_top1.
    A supervised run's trained classifier on the same clean views: classifier_top1, classifier_top5,
    classifier_validation_top1. With `eval.projection`: linear_top1_z, linear_validation_top1_z, by
    logistic regression on cached z also where the protocol for h is sgd. With `eval.probe.tasks`:
    `probe_{task}_h`, `probe_{task}_z`.
    With `eval.online`: online_top1, online_top5, online_validation_top1. With
    `eval.finetune.labels`, for p % of them: `finetune_{p}_top1`, `finetune_{p}_top5`,
    `finetune_{p}_validation_top1`, `finetune_{p}_images`. With `eval.transfer.protocols`:
    `transfer_linear`, `transfer_finetune` in the other data's metric, and what was chosen. With
    `eval.metrics.names`: whatever these give. Where
    the test classes are not balanced, `{name}_mean_per_class` stands beside every `{name}_top5`
    (see `classified`).

    The labels of the test images are read once, after everything is chosen on the validation split.
    Every worker calls, and the first is told; the others, who get an empty result, are done once
    nothing is left that takes more than one.
    Raises SpecError for z of a supervised run, RuntimeError if the encoder or the head was changed.
    """
    if problems := [
        *supervised_problems(spec),
        *label_problems(spec),
        *_head_problems(spec, state),
    ]:
        raise SpecError(problems)

    data = on_every_worker(lambda: load(spec.data, without_labels=True), worker)
    encoder = FrozenEncoder.of_state(spec, state, worker)
    with encoder.unchanged():
        features = {
            name: cached_features(encoder, getattr(data, name), content=data.content)
            for name in _splits_read(spec)
        }

        # What all workers do together comes first, so that none waits for what the first one does
        # alone.
        by_sgd = None
        if spec.eval.protocol == "sgd":
            by_sgd = _by_sgd(spec, encoder, data, features)
        adapted = _adapted(spec, encoder, data)
        if worker.rank > 0:
            return EvaluationResult({})

        result = EvaluationResult({})
        if spec.eval.protocol != "none":
            linear = by_sgd or _by_regression(spec, data, features)
            result |= _of_representation(linear, data, features)
            result |= _of_neighbours(spec, data, features)
        # Untrained runs share their results, whatever they would have been trained by.
        if is_supervised(spec) and spec.schedule.epochs:
            result |= _of_classifier(spec, state, encoder, data, features)
        if spec.eval.projection or spec.eval.probe.tasks:
            result |= _of_head(spec, state, encoder, data, features)
        if spec.eval.online and spec.schedule.epochs:
            result |= online_result(spec, state, data, features["validation"], features["test"])
        if spec.eval.metrics.names:
            labels = {name: getattr(data, name).labels for name in features}
            result |= measured(spec.eval.metrics, features, labels)
    return result | adapted


def _head_problems(spec: RunSpec, state: dict[str, Any]) -> list[str]:
    asked = spec.eval.projection or spec.eval.probe.tasks
    has_head = any(name.startswith("head.") for name in state["model"])
    if not asked or not spec.head.num_linear_layers or has_head:
        return []
    return [
        "eval.projection, eval.probe.tasks: need a projection head, which weights from elsewhere "
        "come without"
    ]


def _splits_read(spec: RunSpec) -> tuple[str, ...]:
    """The splits of whose features something is made."""
    if spec.eval.protocol != "none" or spec.eval.projection or spec.eval.metrics.names:
        return ("train", "validation", "test")
    classified = spec.eval.online or is_supervised(spec)
    return ("validation", "test") if classified and spec.schedule.epochs else ()


def _adapted(spec: RunSpec, encoder: FrozenEncoder, data: DataSet) -> EvaluationResult:
    """Fine-tuning on labels of the same data, and transfer to others."""
    result = EvaluationResult({})
    if spec.eval.finetune.labels:
        result |= finetuned(spec, encoder, data)
    if spec.eval.transfer.protocols:
        result |= transferred(spec, encoder)
    return result


def _of_representation(
    linear: LinearClassifier, data: DataSet, features: Features
) -> EvaluationResult:
    """Linear evaluation of h."""
    validation = linear.scores(features["validation"])
    chosen = {
        "linear_validation_top1": top_k_accuracy(validation, data.validation.labels, 1),
        "linear_l2": linear.l2,
        "linear_converged": float(linear.converged),
    }
    tested = classified("linear", linear.scores(features["test"]), data.test.labels)
    return tested | EvaluationResult(chosen)


def _of_neighbours(spec: RunSpec, data: DataSet, features: Features) -> EvaluationResult:
    """Nearest neighbours of h."""
    bank, asked, knn = features["train"], features["validation"], spec.eval.knn
    labels, classes = data.train.labels, len(data.classes)

    chosen: dict[str, float] = {}
    if knn.k_choices or knn.temperature_choices:
        held_out = asked, data.validation.labels
        knn = chosen_knn(bank, labels, held_out, classes=classes, knn=knn)
        validation = knn_scores(bank, labels, asked, classes=classes, knn=knn)
        chosen = {
            "knn_k": knn.k,
            "knn_temperature": knn.temperature,
            "knn_validation_top1": top_k_accuracy(validation, data.validation.labels, 1),
        }

    test = knn_scores(bank, labels, features["test"], classes=classes, knn=knn)
    return classified("knn", test, data.test.labels) | EvaluationResult(chosen)


def _of_classifier(
    spec: RunSpec,
    state: dict[str, Any],
    encoder: FrozenEncoder,
    data: DataSet,
    features: Features,
) -> EvaluationResult:
    """What the classifier that was trained with the encoder says of the same features."""
    model = load_model(spec, state, encoder.worker)
    assert isinstance(model, SupervisedModel), "asked for supervised runs only"

    # In float32 also where the encoder is computed in bf16.
    exact = replace(encoder, bf16=False)
    validation = exact.outputs_of(model.classifier, features["validation"])
    test = exact.outputs_of(model.classifier, features["test"])
    chosen = {"classifier_validation_top1": top_k_accuracy(validation, data.validation.labels, 1)}
    return classified("classifier", test, data.test.labels) | EvaluationResult(chosen)


def _of_head(
    spec: RunSpec,
    state: dict[str, Any],
    encoder: FrozenEncoder,
    data: DataSet,
    features: Features,
) -> EvaluationResult:
    """Linear evaluation of z = g(h), and the probes of h and z."""
    model = load_model(spec, state, encoder.worker)
    assert isinstance(model, SimCLR), "supervised runs are refused"

    result = EvaluationResult({})
    with unchanged(model.head):
        if spec.eval.projection:
            z = {name: encoder.outputs_of(model.head, h) for name, h in features.items()}
            linear = _by_regression(spec, data, z)
            validation = top_k_accuracy(linear.scores(z["validation"]), data.validation.labels, 1)
            result |= scored("linear_top1_z", "top-1", linear.scores(z["test"]), data.test.labels)
            result |= EvaluationResult({"linear_validation_top1_z": validation})
        result |= probe_accuracies(encoder, model.head, data, spec)
    return result


def _by_sgd(
    spec: RunSpec, encoder: FrozenEncoder, data: DataSet, features: Features
) -> LinearClassifier:
    return fit_sgd(
        encoder,
        data.train,
        spec.eval.sgd,
        feature_dim=features["train"].shape[1],
        classes=len(data.classes),
        seed=spec.seed,
    )


def _by_regression(spec: RunSpec, data: DataSet, features: Features) -> LinearClassifier:
    held_out = features["validation"], data.validation.labels
    return fit_lbfgs(
        features["train"], data.train.labels, held_out, classes=len(data.classes), l2=spec.eval.l2
    )
