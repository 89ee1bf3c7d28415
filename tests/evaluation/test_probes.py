"""One process with an oracle: what is done to images against torch and torchvision, and probes
whose answer is known.
"""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torchvision.transforms.functional import rgb_to_grayscale

from workloads.datasets import DataSet, Split, load
from workloads.distributed.worker import Worker
from workloads.evaluation import evaluate as evaluation
from workloads.evaluation.evaluate import evaluate
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import top_k_accuracy
from workloads.evaluation.protocols import probes
from workloads.evaluation.protocols.linear import fit_lbfgs
from workloads.evaluation.protocols.probes import ProbedSplit, fit_probe, probe_accuracies, probed
from workloads.seeds import seed_of
from workloads.simclr.pretrain import SimCLR, pretrain, problems_with
from workloads.simclr.spec import ProbeSpec, ProbeTask, RunSpec
from workloads.simclr.trained import load_encoder, load_model
from workloads.simclr.views import center_view

CPU = Worker(torch.device("cpu"))
TASKS: tuple[ProbeTask, ...] = ("color", "rotation", "noise", "sobel")
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]

# 1,000 coloured shapes of 16 pixels, of which views show the middle 12.
SHAPES = RunSpec.read(
    {
        "data": {"image_size": 16, "train_images": 1000, "test_images": 500},
        "augment": {"operations": ["crop", "color"], "output_size": 12},
        "encoder": {"architecture": "convnet", "width": 0.125, "stem": "cifar"},
        "head": {"output_dim": None},
        "optim": {"name": "adamw", "base_learning_rate": 0.02, "scaling": "none"},
        "schedule": {"epochs": 1, "batch_size": 300, "warmup_epochs": 0},
        "eval": {
            "l2": [0.01, 1],
            "probe": {
                "tasks": TASKS,
                "hidden_dim": 32,
                "epochs": 12,
                "batch_size": 64,
                "learning_rate": 0.01,
            },
        },
        "precision": "fp32",
    }
)
ALL_KEYS = {f"probe_{task}_{name}" for task in TASKS for name in ("h", "z")}


@pytest.fixture(scope="module")
def data() -> DataSet:
    return load(SHAPES.data)


@pytest.fixture(scope="module")
def state() -> dict[str, Any]:
    (result,) = pretrain(SHAPES, CPU)
    return result.state


class Pixels(nn.Module):
    """The representation that forgets nothing."""

    def forward(self, images: Tensor) -> Tensor:
        return images.flatten(1)


class MeanColor(nn.Module):
    """The mean of each channel, which neither a rotation nor, nearly, noise without bias
    changes.
    """

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


class Constant(nn.Module):
    def forward(self, features: Tensor) -> Tensor:
        return features.new_full((len(features), 3), 0.7)


def seen(
    task: ProbeTask, split: Split, spec: RunSpec = SHAPES, *, seed: int = 0, batch: int = 500
) -> ProbedSplit:
    """Pixels as h and z."""
    generator = torch.Generator().manual_seed(seed)
    return probed(
        task,
        FrozenEncoder(Pixels(), spec.view_size, CPU),
        nn.Identity(),
        split,
        spec,
        generator=generator,
        batch=batch,
    )


# What is done to the images


def sobel(images: Tensor) -> Tensor:
    """Magnitude of the gradient of the grey image, at most sqrt(20), by torch's convolution."""
    across = torch.tensor([[-1.0, 0, 1], [-2, 0, 2], [-1, 0, 1]])
    padded = nn.functional.pad(rgb_to_grayscale(images), (1, 1, 1, 1), mode="replicate")
    gradient = nn.functional.conv2d(padded, torch.stack([across, across.T]).unsqueeze(1))
    return (gradient.square().sum(1, keepdim=True) / 20).sqrt().expand_as(images)


@pytest.mark.parametrize("task", ["color", "rotation", "sobel"])
def test_each_image_has_gone_through_what_its_label_says(task: ProbeTask, data: DataSet) -> None:
    clean = center_view(data.test.take(slice(None)), 12)
    expected = {
        "color": [clean, rgb_to_grayscale(clean, 3)],
        "rotation": [clean.rot90(turns, dims=(2, 3)) for turns in range(4)],
        "sobel": [clean, sobel(clean)],
    }[task]
    found = seen(task, data.test)
    assert set(found.labels) == set(range(len(expected)))
    own = torch.stack(expected)[found.labels, torch.arange(len(clean))]
    torch.testing.assert_close(torch.from_numpy(found.h), own.flatten(1), rtol=0, atol=1e-4)


def test_noise_has_the_stated_strength(data: DataSet) -> None:
    spec = SHAPES.with_values({"eval.probe.noise_std": 0.05})
    clean = center_view(data.test.take(slice(None)), 12).flatten(1).numpy()
    found = seen("noise", data.test, spec)
    assert (found.h[found.labels == 0] == clean[found.labels == 0]).all()
    noisy = found.labels == 1
    inside = (clean[noisy] > 0.25) & (clean[noisy] < 0.75)  # far from where it is clipped
    added = (found.h[noisy] - clean[noisy])[inside]
    assert added.std() == pytest.approx(0.05, rel=0.03)
    assert added.mean() == pytest.approx(0, abs=0.002)
    first, second = (found.h[noisy] - clean[noisy])[:2]
    assert abs(np.corrcoef(first, second)[0, 1]) < 0.3, "every image has noise of its own"


@pytest.mark.parametrize(
    ("task", "odds"), [("color", [0.9, 0.1]), ("rotation", [1 / 4] * 4), ("noise", [1 / 2] * 2)]
)
def test_labels_have_the_stated_odds(task: ProbeTask, odds: list[float], data: DataSet) -> None:
    spec = SHAPES.with_values({"augment.color.grayscale_probability": 0.1})
    labels = np.concatenate([seen(task, data.train, spec, seed=seed).labels for seed in range(3)])
    # 2,700 draws: 3 deviations
    assert np.bincount(labels) / len(labels) == pytest.approx(odds, abs=0.03)


@pytest.mark.parametrize("task", TASKS)
def test_what_is_done_depends_on_the_generator_alone(task: ProbeTask, data: DataSet) -> None:
    one, again, other = (
        seen(task, data.test),
        seen(task, data.test, batch=77),
        seen(task, data.test, seed=1),
    )
    assert (one.labels == again.labels).all()
    assert (one.h == again.h).all()
    assert (one.labels != other.labels).any()


# The probe itself

MLP = ProbeSpec(hidden_dim=32, epochs=40, batch_size=50, learning_rate=0.01)


def exclusive_or(seed: int) -> tuple[Floats, Labels]:
    """Four corners; no straight line tells more than chance."""
    generator = np.random.default_rng(seed)
    corners = generator.integers(2, size=(400, 2))
    features = corners + 0.1 * generator.normal(size=(400, 2))
    return features.astype(np.float32), (corners[:, 0] ^ corners[:, 1]).astype(np.int64)


def test_a_probe_is_not_linear() -> None:
    features, labels = exclusive_or(0)
    others, answers = exclusive_or(1)
    probe = fit_probe(features, labels, MLP, classes=2, seed=0, device=CPU.device)
    assert top_k_accuracy(probe.scores(others), answers, 1) > 98
    linear = fit_lbfgs(features, labels, (features, labels), classes=2, l2=(1e-3,))
    assert top_k_accuracy(linear.scores(others), answers, 1) < 80


def test_the_scale_of_features_does_not_matter() -> None:
    features, labels = exclusive_or(0)
    scale, shift = np.array([1e-2, 1e3], np.float32), np.array([3, -1e4], np.float32)
    scores = [
        fit_probe(x, labels, MLP, classes=2, seed=0, device=CPU.device).scores(x)
        for x in (features, features * scale + shift)
    ]
    assert scores[0] == pytest.approx(scores[1], abs=0.3)
    assert (scores[0].argmax(1) == scores[1].argmax(1)).all()


def test_a_probe_takes_steps_of_adam() -> None:
    """The first step of Adam is as long as the rate in every weight that matters; the second adds
    at most as much.
    """
    features, labels = exclusive_or(0)
    weights = []
    for rate, epochs, batch in ((1e-9, 1, 400), (1e-3, 1, 400), (1e-3, 1, 200)):
        spec = ProbeSpec(hidden_dim=8, epochs=epochs, batch_size=batch, learning_rate=rate)
        network = fit_probe(features, labels, spec, classes=2, seed=0, device=CPU.device).network
        assert [tuple(parameter.shape) for parameter in network.parameters()] == [
            (8, 2),
            (8,),
            (2, 8),
            (2,),
        ]
        weights.append(
            torch.cat([parameter.detach().flatten() for parameter in network.parameters()])
        )
    one_step, two_steps = ((changed - weights[0]).abs() for changed in weights[1:])
    assert one_step.median() == pytest.approx(1e-3, rel=0.01)
    assert 1.5e-3 < two_steps.max() < 2.1e-3


def test_a_probe_is_a_function_of_its_seed() -> None:
    features, labels = exclusive_or(0)
    torch.manual_seed(0)
    expected = torch.rand(3)
    torch.manual_seed(0)
    spec = MLP.with_values({"epochs": 2})
    one, again, other = (
        fit_probe(features, labels, spec, classes=2, seed=seed, device=CPU.device).scores(features)
        for seed in (0, 0, 1)
    )
    assert torch.equal(torch.rand(3), expected), "the global generator was used"
    assert (one == again).all()
    assert (one != other).any()


# Accuracies of representations whose worth is known


def accuracies(
    h: nn.Module, z: nn.Module, data: DataSet, spec: RunSpec = SHAPES
) -> dict[str, float]:
    return dict(probe_accuracies(FrozenEncoder(h, spec.view_size, CPU), z, data, spec).results)


def test_a_mean_colour_tells_colour_from_grey_and_nothing_of_rotation(data: DataSet) -> None:
    """And a constant tells nothing: the share of the more frequent answer of the training images is
    left.
    """
    found = accuracies(MeanColor(), Constant(), data)
    assert found.keys() == ALL_KEYS
    assert found["probe_color_h"] > 95
    assert found["probe_sobel_h"] > 95  # edges are darker than images
    assert found["probe_rotation_h"] < 33
    assert found["probe_color_z"] == pytest.approx(80, abs=6)
    assert found["probe_rotation_z"] == pytest.approx(25, abs=6)
    for task in ("noise", "sobel"):
        assert found[f"probe_{task}_z"] == pytest.approx(50, abs=7)


def test_what_was_said_of_each_image_is_kept_with_what_was_done_to_it(data: DataSet) -> None:
    spec = SHAPES.with_values({"eval.probe.tasks": ["rotation"], "eval.probe.epochs": 2})
    found = probe_accuracies(FrozenEncoder(MeanColor(), spec.view_size, CPU), Pixels(), data, spec)
    names = {"probe_rotation_h", "probe_rotation_z"}
    assert found.results.keys() == found.intervals.keys() == found.predictions.keys() == names
    turns = seen("rotation", data.test, spec, seed=seed_of(spec.seed, "probe rotation test")).labels
    for name in names:
        low, high = found.intervals[name]
        assert low < found.results[name] < high
        predictions = found.predictions[name]
        assert (predictions.labels == turns).all()
        assert 100 * (predictions.predicted == turns).mean() == pytest.approx(found.results[name])


def test_the_seed_decides_and_nothing_else_does(data: DataSet) -> None:
    spec = SHAPES.with_values({"eval.probe.tasks": ["rotation", "noise"], "eval.probe.epochs": 1})
    whole = accuracies(MeanColor(), nn.Identity(), data, spec)
    assert whole == accuracies(MeanColor(), nn.Identity(), data, spec)
    assert whole["probe_noise_h"] == whole["probe_noise_z"], (
        "both probes see the same images and start alike"
    )
    assert whole != accuracies(MeanColor(), nn.Identity(), data, spec.with_values({"seed": 1}))
    alone = accuracies(
        MeanColor(), nn.Identity(), data, spec.with_values({"eval.probe.tasks": ["noise"]})
    )
    assert alone == {name: whole[name] for name in ("probe_noise_h", "probe_noise_z")}, (
        "tasks do not disturb one another"
    )


def test_probes_learn_from_training_images_alone(
    data: DataSet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What they are fitted to stays the same when every test image is another; class labels are not
    read at all.
    """
    spec = SHAPES.with_values({"eval.probe.tasks": ["color"]})
    fitted: list[tuple[Floats, Labels]] = []

    def noted(features: Floats, labels: Labels, *rest: Any, **options: Any) -> probes.Probe:
        fitted.append((features, labels))
        return fit_probe(features, labels, *rest, **options)

    monkeypatch.setattr(probes, "fit_probe", noted)
    honest = accuracies(MeanColor(), Constant(), data, spec)
    no_labels = replace(data.test, labels=np.full_like(data.test.labels, -1))
    assert accuracies(MeanColor(), Constant(), replace(data, test=no_labels), spec) == honest
    others = replace(
        data, test=replace(data.test, index=data.test.index[::-1]), validation=data.test
    )
    accuracies(MeanColor(), Constant(), others, spec)
    for which in (0, 1):
        for features, labels in fitted[2 + which :: 2]:
            assert (features == fitted[which][0]).all()
            assert (labels == fitted[which][1]).all()
    assert all(len(features) == len(labels) == len(data.train) for features, labels in fitted)


def test_the_numbers_are_those_of_the_parts(data: DataSet, monkeypatch: pytest.MonkeyPatch) -> None:
    """Fitted to the training images, which it can learn by heart, and scored by what was done to
    the test images.
    """
    spec = SHAPES.with_values({"eval.probe.tasks": ["noise"]})
    splits: list[ProbedSplit] = []

    def noted(*arguments: Any, **options: Any) -> ProbedSplit:
        splits.append(probed(*arguments, **options))
        return splits[-1]

    monkeypatch.setattr(probes, "probed", noted)
    found = accuracies(Pixels(), nn.Identity(), data, spec)
    train, test = splits
    assert (len(train.labels), len(test.labels)) == (len(data.train), len(data.test))
    assert (train.labels[: len(test.labels)] != test.labels).any(), "drawn apart"
    mean, scale, seed = (
        train.h.mean(0),
        train.h.std(0) + 1e-6,
        seed_of(spec.seed, "probe noise fit"),
    )
    network = fit_probe(
        train.h, train.labels, spec.eval.probe, classes=2, seed=seed, device=CPU.device
    ).network
    right = []
    for split in splits:
        with torch.no_grad():
            answers = network(torch.from_numpy((split.h - mean) / scale)).argmax(1).numpy()
        right.append(100 * float((answers == split.labels).mean()))
    assert right[0] > right[1] + 20
    assert found["probe_noise_h"] == found["probe_noise_z"] == pytest.approx(right[1], abs=0.3)


# The whole evaluation


@pytest.fixture(scope="module")
def results(state: dict[str, Any]) -> dict[str, float]:
    return dict(evaluate(SHAPES.with_values({"eval.projection": True}), state, CPU).results)


def test_h_and_z_are_evaluated_beside_the_rest(
    state: dict[str, Any], results: dict[str, float]
) -> None:
    plain = evaluate(SHAPES.with_values({"eval.probe.tasks": []}), state, CPU).results
    assert results.keys() - plain.keys() == ALL_KEYS | {"linear_top1_z", "linear_validation_top1_z"}
    assert {name: results[name] for name in plain} == plain
    assert all(type(value) is float and 0 <= value <= 100 for value in results.values())
    assert results["probe_sobel_h"] > 90


def test_z_is_evaluated_as_h_is(
    state: dict[str, Any], results: dict[str, float], data: DataSet
) -> None:
    """By logistic regression on g(h), whatever the protocol for h."""
    model = load_model(SHAPES, state, CPU)
    train, validation, test = (
        FrozenEncoder(model, 12, CPU).features(split)
        for split in (data.train, data.validation, data.test)
    )
    fitted = fit_lbfgs(
        train,
        data.train.labels,
        (validation, data.validation.labels),
        classes=10,
        l2=SHAPES.eval.l2,
    )
    scores, held_out = fitted.scores(test), fitted.scores(validation)
    assert results["linear_top1_z"] == pytest.approx(
        top_k_accuracy(scores, data.test.labels, 1), abs=0.21
    )
    assert results["linear_validation_top1_z"] == pytest.approx(
        top_k_accuracy(held_out, data.validation.labels, 1), abs=1.01
    )
    assert results["linear_top1_z"] != results["linear_top1"]
    values = {
        "eval.projection": True,
        "eval.probe.tasks": [],
        "eval.protocol": "sgd",
        "eval.sgd.epochs": 1,
    }
    by_sgd = evaluate(SHAPES.with_values(values), state, CPU).results
    for name in ("linear_top1_z", "linear_validation_top1_z"):
        assert by_sgd[name] == results[name]


def test_without_a_head_z_is_h() -> None:
    spec = SHAPES.with_values(
        {"head.num_linear_layers": 0, "eval.projection": True, "eval.probe.tasks": ["rotation"]}
    )
    (result,) = pretrain(spec, CPU)
    found = evaluate(spec, result.state, CPU).results
    assert found["linear_top1_z"] == found["linear_top1"]
    assert found["linear_validation_top1_z"] == found["linear_validation_top1"]
    assert found["probe_rotation_z"] == found["probe_rotation_h"]


def test_an_evaluated_run_keeps_the_intervals_of_its_probes(state: dict[str, Any]) -> None:
    values = {"eval.protocol": "none", "eval.probe.tasks": ["sobel"], "eval.probe.epochs": 1}
    found = evaluate(SHAPES.with_values(values), state, CPU)
    assert (
        found.results.keys()
        == found.intervals.keys()
        == found.predictions.keys()
        == {"probe_sobel_h", "probe_sobel_z"}
    )


def test_an_untrained_encoder_can_be_probed() -> None:
    """The reference of Table 3: a random network has not forgotten what an image looks like."""
    spec = SHAPES.with_values({"schedule.epochs": 0, "eval.probe.tasks": ["sobel"]})
    (result,) = pretrain(spec, CPU)
    assert evaluate(spec, result.state, CPU).results["probe_sobel_h"] > 90


def test_nothing_is_changed(state: dict[str, Any]) -> None:
    model = load_model(SHAPES, state, CPU)
    assert isinstance(model, SimCLR)
    before = encoder_digest(model)
    accuracies(
        model.encoder.train(),
        model.head.train(),
        load(SHAPES.data),
        SHAPES.with_values({"eval.probe.epochs": 1}),
    )
    assert encoder_digest(model) == before, "not even the statistics of batch normalisation"
    assert all(parameter.grad is None for parameter in model.parameters())


class NeverInInferenceMode(nn.Module):
    """A head whose batch normalisation goes on learning: `eval` is not passed on to it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.train()

    def train(self, mode: bool = True) -> "NeverInInferenceMode":
        self.training = mode
        return self

    def forward(self, h: Tensor) -> Tensor:
        z: Tensor = self.inner(h)
        return z


@pytest.mark.parametrize(
    "values", [{"eval.projection": True, "eval.probe.tasks": []}, {"eval.probe.tasks": ["color"]}]
)
def test_an_evaluation_that_changes_the_head_is_refused(
    state: dict[str, Any], monkeypatch: pytest.MonkeyPatch, values: dict[str, Any]
) -> None:
    model = load_model(SHAPES, state, CPU)
    assert isinstance(model, SimCLR)
    model.head = NeverInInferenceMode(model.head)
    monkeypatch.setattr(evaluation, "load_model", lambda *_: model)
    with pytest.raises(RuntimeError, match="changed the encoder or the head"):
        evaluate(SHAPES.with_values(values), state, CPU)


def test_the_whole_model_is_loaded_again(state: dict[str, Any]) -> None:
    model = load_model(SHAPES.with_values({"seed": 1}), state, CPU)
    torch.testing.assert_close(dict(model.state_dict()), state["model"], rtol=0, atol=0)
    assert not any(module.training for module in model.modules())
    assert encoder_digest(model.encoder) == encoder_digest(load_encoder(SHAPES, state, CPU))
    lacking = {name: value for name, value in state["model"].items() if name != "head.0.weight"}
    with pytest.raises(RuntimeError, match=r"head\.0\.weight"):
        load_model(SHAPES, {"model": lacking}, CPU)


def test_a_colour_probe_needs_both_answers() -> None:
    for probability in (0, 1):
        values = {"augment.color.grayscale_probability": probability}
        (problem,) = problems_with(SHAPES.with_values(values), 900, 1)
        assert problem.startswith(f"augment.color.grayscale_probability={probability}: ")
        assert "eval.probe.tasks" in problem
        assert (
            problems_with(SHAPES.with_values(values | {"eval.probe.tasks": ["noise"]}), 900, 1)
            == []
        )
    assert problems_with(SHAPES, 900, 1) == []
