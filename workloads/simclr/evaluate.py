"""What a trained encoder is worth: linear evaluation and nearest neighbours on frozen features, and what spec.eval adds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from workloads.datasets import DataSet, load
from workloads.evaluation.features import encoder_digest, extract
from workloads.evaluation.knn import knn_scores
from workloads.evaluation.linear import LinearClassifier, fit_lbfgs, fit_sgd
from workloads.evaluation.probes import probe_accuracies
from workloads.evaluation.scores import top_k_accuracy
from workloads.simclr.pretrain import SimCLR, initial_model
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import SupervisedModel, is_supervised, supervised_problems
from workloads.spec import SpecError
from workloads.worker import Worker

__all__ = ["Features", "evaluate", "load_encoder", "load_model"]

Features = dict[str, NDArray[np.float32]]


def load_encoder(spec: RunSpec, state: dict[str, Any], worker: Worker) -> nn.Module:
    """The encoder f of a training state, in inference mode. Every one of its keys must fit."""
    encoder = initial_model(spec).encoder
    # Without what follows it: an untrained encoder's fingerprint does not name a head.
    weights = {name: value for name, value in state["model"].items() if name.startswith("encoder.")}
    encoder.load_state_dict({name.removeprefix("encoder."): value for name, value in weights.items()})
    return encoder.to(worker.device).eval()


def load_model(spec: RunSpec, state: dict[str, Any], worker: Worker) -> SimCLR | SupervisedModel:
    """The encoder and its projection head, or a supervised run's classifier, in inference mode. Every key must fit."""
    weights = state["model"]
    model: SimCLR | SupervisedModel
    model = initial_model(spec, len(weights["classifier.bias"])) if is_supervised(spec) else initial_model(spec)
    model.load_state_dict(weights)
    return model.to(worker.device).eval()


def evaluate(spec: RunSpec, state: dict[str, Any], worker: Worker) -> dict[str, float]:
    """Test accuracies in % of the last epoch's encoder, by `spec.eval`, with what was chosen on the validation split.

    Always: linear_top1, linear_top5, linear_validation_top1, linear_l2, linear_converged, knn_top1, knn_top5, all of h.
    A supervised run's trained classifier on the same clean views: classifier_top1, classifier_top5,
    classifier_validation_top1. With `eval.projection`: linear_top1_z, linear_validation_top1_z, by logistic regression on
    cached z also where the protocol for h is sgd. With `eval.probe.tasks`: `probe_{task}_h`, `probe_{task}_z`.

    The labels of the test images are read once, after everything is chosen. Raises SpecError for z of a supervised run,
    RuntimeError if the encoder or the head was changed.
    """
    if problems := supervised_problems(spec):
        raise SpecError(problems)
    data = load(spec.data)
    encoder = load_encoder(spec, state, worker)
    bf16 = spec.precision == "bf16" and worker.bf16
    with _frozen(encoder):
        features = {
            name: extract(encoder, getattr(data, name), view_size=spec.view_size, worker=worker, bf16=bf16)
            for name in ("train", "validation", "test")
        }
        results = _of_representation(spec, encoder, data, features, worker, bf16)
        # Untrained runs share their results, whatever they would have been trained by.
        if is_supervised(spec) and spec.schedule.epochs:
            results |= _of_classifier(spec, state, data, features, worker)
        if spec.eval.projection or spec.eval.probe.tasks:
            results |= _of_head(spec, state, encoder, data, features, worker, bf16)
    return results


@contextmanager
def _frozen(*modules: nn.Module) -> Iterator[None]:
    before = [encoder_digest(module) for module in modules]
    yield
    if [encoder_digest(module) for module in modules] != before:
        raise RuntimeError("the evaluation changed the encoder or the head that it had to leave frozen")


def _of_representation(
    spec: RunSpec, encoder: nn.Module, data: DataSet, features: Features, worker: Worker, bf16: bool
) -> dict[str, float]:
    """Linear evaluation and nearest neighbours of h."""
    linear = _linear(spec, encoder, data, features, worker, bf16)
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


def _of_classifier(spec: RunSpec, state: dict[str, Any], data: DataSet, features: Features, worker: Worker) -> dict[str, float]:
    """What the classifier that was trained with the encoder says of the same features."""
    model = load_model(spec, state, worker)
    assert isinstance(model, SupervisedModel), "asked for supervised runs only"
    validation, test = (_applied(model.classifier, features[name], worker, bf16=False) for name in ("validation", "test"))
    return {
        "classifier_top1": top_k_accuracy(test, data.test.labels, 1),
        "classifier_top5": top_k_accuracy(test, data.test.labels, 5),
        "classifier_validation_top1": top_k_accuracy(validation, data.validation.labels, 1),
    }


def _of_head(
    spec: RunSpec, state: dict[str, Any], encoder: nn.Module, data: DataSet, features: Features, worker: Worker, bf16: bool
) -> dict[str, float]:
    """Linear evaluation of z = g(h), and the probes of h and z."""
    model = load_model(spec, state, worker)
    assert isinstance(model, SimCLR), "supervised runs are refused"
    results: dict[str, float] = {}
    with _frozen(model.head):
        if spec.eval.projection:
            z = {name: _applied(model.head, h, worker, bf16) for name, h in features.items()}
            linear = _by_regression(spec, data, z)
            results |= {
                "linear_top1_z": top_k_accuracy(linear.scores(z["test"]), data.test.labels, 1),
                "linear_validation_top1_z": top_k_accuracy(linear.scores(z["validation"]), data.validation.labels, 1),
            }
        results |= probe_accuracies(encoder, model.head, data, spec, worker=worker, bf16=bf16)
    return results


def _applied(module: nn.Module, features: NDArray[np.float32], worker: Worker, bf16: bool) -> NDArray[np.float32]:
    """A module's outputs [N, P] for cached features [N, D]."""
    with torch.inference_mode(), torch.autocast(worker.device.type, torch.bfloat16, enabled=bf16):
        rows = torch.split(torch.from_numpy(features), 4096)
        return torch.cat([module(part.to(worker.device)).float().cpu() for part in rows]).numpy()


def _linear(
    spec: RunSpec, encoder: nn.Module, data: DataSet, features: Features, worker: Worker, bf16: bool
) -> LinearClassifier:
    match spec.eval.protocol:
        case "lbfgs":
            return _by_regression(spec, data, features)
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


def _by_regression(spec: RunSpec, data: DataSet, features: Features) -> LinearClassifier:
    held_out = features["validation"], data.validation.labels
    return fit_lbfgs(features["train"], data.train.labels, held_out, classes=len(data.classes), l2=spec.eval.l2)
