"""One process with an oracle: scipy's minimiser, brute-force neighbours, gradients by hand; and
what may be read.
"""

from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax
from torch import Tensor, nn

from workloads.datasets import Split, load
from workloads.datasets.encoded import EncodedImages
from workloads.distributed.worker import Worker
from workloads.evaluation import evaluate as evaluation
from workloads.evaluation.evaluate import evaluate
from workloads.evaluation.features import frozen
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import top_k_accuracy
from workloads.evaluation.protocols import linear
from workloads.evaluation.protocols.knn import chosen_knn, knn_scores
from workloads.evaluation.protocols.linear import (
    LinearClassifier,
    fit_lbfgs,
    fit_sgd,
    regression_path,
)
from workloads.simclr.pretrain import pretrain
from workloads.simclr.spec import (
    AugmentSpec,
    CropSpec,
    KnnSpec,
    LinearSgdSpec,
    RunSpec,
    TransferSpec,
)
from workloads.simclr.trained import load_encoder
from workloads.simclr.views import apply_view, center_view, draw_view

CPU = Worker(torch.device("cpu"))
Floats = NDArray[np.float32]
Labels = NDArray[np.int64]
DIGITS = RunSpec.read(
    {
        "data": {"name": "digits", "image_size": 16, "train_images": 600},
        "augment": {"operations": ["crop", "color"]},
        "encoder": {"architecture": "convnet", "width": 0.25, "stem": "cifar"},
        "schedule": {"epochs": 0},
        "eval": {"l2": [1e-4, 1e-2, 100]},
        "precision": "fp32",
    }
)


@pytest.fixture(scope="module")
def untrained() -> dict[str, Any]:
    (result,) = pretrain(DIGITS, CPU)
    return result.state


def clusters(count: int, classes: int, seed: int, spread: float = 1.0) -> tuple[Floats, Labels]:
    """Overlapping Gaussian classes in 5 dimensions of very different scales."""
    centres = np.random.default_rng(99).normal(size=(classes, 5))
    generator = np.random.default_rng(seed)
    labels = np.arange(count) % classes
    features = (centres[labels] + spread * generator.normal(size=(count, 5))) * [
        1,
        10,
        0.1,
        1,
        100,
    ] + [0, 5, 0, -3, 20]
    return features.astype(np.float32), labels.astype(np.int64)


# Logistic regression


def stated_objective(
    parameters: NDArray[Any], x: NDArray[Any], labels: Labels, classes: int, l2: float
) -> float:
    """Mean cross-entropy plus l2 / 2 |W|^2; the biases are free."""
    weight, bias = parameters[:-classes].reshape(-1, classes), parameters[-classes:]
    log_p = log_softmax(x @ weight + bias, axis=1)
    return float(-log_p[np.arange(len(x)), labels].mean() + l2 / 2 * (weight**2).sum())


@pytest.mark.parametrize("l2", [1e-3, 0.1])
@pytest.mark.parametrize("classes", [2, 3, 5])
def test_logistic_regression_minimises_the_stated_objective(classes: int, l2: float) -> None:
    features, labels = clusters(150, classes, seed=0)
    fitted = fit_lbfgs(features, labels, (features, labels), classes=classes, l2=(l2,))
    x = (features - features.mean(0)) / features.std(0)
    found = minimize(
        stated_objective, np.zeros(6 * classes), args=(x, labels, classes, l2), method="BFGS"
    )
    weight, bias = found.x[:-classes].reshape(-1, classes), found.x[-classes:]
    expected = softmax(x @ weight + bias, axis=1)
    assert softmax(fitted.scores(features), axis=1) == pytest.approx(expected, abs=2e-3)
    assert fitted.weight == pytest.approx(
        weight - weight.mean(1, keepdims=True), abs=0.02 * float(np.abs(weight).max())
    )
    parameters = np.concatenate([fitted.weight.ravel(), fitted.bias])
    assert stated_objective(parameters, x, labels, classes, l2) == pytest.approx(
        found.fun, abs=1e-5
    )
    assert fitted.converged
    assert fitted.l2 == l2


@pytest.mark.parametrize("present", [(0, 2), (1, 2), (0, 1, 3), (2,)])
def test_a_class_without_examples_has_the_score_that_its_probability_tends_to(
    present: tuple[int, ...],
) -> None:
    """The others are fitted as if there were none but them."""
    features, labels = clusters(150, max(len(present), 2), seed=0)
    if len(present) == 1:
        labels = np.zeros_like(labels)
    alone = np.array(present)[labels]
    fitted = fit_lbfgs(features, alone, (features, alone), classes=5, l2=(0.01,))
    scores = fitted.scores(features)
    assert scores.shape == (150, 5)
    assert np.isfinite(scores).all()
    probabilities = softmax(scores.astype(np.float64), axis=1)
    missing = [each for each in range(5) if each not in present]
    assert not probabilities[:, missing].any()
    assert not fitted.weight[:, missing].any()
    if len(present) > 1:
        usual = fit_lbfgs(features, labels, (features, labels), classes=len(present), l2=(0.01,))
        assert scores[:, list(present)] == pytest.approx(usual.scores(features), abs=1e-5)
    else:
        assert (scores.argmax(1) == present[0]).all()


def test_the_scale_of_features_does_not_matter() -> None:
    features, labels = clusters(150, 3, seed=0)
    scale = np.array([1e-3, 1, 1e3, 7, 1], np.float32)
    a, b = (
        fit_lbfgs(x, labels, (x, labels), classes=3, l2=(0.01,))
        for x in (features, features * scale)
    )
    assert a.scores(features) == pytest.approx(b.scores(features * scale), abs=5e-3)


def test_a_feature_that_never_changes_does_no_harm() -> None:
    features, labels = clusters(150, 3, seed=0)
    with_dead = np.concatenate([features, np.zeros((150, 1), np.float32)], axis=1)
    fitted = fit_lbfgs(with_dead, labels, (with_dead, labels), classes=3, l2=(0.01,))
    assert np.isfinite(fitted.scores(with_dead)).all()
    assert fitted.weight[-1] == pytest.approx(np.zeros(3))


def test_the_validation_split_chooses_the_strength() -> None:
    """Validation labels that only a strong penalty fits, and others that only a weak one does,
    choose differently.
    """
    candidates = (1e-5, 1e-3, 0.1, 10.0)
    features, labels = clusters(60, 3, seed=0, spread=2)
    splits = [clusters(40, 3, seed, spread=2) for seed in range(1, 9)]
    single = {
        strength: fit_lbfgs(features, labels, (features, labels), classes=3, l2=(strength,))
        for strength in candidates
    }
    chosen = set()
    for held_out in splits:
        accuracy = {
            s: top_k_accuracy(fitted.scores(held_out[0]), held_out[1], 1)
            for s, fitted in single.items()
        }
        best = max(accuracy.values())
        # the stronger one of equals
        expected = max(strength for strength, value in accuracy.items() if value == best)
        fitted = fit_lbfgs(features, labels, held_out, classes=3, l2=candidates)
        assert fitted.l2 == expected
        assert top_k_accuracy(fitted.scores(held_out[0]), held_out[1], 1) == pytest.approx(best)
        chosen.add(expected)
    assert len(chosen) >= 3


def test_a_fit_that_ran_out_of_steps_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clusters(150, 3, seed=0)
    monkeypatch.setattr(linear, "MAX_ITERATIONS", 2)
    assert not fit_lbfgs(features, labels, (features, labels), classes=3, l2=(1e-4,)).converged


PATH = (1e-4, 1e-3, 1e-2, 0.1, 1.0, 10.0, 1e3)


def penalised_gradient(fitted: LinearClassifier, features: Floats, labels: Labels) -> NDArray[Any]:
    """Of the stated objective, weights before biases."""
    x = (features - fitted.mean) / fitted.scale
    residual = (
        softmax(fitted.scores(features).astype(float), axis=1)
        - np.eye(fitted.weight.shape[1])[labels]
    )
    return np.vstack([x.T @ residual / len(x) + fitted.l2 * fitted.weight, residual.mean(0)])


@pytest.mark.parametrize(("count", "classes"), [(5000, 2), (5000, 3), (40, 5)])
def test_a_path_ends_every_fit_at_its_minimum(count: int, classes: int) -> None:
    """Unequal classes; of 5,000 examples some blocks, and a sample for the curvature to start
    from.
    """
    features, labels = clusters(count, classes, seed=0, spread=2)
    kept = (labels > 0) | (np.random.default_rng(1).random(count) < 0.6)
    features, labels = features[kept], labels[kept]
    path = list(regression_path(features, labels, classes=classes, l2=PATH))
    assert [fitted.l2 for fitted in path] == sorted(PATH, reverse=True)
    for fitted in path:
        assert fitted.converged
        assert np.abs(penalised_gradient(fitted, features, labels)).max() < 1.1e-4
        alone = fit_lbfgs(features, labels, (features, labels), classes=classes, l2=(fitted.l2,))
        expected = softmax(alone.scores(features), axis=1)
        assert softmax(fitted.scores(features), axis=1) == pytest.approx(expected, abs=1e-2)
    assert np.abs(path[-1].weight).max() > 100 * np.abs(path[0].weight).max()


def test_a_path_goes_down_to_no_penalty_at_all() -> None:
    features, labels = clusters(2000, 3, seed=0, spread=2)
    *_, last = regression_path(features, labels, classes=3, l2=(0.0, 1e-3, 1.0))
    assert (last.l2, last.converged) == (0, True)
    x = (features - features.mean(0)) / features.std(0)
    found = minimize(stated_objective, np.zeros(18), args=(x, labels, 3, 0.0), method="BFGS")
    parameters = np.concatenate([last.weight.ravel(), last.bias])
    assert stated_objective(parameters, x, labels, 3, 0.0) == pytest.approx(found.fun, abs=1e-5)


def test_a_path_tells_fits_that_ran_out_of_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    features, labels = clusters(150, 3, seed=0)
    monkeypatch.setattr(linear, "MAX_ITERATIONS", 2)
    strong, weak = regression_path(features, labels, classes=3, l2=(1e-4, 1e4))
    assert (strong.converged, weak.converged) == (True, False)


def test_a_path_with_a_feature_that_never_changes_and_a_class_without_examples() -> None:
    features, labels = clusters(150, 3, seed=0)
    with_dead = np.concatenate([features, np.full((150, 1), 3, np.float32)], axis=1)
    for fitted in regression_path(with_dead, labels, classes=4, l2=PATH):
        assert fitted.converged
        assert np.isfinite(fitted.scores(with_dead)).all()
        assert fitted.weight[-1] == pytest.approx(np.zeros(4), abs=1e-6)
        assert (fitted.scores(with_dead).argmax(1) != 3).all()


def test_a_path_takes_few_looks_at_the_features(monkeypatch: pytest.MonkeyPatch) -> None:
    """Features that vary together, which cost plain L-BFGS 20 steps for one strength: fewer than 4
    a strength for 45.
    """
    generator = np.random.default_rng(0)
    mixing = generator.normal(size=(30, 30)) * np.arange(1, 31) ** -1.5
    latent, labels = generator.normal(size=(2000, 30)), np.arange(2000) % 5
    latent += 0.5 * generator.normal(size=(5, 30))[labels]
    features, calls = (latent @ mixing.T).astype(np.float32), []
    at = linear._CrossEntropy.at

    def counted(loss: Any, parameters: Tensor) -> Any:
        calls.append(1)
        return at(loss, parameters)

    monkeypatch.setattr(linear._CrossEntropy, "at", counted)
    strengths = TransferSpec().l2
    assert (
        len(
            [
                fitted
                for fitted in regression_path(features, labels, classes=5, l2=strengths)
                if fitted.converged
            ]
        )
        == 45
    )
    assert len(calls) < 180


# SGD on augmented images


class MeanColor(nn.Module):
    """Representation: the mean of each channel, which no crop or flip of a plain image changes."""

    def forward(self, images: Tensor) -> Tensor:
        return images.mean(dim=(2, 3))


def plain_images(count: int, seed: int) -> Split:
    """Images of one colour each; four overlapping classes of colours."""
    generator = np.random.default_rng(seed)
    centres = np.array([[70, 70, 70], [180, 90, 70], [80, 180, 90], [90, 80, 180]])
    labels = np.arange(count) % 4
    colors = np.clip(centres[labels] + 35 * generator.normal(size=(count, 3)), 0, 255).astype(
        np.uint8
    )
    images = np.broadcast_to(colors[:, :, None, None], (count, 3, 8, 8))
    return Split(images, labels.astype(np.int64), np.arange(count))


def sgd(split: Split, spec: LinearSgdSpec, encoder: nn.Module | None = None) -> LinearClassifier:
    return fit_sgd(
        FrozenEncoder(encoder or MeanColor(), 8, CPU), split, spec, feature_dim=3, classes=4, seed=0
    )


def test_sgd_reaches_the_accuracy_of_lbfgs() -> None:
    train, test = plain_images(400, seed=1), plain_images(400, seed=2)
    h_train, h_test = (
        FrozenEncoder(MeanColor(), 8, CPU).features(split) for split in (train, test)
    )
    reference = fit_lbfgs(h_train, train.labels, (h_train, train.labels), classes=4, l2=(1e-4,))
    fitted = sgd(train, LinearSgdSpec(epochs=30, batch_size=64, base_learning_rate=20))
    expected = top_k_accuracy(reference.scores(h_test), test.labels, 1)
    assert 80 < expected < 99
    assert top_k_accuracy(fitted.scores(h_test), test.labels, 1) == pytest.approx(expected, abs=3)


def test_the_first_step_of_sgd_is_the_gradient_at_zero() -> None:
    """One batch of all images, clipped from 4096: a Nesterov step of (1 + momentum) times the
    gradient.
    """
    split = plain_images(40, seed=1)
    fitted = sgd(split, LinearSgdSpec(epochs=1, base_learning_rate=0.1, momentum=0.9))
    h = split.take(slice(None)).float().mean(dim=(2, 3)).numpy() / 255
    residual = np.eye(4)[split.labels] - 1 / 4
    rate = 0.1 * 40 / 256
    assert fitted.weight == pytest.approx(rate * 1.9 * h.T @ residual / 40, abs=1e-7)
    assert fitted.bias == pytest.approx(rate * 1.9 * residual.mean(0), abs=1e-7)


def test_the_rate_of_sgd_falls_to_zero_step_by_step() -> None:
    """Equal images pull alike at every small step, so the weights tell the sum of the rates. 3 of
    43 images are left out.
    """
    images = np.full((43, 3, 8, 8), 51, np.uint8)
    split = Split(images, np.zeros(43, np.int64), np.arange(43))
    fitted = sgd(split, LinearSgdSpec(epochs=4, batch_size=8, base_learning_rate=1e-3, momentum=0))
    rates = 1e-3 * 8 / 256 * (1 + np.cos(np.pi * np.arange(20) / 20)) / 2
    gradient = 51 / 255 * np.array([1 / 4 - 1, 1 / 4, 1 / 4, 1 / 4])
    assert fitted.weight == pytest.approx(np.tile(-rates.sum() * gradient, (3, 1)), rel=1e-3)


class Corners(nn.Module):
    """Representation: the first row of pixels, which crops and flips do change."""

    def forward(self, images: Tensor) -> Tensor:
        return images[:, :, 0, :3].flatten(1)[:, ::3]


def noisy_images(count: int) -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(0, 256, (count, 3, 10, 10), dtype=np.uint8)


def test_sgd_with_momentum_and_decay_by_hand() -> None:
    """In double precision, on the order and the views that one stream of random numbers gives; 3 of
    23 images are left out.
    """
    stored, labels = noisy_images(23), np.arange(23) % 4
    split = Split(stored, labels, np.arange(23))
    spec = LinearSgdSpec(
        epochs=2, batch_size=5, base_learning_rate=60, momentum=0.8, weight_decay=0.02, min_area=0.3
    )
    fitted = sgd(split, spec, Corners())
    augment = AugmentSpec(operations=("crop",), output_size=8, crop=CropSpec(min_area=0.3))
    generator = torch.Generator().manual_seed(0)
    parameters = velocity = np.zeros((4, 4))  # three weights and a bias for each class
    for step in range(8):
        if step % 4 == 0:
            order = torch.randperm(23, generator=generator).numpy()
        rows = order[5 * (step % 4) :][:5]
        views = apply_view(
            torch.from_numpy(stored[rows]), draw_view(augment, 5, 10, 10, generator), augment
        )
        x = np.concatenate([Corners()(views).numpy().astype(float), np.ones((5, 1))], axis=1)
        gradient = (
            x.T @ (softmax(x @ parameters, axis=1) - np.eye(4)[labels[rows]]) / 5
            + 0.02 * parameters
        )
        velocity = 0.8 * velocity + gradient
        rate = 60 * 5 / 256 * (1 + np.cos(np.pi * step / 8)) / 2
        parameters = parameters - rate * (gradient + 0.8 * velocity)
    assert fitted.weight == pytest.approx(parameters[:3], rel=1e-4, abs=1e-5)
    assert fitted.bias == pytest.approx(parameters[3], rel=1e-4, abs=1e-5)


def test_images_that_are_decoded_ahead_give_the_same_classifier() -> None:
    """To the last bit, beyond the end of an epoch, too."""
    stored = noisy_images(23)
    encoded = []
    for image in stored:
        file = BytesIO()
        Image.fromarray(image.transpose(1, 2, 0)).save(file, "png")
        encoded.append(file.getvalue())
    records = np.array([(row,) for row in range(23)], np.dtype([("row", np.int64)]))
    ahead = EncodedImages(records, 10, lambda record: encoded[record["row"]], str)
    spec = LinearSgdSpec(epochs=3, batch_size=5, base_learning_rate=60, min_area=0.3)
    split = Split(stored, np.arange(23) % 4, np.arange(23))
    assert torch.equal(replace(split, images=ahead).take(slice(None)), split.take(slice(None)))
    first, second = (sgd(each, spec, Corners()) for each in (split, replace(split, images=ahead)))
    assert np.array_equal(first.weight, second.weight)
    assert np.array_equal(first.bias, second.bias)


def test_sgd_leaves_the_encoder_as_it_was(untrained: dict[str, Any]) -> None:
    encoder = load_encoder(DIGITS, untrained, CPU).train()
    before = encoder_digest(encoder)
    split = load(DIGITS.data).validation
    fit_sgd(
        FrozenEncoder(encoder, 16, CPU),
        split,
        LinearSgdSpec(epochs=1, batch_size=16),
        feature_dim=64,
        classes=10,
        seed=0,
    )
    assert encoder_digest(encoder) == before
    assert all(parameter.grad is None for parameter in encoder.parameters())


# Features


def test_features_are_those_of_the_clean_images_in_order(untrained: dict[str, Any]) -> None:
    encoder = load_encoder(DIGITS, untrained, CPU)
    split = load(DIGITS.data).validation
    before = encoder_digest(encoder)
    with torch.no_grad():
        expected = encoder(center_view(split.take(slice(None)), 12)).numpy()
    encoder.train()
    h = FrozenEncoder(encoder, 12, CPU).features(split, 7)
    assert h.shape == (len(split), 64)
    assert h == pytest.approx(expected, abs=1e-5)
    assert encoder.training, "the mode is put back"
    assert encoder_digest(encoder) == before
    rounded = FrozenEncoder(encoder, 12, CPU, bf16=True).features(split)
    assert rounded.dtype == np.float32
    assert 0 < np.abs(rounded - h).max() < 0.1


def test_the_digest_sees_every_weight_and_statistic(untrained: dict[str, Any]) -> None:
    encoder = load_encoder(DIGITS, untrained, CPU)
    digests = {encoder_digest(encoder)}
    tensors = list(encoder.state_dict().values())
    for tensor in tensors:
        tensor.view(-1)[-1:].add_(1)
        digests.add(encoder_digest(encoder))
    assert len(digests) == len(tensors) + 1
    assert encoder_digest(load_encoder(DIGITS, untrained, CPU)) == encoder_digest(
        load_encoder(DIGITS, untrained, CPU)
    )


# Accuracy and neighbours


def test_top_k_accuracy_by_brute_force() -> None:
    generator = np.random.default_rng(0)
    scores, labels = generator.normal(size=(50, 7)), generator.integers(7, size=50)
    for k in range(1, 10):
        hits = [
            label in sorted(range(7), key=lambda c: -row[c])[:k]
            for row, label in zip(scores, labels, strict=True)
        ]
        assert top_k_accuracy(scores, labels, k) == pytest.approx(100 * sum(hits) / 50)
    assert top_k_accuracy(scores, labels, 7) == top_k_accuracy(scores, labels, 9) == 100


def bank_and_queries() -> tuple[Floats, Labels, Floats]:
    generator = np.random.default_rng(1)
    bank, queries = (generator.normal(size=(count, 5)).astype(np.float32) for count in (30, 20))
    return 100 * bank, np.arange(30) % 3, queries


@pytest.mark.parametrize("temperature", [0.07, 1.0])
@pytest.mark.parametrize("k", [1, 3, 30])
def test_neighbours_by_brute_force(k: int, temperature: float) -> None:
    bank, labels, queries = bank_and_queries()
    scores = knn_scores(
        bank, labels, queries, classes=3, knn=KnnSpec(k=k, temperature=temperature), block=7
    )
    for query, row in zip(queries.astype(float), scores, strict=True):
        cosine = np.array(
            [
                key @ query / np.linalg.norm(key) / np.linalg.norm(query)
                for key in bank.astype(float)
            ]
        )
        nearest = np.argsort(-cosine)[:k]
        expected = [
            np.exp(cosine[[i for i in nearest if labels[i] == c]] / temperature).sum()
            for c in range(3)
        ]
        assert row / row.sum() == pytest.approx(np.array(expected) / sum(expected), abs=1e-4)


def test_k_is_clipped_to_the_bank_and_a_small_temperature_does_not_overflow() -> None:
    bank, labels, queries = bank_and_queries()
    all_of_them = knn_scores(bank, labels, queries, classes=3, knn=KnnSpec(k=30))
    assert np.array_equal(
        knn_scores(bank, labels, queries, classes=3, knn=KnnSpec(k=1000)), all_of_them
    )
    sharp = knn_scores(bank, labels, queries, classes=3, knn=KnnSpec(k=30, temperature=1e-4))
    nearest = knn_scores(bank, labels, queries, classes=3, knn=KnnSpec(k=1))
    assert np.isfinite(sharp).all()
    assert np.array_equal(sharp.argmax(1), nearest.argmax(1))


def bank_and_validation(seed: int) -> tuple[Floats, Labels, tuple[Floats, Labels]]:
    (bank, labels), validation = (
        clusters(90, 3, seed, spread=1.5),
        clusters(40, 3, seed + 100, spread=1.5),
    )
    return bank, labels, validation


CHOICES: dict[str, dict[str, Any]] = {
    "both": {"k_choices": [1, 2, 5, 20, 60, 200, 500], "temperature_choices": [0.01, 0.07, 0.3, 2]},
    "k": {"k_choices": [1, 3, 10, 40], "temperature": 0.02},
    "temperature": {"k": 30, "temperature_choices": [0.005, 0.05, 0.5]},
}


@pytest.mark.parametrize("asked", CHOICES)
def test_the_best_pair_on_the_validation_split_is_chosen(asked: str) -> None:
    """By trying every pair; among equals the smaller k, then the larger temperature. 500 is the
    bank, as 200 is.
    """
    knn = KnnSpec.read(CHOICES[asked])
    chosen = set()
    for seed in range(12):
        bank, labels, (queries, expected) = bank_and_validation(seed)
        accuracy = {}
        for k in knn.k_choices or (knn.k,):
            for temperature in knn.temperature_choices or (knn.temperature,):
                pair = KnnSpec(k=k, temperature=temperature)
                scores = knn_scores(bank, labels, queries, classes=3, knn=pair)
                accuracy[k, -temperature] = top_k_accuracy(scores, expected, 1)
        best = min(pair for pair in accuracy if accuracy[pair] == max(accuracy.values()))
        found = chosen_knn(bank, labels, (queries, expected), classes=3, knn=knn, block=7)
        assert (found.k, -found.temperature) == best
        assert (found.k_choices, found.temperature_choices) == (
            knn.k_choices,
            knn.temperature_choices,
        )
        chosen.add(best)
    assert len(chosen) >= 2


def test_without_choices_neighbours_are_as_specified() -> None:
    """And nothing is computed."""
    nothing = np.zeros((0, 0), np.float32), np.zeros(0, np.int64)
    knn = KnnSpec(k=7, temperature=0.3)
    assert chosen_knn(*nothing, nothing, classes=3, knn=knn) is knn


# The whole evaluation

KEYS = {
    "linear_top1",
    "linear_top5",
    "linear_validation_top1",
    "linear_l2",
    "linear_converged",
    "knn_top1",
    "knn_top5",
}


@pytest.fixture(scope="module")
def results(untrained: dict[str, Any]) -> dict[str, float]:
    return dict(evaluate(DIGITS, untrained, CPU).results)


def test_an_untrained_encoder_is_evaluated(
    untrained: dict[str, Any], results: dict[str, float]
) -> None:
    assert results.keys() == KEYS
    assert all(type(value) is float for value in results.values())
    assert results["linear_l2"] in DIGITS.eval.l2
    assert results["linear_converged"] == 1
    assert 70 < results["linear_top1"] <= results["linear_top5"] <= 100
    assert 60 < results["knn_top1"] <= results["knn_top5"] <= 100
    assert evaluate(DIGITS, untrained, CPU).results == results


def test_the_numbers_are_those_of_the_parts(
    untrained: dict[str, Any], results: dict[str, float]
) -> None:
    data = load(DIGITS.data)
    encoder = load_encoder(DIGITS, untrained, CPU)
    train, validation, test = (
        FrozenEncoder(encoder, 16, CPU).features(split)
        for split in (data.train, data.validation, data.test)
    )
    held_out = validation, data.validation.labels
    fitted = fit_lbfgs(train, data.train.labels, held_out, classes=10, l2=DIGITS.eval.l2)
    neighbours = knn_scores(train, data.train.labels, test, classes=10, knn=DIGITS.eval.knn)
    assert results["linear_top1"] == top_k_accuracy(fitted.scores(test), data.test.labels, 1)
    assert results["linear_top5"] == top_k_accuracy(fitted.scores(test), data.test.labels, 5)
    assert results["linear_validation_top1"] == top_k_accuracy(
        fitted.scores(validation), data.validation.labels, 1
    )
    assert results["linear_l2"] == fitted.l2
    assert results["knn_top1"] == top_k_accuracy(neighbours, data.test.labels, 1)


def with_wrong_labels(split: Split) -> Split:
    """Every 0 becomes a 1 and so on: the worse a classifier is, the better it seems."""
    return replace(split, labels=(split.labels + 1) % 10)


@pytest.mark.parametrize("protocol", ["lbfgs", "sgd"])
def test_labels_of_test_images_choose_nothing(
    untrained: dict[str, Any], monkeypatch: pytest.MonkeyPatch, protocol: str
) -> None:
    """With wrong test labels the accuracies on them fall below chance, and everything else is as
    before.
    """
    sgd_values = {"epochs": 10, "batch_size": 32, "base_learning_rate": 30, "min_area": 0.8}
    values = {f"eval.sgd.{name}": value for name, value in sgd_values.items()}
    spec = DIGITS.with_values(values | {"eval.protocol": protocol})
    honest = evaluate(spec, untrained, CPU).results
    data = load(spec.data)
    misled = replace(data, test=with_wrong_labels(data.test))
    monkeypatch.setattr(evaluation, "load", lambda *_, **__: misled)
    blind = evaluate(spec, untrained, CPU).results
    for name in ("linear_validation_top1", "linear_l2", "linear_converged"):
        assert blind[name] == honest[name]
    for name in ("linear_top1", "knn_top1"):
        assert honest[name] > 50
        assert blind[name] < 15
    if protocol == "lbfgs":  # the control: wrong validation labels do choose, and otherwise
        misled = replace(data, validation=with_wrong_labels(data.validation))
        assert evaluate(spec, untrained, CPU).results["linear_l2"] != honest["linear_l2"]


class NeverInInferenceMode(nn.Module):
    """An encoder whose batch normalisation goes on learning: `eval` is not passed on to it."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner.train()

    def train(self, mode: bool = True) -> "NeverInInferenceMode":
        self.training = mode
        return self

    def forward(self, images: Tensor) -> Tensor:
        h: Tensor = self.inner(images)
        return h


def test_an_evaluation_that_changes_the_encoder_is_refused(
    untrained: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = NeverInInferenceMode(load_encoder(DIGITS, untrained, CPU))
    monkeypatch.setattr(frozen, "load_encoder", lambda *_: encoder)
    with pytest.raises(RuntimeError, match="changed the encoder"):
        evaluate(DIGITS, untrained, CPU)


def test_every_weight_of_the_encoder_is_loaded(untrained: dict[str, Any]) -> None:
    other_seed = DIGITS.with_values({"seed": 1})
    encoder = load_encoder(other_seed, untrained, CPU)
    assert encoder_digest(encoder) == encoder_digest(load_encoder(DIGITS, untrained, CPU))
    assert not encoder.training
    lacking = {
        name: value
        for name, value in untrained["model"].items()
        if name != "encoder.stages.0.weight"
    }
    with pytest.raises(RuntimeError, match=r"stages\.0\.weight"):
        load_encoder(DIGITS, {"model": lacking}, CPU)
