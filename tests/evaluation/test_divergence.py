"""One process: features that are not finite, and fits that blow up, end every protocol alike."""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from workloads.catalog.simclr import SIMCLR
from workloads.datasets import DataSet, load
from workloads.distributed.worker import Worker
from workloads.evaluation.divergence import (
    DIVERGENCE,
    FeaturesNotFiniteError,
    FinetuneDivergedError,
    FitDivergedError,
)
from workloads.evaluation.evaluate import evaluate
from workloads.evaluation.features.cache import cached_features
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.protocols.finetune import Recipe, fit_network, network_scores
from workloads.evaluation.protocols.linear import fit_lbfgs, fit_sgd, regression_path
from workloads.evaluation.protocols.probes import fit_probe
from workloads.evaluation.validation_score import validation_score
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import LinearSgdSpec, ProbeSpec, RunSpec

CPU = Worker(torch.device("cpu"))
DIGITS = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop", "color"]},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "schedule": {"epochs": 0, "batch_size": 60},
        "eval": {"l2": [1e-2], "sgd": {"epochs": 1}, "probe": {"epochs": 1}},
        "precision": "fp32",
    }
)
State = dict[str, Any]


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load(DIGITS.data)


@pytest.fixture
def state() -> State:
    (result,) = pretrain(DIGITS, CPU)
    return result.state


def of_nan(state: State) -> State:
    state["model"]["encoder.stages.0.weight"][0] = torch.nan
    return state


def too_large(state: State) -> State:
    """All weights are finite, and their product is not."""
    for name, tensor in state["model"].items():
        if name.startswith("encoder.") and name.endswith("weight"):
            tensor.mul_(1e9)
    return state


def hardly_countable(state: State) -> State:
    """Features are finite, and their squares are not."""
    for name, tensor in state["model"].items():
        if name.startswith("encoder.stages.10") and name.endswith(("weight", "bias")):
            tensor.add_(1).mul_(1e30)
    return state


LINEAR: dict[str, Any] = {}
ASKED: dict[str, dict[str, Any]] = {
    "linear": LINEAR,
    "sgd": {"eval.protocol": "sgd"},
    "z": {"eval.protocol": "none", "eval.projection": True},
    "probe": {"eval.protocol": "none", "eval.probe.tasks": ["rotation"]},
    "transfer": {
        "eval.protocol": "none",
        "eval.transfer.protocols": ["linear"],
        "eval.transfer.data.name": "digits",
        "eval.transfer.data.train_images": 100,
    },
    "finetune": {
        "eval.protocol": "none",
        "eval.finetune.labels": [1.0],
        "eval.finetune.epochs": [1],
    },
    "transfer-finetune": {
        "eval.protocol": "none",
        "eval.transfer.protocols": ["finetune"],
        "eval.transfer.data.name": "digits",
        "eval.transfer.data.train_images": 100,
        "eval.transfer.steps": 1,
    },
}


@pytest.mark.parametrize("spoil", [of_nan, too_large])
@pytest.mark.parametrize("asked", ASKED)
def test_features_that_are_not_finite_end_every_protocol_as_a_divergence(
    asked: str, spoil: Callable[[State], State], state: State
) -> None:
    with pytest.raises(DIVERGENCE) as caught:
        evaluate(DIGITS.with_values(ASKED[asked]), spoil(state), CPU)
    assert isinstance(caught.value, SIMCLR.divergence)
    assert "not finite: training has diverged" in str(caught.value) or isinstance(
        caught.value, FinetuneDivergedError
    )


@pytest.mark.parametrize("spoil", [of_nan, too_large])
def test_so_are_they_in_pictures_and_in_what_a_search_compares(
    spoil: Callable[[State], State], state: State
) -> None:
    spoilt = spoil(state)
    with pytest.raises(FeaturesNotFiniteError, match="h is not finite"):
        SIMCLR.inspect(DIGITS, spoilt, CPU)
    with pytest.raises(FeaturesNotFiniteError, match="h is not finite"):
        validation_score(DIGITS, spoilt, CPU)


def test_features_that_cannot_be_counted_with_are_not_finite_either(state: State) -> None:
    with pytest.raises(FeaturesNotFiniteError):
        evaluate(DIGITS, hardly_countable(state), CPU)


def test_they_are_not_kept(state: State, data: DataSet, tmp_path: Path) -> None:
    encoder = FrozenEncoder.of_state(DIGITS, too_large(state), CPU)
    for _ in range(2):
        with pytest.raises(FeaturesNotFiniteError):
            cached_features(encoder, data.test, content="a", cache=tmp_path)
        assert not list(tmp_path.glob("*.npy"))
        assert not list(tmp_path.glob("*.partial"))


def test_regressions_refuse_what_was_kept_before() -> None:
    features = np.random.default_rng(0).normal(size=(20, 3)).astype(np.float32)
    features[4, 1] = np.inf
    labels = np.arange(20) % 2
    with pytest.raises(FeaturesNotFiniteError):
        fit_lbfgs(features, labels, (features, labels), classes=2, l2=(1.0,))
    with pytest.raises(FeaturesNotFiniteError):
        list(regression_path(features, labels, classes=2, l2=(1.0,)))


def test_a_fit_that_blows_up_says_so(state: State, data: DataSet) -> None:
    encoder = FrozenEncoder.of_state(DIGITS, state, CPU)
    features = encoder.features(data.train)
    wild = LinearSgdSpec(epochs=2, base_learning_rate=1e25, weight_decay=1e25, batch_size=16)
    with pytest.raises(FitDivergedError, match=r"linear evaluation by SGD .* diverged"):
        fit_sgd(encoder, data.train, wild, feature_dim=features.shape[1], classes=10, seed=0)
    probe = ProbeSpec(epochs=2, learning_rate=1e30, batch_size=16)
    with pytest.raises(FitDivergedError, match=r"a probe .* diverged"):
        fit_probe(features, data.train.labels, probe, classes=10, seed=0, device=CPU.device)


def test_an_online_classifier_that_blew_up_says_so() -> None:
    spec = DIGITS.with_values(
        {"schedule.epochs": 1, "schedule.warmup_epochs": 0, "eval.online": True}
    )
    (result,) = pretrain(spec, CPU)
    result.state["online"]["classifier"]["weight"][0, 0] = torch.nan
    with pytest.raises(FitDivergedError, match="the online classifier diverged"):
        evaluate(spec, result.state, CPU)


def test_outputs_of_a_fine_tuned_network_that_overflow_are_its_divergence(
    state: State, data: DataSet
) -> None:
    """Its weights are finite after the last step, and too large for its outputs."""
    encoder = FrozenEncoder.of_state(DIGITS, state, CPU)
    recipe = Recipe(
        steps=1, batch_size=32, learning_rate=1e12, momentum=0.0, weight_decay=0.0, min_area=0.5
    )
    network = fit_network(encoder, data.train, recipe, outputs=10, seed=0)
    with torch.no_grad():
        for parameter in network.encoder.parameters():
            parameter.mul_(1e9)
    with pytest.raises(FinetuneDivergedError, match=r"at step 0 \(learning rate 1e\+12\)"):
        network_scores(network, data.test, encoder)


@pytest.mark.parametrize("error", [FeaturesNotFiniteError("h"), FitDivergedError("a probe")])
def test_errors_travel_between_processes(error: RuntimeError) -> None:
    copy = pickle.loads(pickle.dumps(error))
    assert type(copy) is type(error)
    assert str(copy) == str(error)
