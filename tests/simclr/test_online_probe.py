"""One process with an oracle, and two over gloo: a classifier trained beside the encoder, which
does not notice it.
"""

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from workloads.checkpoint import decode, encode
from workloads.datasets import load
from workloads.distributed.worker import Worker
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.protocols.online import online_result
from workloads.simclr.online import OnlineProbe
from workloads.simclr.pretrain import pretrain, problems_with
from workloads.simclr.spec import RunSpec
from workloads.simclr.trained import load_encoder
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
# 180 training images: 5 steps of 32 an epoch.
SPEC = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop", "color"], "color": {"strength": 0.5}},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.5},
        "optim": {"name": "sgd", "base_learning_rate": 0.002, "scaling": "none"},
        "schedule": {"epochs": 2, "batch_size": 32, "warmup_epochs": 1},
        "eval": {"online": True},
        "precision": "fp32",
    }
)
WITHOUT = SPEC.with_values({"eval.online": False})
DIGITS = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 12, "train_images": 400},
        "augment": {"operations": ["crop"], "crop": {"min_area": 0.6, "flip": 0}},
        "encoder": {"architecture": "convnet", "width": 0.25, "stem": "cifar"},
        "head": {"output_dim": 16},
        "loss": {"temperature": 0.5},
        "optim": {"name": "adamw", "base_learning_rate": 0.003, "scaling": "none"},
        "schedule": {"epochs": 12, "batch_size": 32, "warmup_epochs": 1},
        "eval": {"online": True},
        "precision": "fp32",
    }
)
Results = list[dict[str, Any]]


def trained(spec: RunSpec, worker: Worker = CPU, resume: dict[str, Any] | None = None) -> Results:
    return [
        {"metrics": result.metrics, "state": result.state}
        for result in pretrain(spec, worker, resume)
    ]


def whole_and_resumed(folder: Path) -> dict[str, Results]:
    worker = Worker.here("cpu")
    first = decode((folder / "first.pt").read_bytes())
    return {"whole": trained(SPEC, worker), "resumed": trained(SPEC, worker, first)}


@pytest.fixture(scope="module")
def alone() -> Results:
    return trained(SPEC)


@pytest.fixture(scope="module")
def workers(
    alone: Results,
    tmp_path_factory: pytest.TempPathFactory,
    gloo_group: Callable[..., list[dict[str, Results]]],
) -> list[dict[str, Results]]:
    folder = tmp_path_factory.mktemp("group")
    (folder / "first.pt").write_bytes(encode(alone[0]["state"]))
    return gloo_group(whole_and_resumed, folder, seconds=120)


@pytest.fixture(scope="module")
def digits() -> Results:
    return trained(DIGITS)


# The encoder does not notice


@pytest.mark.parametrize(
    "values",
    [{}, {"optim.name": "lars", "optim.base_learning_rate": 0.2}, {"head.num_linear_layers": 0}],
)
def test_the_encoder_is_the_same_with_and_without(values: dict[str, Any]) -> None:
    """Bit for bit: weights, optimizer, and every metric that there is without it."""
    torch.manual_seed(7)
    before = torch.get_rng_state()
    with_it, without = (trained(spec.with_values(values)) for spec in (SPEC, WITHOUT))
    assert torch.equal(torch.get_rng_state(), before), "nobody else's random numbers are drawn"
    for one, other in zip(with_it, without, strict=True):
        assert one["state"].keys() - other["state"].keys() == {"online"}
        for name in ("model", "optimizer"):
            torch.testing.assert_close(one["state"][name], other["state"][name], rtol=0, atol=0)
        assert one["metrics"].keys() - other["metrics"].keys() == {"online_accuracy"}
        for name in other["metrics"].keys() - {"images_per_second"}:
            assert one["metrics"][name] == pytest.approx(other["metrics"][name], rel=1e-6)


# What it learns


def test_a_step_is_nesterov_on_both_views() -> None:
    """Two steps written out; h gets no gradient."""
    generator = torch.Generator().manual_seed(0)
    probe = OnlineProbe(4, 3, 512, CPU)
    assert probe.peak == pytest.approx(0.2)
    weight, bias = torch.zeros(3, 4), torch.zeros(3)
    momenta = [torch.zeros(3, 4), torch.zeros(3)]
    for rate in (0.5, 0.1):
        h = torch.randn(10, 4, generator=generator, requires_grad=True)
        labels = torch.tensor([0, 2, 1, 1, 0])
        probe.set_rate(rate)
        accuracy = probe.step(h, labels)
        assert h.grad is None
        twice = torch.cat([labels, labels])
        logits = h.detach() @ weight.T + bias
        assert float(accuracy) == pytest.approx(
            100 * float((logits.argmax(1) == twice).float().mean())
        )
        residual = (logits.softmax(1) - F.one_hot(twice, 3)) / 10
        for index, (parameter, gradient) in enumerate(
            ((weight, residual.T @ h.detach()), (bias, residual.sum(0)))
        ):
            momenta[index] = 0.9 * momenta[index] + gradient
            parameter -= rate * (gradient + 0.9 * momenta[index])
    torch.testing.assert_close(probe.classifier.weight.data, weight)
    torch.testing.assert_close(probe.classifier.bias.data, bias)


def test_its_rate_is_that_of_linear_evaluation_in_the_shape_of_pre_training(alone: Results) -> None:
    """5 steps of warm-up, of 10 in all: the last step of each epoch tells."""
    rates = [result["state"]["online"]["optimizer"]["param_groups"][0]["lr"] for result in alone]
    peak = 0.1 * 32 / 256
    assert rates == [
        pytest.approx(peak * 4 / 5),
        pytest.approx(peak * (1 + math.cos(math.pi * 4 / 5)) / 2),
    ]


def test_it_tells_digits_apart(digits: Results) -> None:
    """Far above chance, on views in training and on clean images that it never saw."""
    spec, state = DIGITS, digits[-1]["state"]
    data, encoder = load(spec.data), load_encoder(spec, state, CPU)
    accuracies = [result["metrics"]["online_accuracy"] for result in digits]
    assert accuracies[0] < accuracies[-1]
    assert 40 < accuracies[-1] <= 100
    validation, test = (
        FrozenEncoder(encoder, 12, CPU).features(split) for split in (data.validation, data.test)
    )
    probed = online_result(spec, state, data, validation, test)
    classifier = state["online"]["classifier"]
    best = (
        (torch.from_numpy(test) @ classifier["weight"].T + classifier["bias"])
        .topk(5)
        .indices.numpy()
    )
    right = best == data.test.labels[:, None]
    assert probed.results["online_top1"] == pytest.approx(100 * right[:, 0].mean())
    assert probed.results["online_top5"] == pytest.approx(100 * right.any(1).mean())
    assert probed.results["online_top1"] > 50
    assert np.array_equal(probed.predictions["online_top1"].predicted, best[:, 0])
    swapped = online_result(spec, state, data, test[: len(validation)], test)
    assert probed.results["online_validation_top1"] > 50 > swapped.results["online_validation_top1"]


# Continuing, two workers, and what is refused


def test_it_continues_bit_for_bit(alone: Results) -> None:
    state = alone[0]["state"]
    for resume in (state, decode(encode(state))):
        (again,) = trained(SPEC, resume=resume)
        for name in ("online", "model", "optimizer"):
            torch.testing.assert_close(
                again["state"][name], alone[1]["state"][name], rtol=0, atol=0
            )
        assert again["metrics"]["online_accuracy"] == alone[1]["metrics"]["online_accuracy"]


def test_states_are_those_of_their_own_epoch(alone: Results) -> None:
    first, last = (result["state"]["online"]["classifier"]["weight"] for result in alone)
    assert 0 < first.abs().max() < 1
    assert (last - first).abs().max() > 1e-4


def test_two_workers_give_the_classifier_of_one(
    workers: list[dict[str, Results]], alone: Results
) -> None:
    """To 1e-5, where the last epoch moved it by more than 1e-3; both hold the same bits."""
    first, last = (result["state"]["online"]["classifier"]["weight"] for result in alone)
    assert (last - first).abs().max() > 1e-3
    for worker in workers:
        for results, expected in ((worker["whole"], alone), (worker["resumed"], alone[1:])):
            for result, reference in zip(results, expected, strict=True):
                torch.testing.assert_close(
                    result["state"]["online"], reference["state"]["online"], rtol=1e-3, atol=1e-5
                )
                assert result["metrics"]["online_accuracy"] == pytest.approx(
                    reference["metrics"]["online_accuracy"], abs=100 / 320
                )
    for one, other in zip(workers[0]["whole"], workers[1]["whole"], strict=True):
        torch.testing.assert_close(one["state"]["online"], other["state"]["online"], rtol=0, atol=0)


def test_a_supervised_run_refuses_it() -> None:
    spec = SPEC.with_values({"loss.name": "cross-entropy"})
    (problem,) = problems_with(spec, 180, 1)
    assert problem.startswith("eval.online=True: loss.name='cross-entropy'")
    assert problems_with(SPEC, 180, 1) == []
    with pytest.raises(SpecError, match=r"eval\.online=True"):
        trained(spec)


def test_an_untrained_state_has_none() -> None:
    spec = SPEC.with_values({"schedule.epochs": 0, "schedule.warmup_epochs": 0})
    (result,) = trained(spec)
    assert "online" not in result["state"]
    nothing = np.zeros((0, 32), np.float32)
    with pytest.raises(SpecError, match="after epoch 0 has no online classifier"):
        online_result(spec, result["state"], load(spec.data), nothing, nothing)
