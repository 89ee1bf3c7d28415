"""One process with an oracle: supervised training against a loop written by hand, and against
SimCLR's own guarantees.
"""

from dataclasses import replace
from math import cos, log, pi
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torchvision.transforms.functional import gaussian_blur

from workloads.checkpoint import decode, encode
from workloads.datasets import DataSet, Split, load
from workloads.distributed.worker import Worker
from workloads.evaluation.evaluate import evaluate
from workloads.simclr import pretrain as training
from workloads.simclr.optim import parameter_groups
from workloads.simclr.pretrain import EpochResult, LossNotFiniteError, initial_model, pretrain
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import SupervisedModel
from workloads.simclr.trained import load_encoder, load_model
from workloads.simclr.views import center_view
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
CPU_BF16 = Worker(torch.device("cpu"), bf16=True)

# 180 training images of 10 classes: 5 steps of 32 an epoch, and 20 images left over.
TINY = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 200, "test_images": 100},
        "augment": {"operations": ["crop", "color"], "crop": {"min_area": 0.5}},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "loss": {"name": "cross-entropy"},
        "optim": {"name": "adamw", "base_learning_rate": 0.02, "scaling": "none"},
        "schedule": {"epochs": 3, "batch_size": 32, "warmup_epochs": 1},
        "precision": "fp32",
    }
)
CONTRASTIVE = TINY.with_values({"loss.name": "nt-xent"})
# Digits seen whole, plus or minus a little, are soon told apart.
DIGITS = TINY.with_values(
    {
        "data.name": "digits",
        "data.train_images": 600,
        "data.test_images": None,
        "augment.operations": ["crop"],
        "augment.crop.min_area": 0.8,
        "augment.crop.flip": 0,
        "encoder.width": 0.25,
        "schedule.epochs": 8,
        "eval.l2": [1e-2],
    }
)
Labels = np.ndarray[Any, np.dtype[np.int64]]


def learned(result: EpochResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if name != "images_per_second"}


def assert_same(result: EpochResult, expected: EpochResult) -> None:
    """Bit for bit."""
    assert learned(result) == learned(expected)
    for part in ("model", "optimizer"):
        torch.testing.assert_close(result.state[part], expected.state[part], rtol=0, atol=0)


# A loop written by hand

# All images in one batch, and a view without chance: the blurred image.
PEAK, MOMENTUM, DECAY, EPOCHS = 0.5, 0.8, 0.1, 5
PLAIN = TINY.with_values(
    {
        "augment.operations": ["blur"],
        "augment.blur.probability": 1,
        "augment.blur.min_sigma": 1.5,
        "augment.blur.max_sigma": 1.5,
        "augment.blur.kernel_fraction": 0.3,
        "optim.name": "sgd",
        "optim.base_learning_rate": PEAK,
        "optim.momentum": MOMENTUM,
        "optim.weight_decay": DECAY,
        "schedule.epochs": EPOCHS,
        "schedule.batch_size": 180,
    }
)


def trained_by_hand() -> tuple[SupervisedModel, list[list[float]]]:
    train = load(PLAIN.data).train
    views = gaussian_blur(train.take(slice(None)).float() / 255, [5, 5], [1.5, 1.5])
    labels = torch.from_numpy(train.labels)
    model = initial_model(PLAIN, 10).train()
    weights = [weight for weight in model.encoder.parameters() if weight.ndim > 1]
    others = [weight for weight in model.encoder.parameters() if weight.ndim == 1] + [
        *model.classifier.parameters()
    ]
    groups: list[dict[str, Any]] = [{"params": weights, "weight_decay": DECAY}, {"params": others}]
    optimizer = torch.optim.SGD(groups, momentum=MOMENTUM)
    history = []
    for epoch in range(EPOCHS):
        rate = 0.0 if epoch == 0 else PEAK * (1 + cos(pi * (epoch - 1) / (EPOCHS - 1))) / 2
        for group in optimizer.param_groups:
            group["lr"] = rate
        logits = model.encoder(views) @ model.classifier.weight.T + model.classifier.bias
        loss = F.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        history.append(
            [loss.item(), 100 * float((logits.argmax(1) == labels).float().mean()), rate]
        )
    return model, history


def test_supervised_training_is_the_loop_written_by_hand() -> None:
    """The order of the images changes from epoch to epoch: a label that went astray would show."""
    results = list(pretrain(PLAIN, CPU))
    model, history = trained_by_hand()
    for result, (loss, accuracy, rate) in zip(results, history, strict=True):
        assert result.metrics["loss"] == pytest.approx(loss, abs=1e-4)
        # one image may be a tie
        assert result.metrics["training_accuracy"] == pytest.approx(accuracy, abs=100 / 180)
        assert result.metrics["learning_rate"] == pytest.approx(rate)
    assert history[-1][0] < history[0][0] - 0.04
    torch.testing.assert_close(
        results[-1].state["model"], dict(model.state_dict()), rtol=1e-3, atol=5e-4
    )


def test_the_first_loss_is_that_of_guessing() -> None:
    """Logits start near zero, whatever the encoder says: the classifier is drawn as the authors
    draw theirs.
    """
    (result,) = pretrain(PLAIN.with_values({"schedule.epochs": 1}), CPU)
    assert result.metrics["loss"] == pytest.approx(log(10), abs=0.02)
    model = initial_model(TINY, 1000)
    assert model.classifier.weight.shape == (1000, 32)
    weight = model.classifier.weight.detach()
    assert float(weight.std()) == pytest.approx(0.01, rel=0.02)
    assert float(weight.mean()) == pytest.approx(0, abs=3e-4)
    assert not model.classifier.bias.any()


@pytest.mark.parametrize("exclude", [True, False])
def test_lars_leaves_the_classifier_alone_where_it_leaves_biases(exclude: bool) -> None:
    groups = parameter_groups(initial_model(TINY, 10), exclude)
    adapted = sum(
        parameter.numel() for group in groups if group["adapt"] for parameter in group["params"]
    )
    every = sum(parameter.numel() for group in groups for parameter in group["params"])
    kernels = sum(
        parameter.numel()
        for parameter in initial_model(TINY, 10).encoder.parameters()
        if parameter.ndim > 1
    )
    assert adapted == (kernels if exclude else every)


def test_the_encoder_starts_as_that_of_simclr() -> None:
    theirs = initial_model(CONTRASTIVE).encoder.state_dict()
    torch.testing.assert_close(initial_model(TINY, 10).encoder.state_dict(), theirs, rtol=0, atol=0)


def test_what_is_reported_and_kept() -> None:
    (result,) = pretrain(TINY.with_values({"schedule.epochs": 1}), CPU)
    assert learned(result).keys() == {"loss", "training_accuracy", "learning_rate"}
    assert all(type(value) is float for value in result.metrics.values())
    assert {name.partition(".")[0] for name in result.state["model"]} == {"encoder", "classifier"}
    assert result.state["model"]["classifier.weight"].shape == (10, 32)
    assert int(result.state["model"]["encoder.stages.1.num_batches_tracked"]) == 5, (
        "one pass of the encoder a step"
    )


# What SimCLR's runs hold, too


@pytest.mark.parametrize(
    "values", [{}, {"precision": "bf16", "optim.name": "lars"}], ids=["adamw", "lars bf16"]
)
def test_a_resumed_run_equals_an_uninterrupted_one(values: dict[str, Any]) -> None:
    spec = TINY.with_values(values)
    whole = list(pretrain(spec, CPU_BF16))
    assert learned(whole[0]) != learned(whole[1])
    for done in (1, 2):
        rest = list(pretrain(spec, CPU_BF16, decode(encode(whole[done - 1].state))))
        assert [result.epoch for result in rest] == [1, 2, 3][done:]
        for result, expected in zip(rest, whole[done:], strict=True):
            assert_same(result, expected)


def test_a_state_of_simclr_is_refused() -> None:
    *_, last = pretrain(CONTRASTIVE.with_values({"schedule.epochs": 1}), CPU)
    with pytest.raises(SpecError, match="another specification"):
        list(pretrain(TINY.with_values({"schedule.epochs": 1}), CPU, last.state))


def test_bf16_rounds_the_encoder_and_not_the_loss() -> None:
    losses = [
        [
            result.metrics["loss"]
            for result in pretrain(TINY.with_values({"precision": "bf16"}), worker)
        ]
        for worker in (CPU, CPU_BF16)
    ]
    assert losses[0] != losses[1]
    assert losses[0] == pytest.approx(losses[1], abs=0.05)
    (first,) = pretrain(PLAIN.with_values({"precision": "bf16", "schedule.epochs": 1}), CPU_BF16)
    assert first.metrics["loss"] == pytest.approx(log(10), abs=0.02)
    # what bf16 could say next to 2.3 is a multiple of 1/64
    assert (64 * first.metrics["loss"]) % 1 != 0


def test_a_diverging_run_stops_and_names_its_last_good_epoch() -> None:
    values = {
        "optim.name": "sgd",
        "optim.base_learning_rate": 1,
        "optim.weight_decay": 10000,
        "schedule.warmup_epochs": 0,
    }
    yielded: list[int] = []
    with pytest.raises(LossNotFiniteError) as caught:
        yielded.extend(result.epoch for result in pretrain(TINY.with_values(values), CPU))
    assert caught.value.last_good_epoch == len(yielded)


# Labels


def relabelled(split: Split) -> Split:
    return replace(split, labels=(split.labels + 1) % 10)


def last_weights(
    spec: RunSpec, data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> dict[str, Tensor]:
    monkeypatch.setattr(training, "load", lambda *_, **__: data)
    *_, last = pretrain(spec.with_values({"schedule.epochs": 2}), CPU)
    model: dict[str, Tensor] = last.state["model"]
    return model


def test_only_the_labels_of_training_images_are_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """And none at all by SimCLR."""
    data = load(TINY.data)
    honest = last_weights(TINY, data, monkeypatch)
    unread = replace(data, validation=relabelled(data.validation), test=relabelled(data.test))
    torch.testing.assert_close(last_weights(TINY, unread, monkeypatch), honest, rtol=0, atol=0)
    misled = replace(data, train=relabelled(data.train))
    changed = last_weights(TINY, misled, monkeypatch)["classifier.bias"]
    assert not torch.allclose(changed, honest["classifier.bias"], atol=1e-3)
    blind = last_weights(CONTRASTIVE, misled, monkeypatch)
    torch.testing.assert_close(blind, last_weights(CONTRASTIVE, data, monkeypatch), rtol=0, atol=0)


# What it is worth


@pytest.fixture(scope="module")
def trained() -> EpochResult:
    *_, last = pretrain(DIGITS, CPU)
    return last


@pytest.fixture(scope="module")
def evaluated(trained: EpochResult) -> dict[str, float]:
    return dict(evaluate(DIGITS, trained.state, CPU).results)


def test_digits_are_learned(trained: EpochResult, evaluated: dict[str, float]) -> None:
    """The images are new to it, and so is that they are not cropped. Chance is 10 %."""
    assert trained.metrics["training_accuracy"] > 95
    assert evaluated["classifier_top1"] > 90
    assert evaluated["linear_top1"] > 90
    assert evaluated["knn_top1"] > 90


def test_the_classifier_is_evaluated_on_clean_views(
    trained: EpochResult, evaluated: dict[str, float]
) -> None:
    model = load_model(DIGITS, trained.state, CPU)
    data = load(DIGITS.data)
    expected = {}
    with torch.no_grad():
        for name, split in (("validation_", data.validation), ("", data.test)):
            logits = model(center_view(split.take(slice(None)), 16))
            best = logits.argsort(dim=1, descending=True)[:, :5]
            hits = best == torch.from_numpy(split.labels).unsqueeze(1)
            expected[f"classifier_{name}top1"] = 100 * float(hits[:, 0].float().mean())
            if not name:
                expected["classifier_top5"] = 100 * float(hits.any(1).float().mean())
    assert {
        name: value for name, value in evaluated.items() if name.startswith("classifier")
    } == pytest.approx(expected)
    assert evaluated["classifier_top1"] < evaluated["classifier_top5"]
    assert evaluated.keys() - expected.keys() == {
        *("linear_top1", "linear_top5", "linear_validation_top1", "linear_l2", "linear_converged"),
        *("knn_top1", "knn_top5"),
    }


def test_the_whole_model_is_loaded_again(trained: EpochResult) -> None:
    model = load_model(DIGITS, trained.state, CPU)
    assert isinstance(model, SupervisedModel)
    assert not model.training
    assert not model.encoder.training
    torch.testing.assert_close(dict(model.state_dict()), trained.state["model"], rtol=0, atol=0)
    encoder = load_encoder(DIGITS, trained.state, CPU)
    torch.testing.assert_close(
        dict(encoder.state_dict()), dict(model.encoder.state_dict()), rtol=0, atol=0
    )
    lacking = {
        name: value for name, value in trained.state["model"].items() if name != "classifier.weight"
    }
    with pytest.raises(RuntimeError, match=r"classifier\.weight"):
        load_model(DIGITS, {"model": lacking}, CPU)


def test_an_untrained_run_is_that_of_simclr() -> None:
    """Equal fingerprints share their results, so that there is no classifier to speak of."""
    results = []
    for spec in (TINY, CONTRASTIVE):
        untrained = spec.with_values(
            {"schedule.epochs": 0, "schedule.warmup_epochs": 0, "eval.l2": [1.0]}
        )
        (result,) = pretrain(untrained, CPU)
        assert (result.epoch, result.metrics) == (0, {})
        results.append((untrained.fingerprint(), evaluate(untrained, result.state, CPU).results))
    assert results[0] == results[1]


# What is refused


def test_what_a_supervised_run_has_not_is_refused(trained: EpochResult) -> None:
    asked = {"augment.branches": "one", "eval.projection": True, "eval.probe.tasks": ["rotation"]}
    with pytest.raises(SpecError) as caught:
        next(pretrain(TINY.with_values(asked), CPU))
    branches, projection, tasks = caught.value.problems
    assert branches.startswith("augment.branches='one': ")
    assert projection.startswith("eval.projection=True: ")
    assert tasks.startswith("eval.probe.tasks=['rotation']: ")
    assert all("loss.name='cross-entropy'" in problem for problem in caught.value.problems)
    for name in ("eval.projection", "eval.probe.tasks"):
        with pytest.raises(SpecError, match=name):
            evaluate(DIGITS.with_values({name: asked[name]}), trained.state, CPU)
    assert next(pretrain(CONTRASTIVE.with_values(asked), CPU)).epoch == 1
