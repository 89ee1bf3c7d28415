"""One process with an oracle: transfer to other data, against scikit-learn and loops written
out.
"""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from torch import nn

from workloads.datasets import DataSet, Split, load
from workloads.datasets.sources.transfer_lists import VOC_CLASSES
from workloads.distributed.worker import Worker
from workloads.evaluation.divergence import FinetuneDivergedError
from workloads.evaluation.features.digests import encoder_digest
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import mean_average_precision
from workloads.evaluation.protocols.finetune import (
    Network,
    Recipe,
    fit_network,
    network_scores,
)
from workloads.evaluation.protocols.transfer import transfer_problems, transferred
from workloads.evaluation_result import EvaluationResult
from workloads.seeds import seed_of
from workloads.simclr.pretrain import initial_model
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

CPU = Worker(torch.device("cpu"))
# pixels: of a view, and in fine-tuning of the image of which it is the centre
VIEW, STORED = 16, 20
L2 = (1e-3, 1e-2, 0.1, 1.0, 10.0)
Features = NDArray[np.float32]


def spec_of(data: dict[str, Any], **transfer: Any) -> RunSpec:
    """Transfer from an untrained small network to `data`."""
    given = {
        "protocols": ["linear"],
        "l2": L2,
        "data": data,
        "test_proportion": VIEW / STORED,
        **transfer,
    }
    return RunSpec.read(
        {
            "data": {"name": "digits", "image_size": VIEW},
            "encoder": {"architecture": "convnet", "width": 0.25},
            "schedule": {"epochs": 0},
            "eval": {"transfer": given},
            "seed": 3,
            "precision": "fp32",
        }
    )


DIGITS = {"name": "digits", "train_images": 300, "test_images": 200, "validation_fraction": 0.4}


@pytest.fixture(scope="module")
def encoder() -> nn.Module:
    """Pre-trained nowhere."""
    return initial_model(spec_of(DIGITS)).encoder.eval()


def evaluated(spec: RunSpec, encoder: nn.Module) -> EvaluationResult:
    return transferred(spec, FrozenEncoder(encoder, spec.view_size, CPU))


def data_of(spec: RunSpec, size: int = VIEW) -> DataSet:
    return load(spec.eval.transfer.data.with_values({"image_size": size}), several_labels=True)


def features_of(encoder: nn.Module, split: Split) -> Features:
    """Of whole images."""
    with torch.inference_mode():
        return np.asarray(encoder(split.take(slice(None)).float() / 255))


def fit(features: Features, labels: NDArray[np.int64], l2: float) -> Any:
    """scikit-learn's own fit on standardised features; C multiplies the sum of losses."""
    strength = (2 if labels.max() == 1 else 1) / (l2 * len(labels))
    return LogisticRegression(C=strength, max_iter=1000, tol=1e-4).fit(
        standard(features, features), labels
    )


def standard(features: Features, fitted: Features) -> Features:
    return np.asarray((features - fitted.mean(0)) / (fitted.std(0) + 1e-6), np.float32)


# Linear


def expected_of_one_label(
    encoder: nn.Module, data: DataSet, metric: Any
) -> tuple[float, float, float, NDArray[np.int64]]:
    """Best validation value, its strength, the test value after the last fit, and what that
    predicts.
    """
    train, validation, test = (
        features_of(encoder, each) for each in (data.train, data.validation, data.test)
    )
    values = {}
    for l2 in L2:
        predicted = fit(train, data.train.labels, l2).predict(standard(validation, train))
        values[l2] = 100 * metric(data.validation.labels, predicted)
    best = max(values.values())
    l2 = max(strength for strength, value in values.items() if value == best)
    both = np.concatenate([train, validation])
    last = fit(both, np.concatenate([data.train.labels, data.validation.labels]), l2)
    predicted = last.predict(standard(test, both))
    return best, l2, 100 * metric(data.test.labels, predicted), predicted


def accuracy(labels: NDArray[np.int64], predicted: NDArray[np.int64]) -> float:
    return float((labels == predicted).mean())


def test_linear_on_digits_equals_a_loop_over_scikit_learn(encoder: nn.Module) -> None:
    spec = spec_of(DIGITS)
    before = encoder_digest(encoder)
    found = evaluated(spec, encoder)
    best, l2, value, predicted = expected_of_one_label(encoder, data_of(spec), accuracy)
    assert found.results == pytest.approx(
        {
            "transfer_linear": value,
            "transfer_linear_validation": best,
            "transfer_linear_l2": l2,
            "transfer_linear_converged": 1.0,
        }
    )
    assert L2[0] < l2 < L2[-1], "else the choice would not be one"
    assert found.predictions["transfer_linear"].predicted.tolist() == predicted.tolist()
    low, high = found.intervals["transfer_linear"]
    assert low < value < high
    assert encoder_digest(encoder) == before


def write_pets(root: Path, test_labels: list[int]) -> None:
    """Three breeds that differ a little in colour; the classes of the test images are as unequal as
    asked for.
    """
    draws = np.random.default_rng(0)
    (root / "oxford-iiit-pet/annotations").mkdir(parents=True)
    (root / "oxford-iiit-pet/images").mkdir()
    of_training = [n % 3 for n in range(60)]
    shown = sorted(test_labels)
    for part, seen, labels in (
        ("trainval", of_training, of_training),
        ("test", shown, test_labels),
    ):
        lines = []
        for number, (look, label) in enumerate(zip(seen, labels, strict=True)):
            name = f"{'abc'[label]}_{part}{number}"
            mean = np.array([[[60, 60, 60]], [[60, 95, 60]], [[60, 60, 95]]])[look]
            pixels = (mean + draws.normal(0, 60, (VIEW, VIEW, 3))).clip(0, 255).astype(np.uint8)
            Image.fromarray(pixels).save(root / f"oxford-iiit-pet/images/{name}.jpg", quality=95)
            lines.append(f"{name} {label + 1} 1 1\n")
        (root / f"oxford-iiit-pet/annotations/{part}.txt").write_text("".join(lines))


def pets(root: Path) -> dict[str, Any]:
    return {"name": "pets", "root": str(root), "validation_fraction": 0.3}


UNEQUAL = [0] * 40 + [1] * 12 + [2] * 8


def test_linear_on_pets_is_the_mean_per_class(encoder: nn.Module, tmp_path: Path) -> None:
    write_pets(tmp_path, UNEQUAL)
    spec = spec_of(pets(tmp_path))
    found = evaluated(spec, encoder).results
    data = data_of(spec)
    best, l2, value, predicted = expected_of_one_label(encoder, data, balanced_accuracy_score)
    assert found["transfer_linear_validation"] == pytest.approx(best)
    assert found["transfer_linear_l2"] == l2
    assert found["transfer_linear"] == pytest.approx(value)
    assert abs(value - 100 * accuracy(data.test.labels, predicted)) > 0.5


def test_nothing_but_the_score_depends_on_test_labels(encoder: nn.Module, tmp_path: Path) -> None:
    found = []
    for name, labels in (("as they are", UNEQUAL), ("permuted", UNEQUAL[::-1])):
        write_pets(tmp_path / name, labels)
        grid = {
            "steps": 12,
            "batch_size": 16,
            "learning_rates": [0.01, 0.1],
            "weight_decays": [0.0],
        }
        found.append(
            evaluated(
                spec_of(pets(tmp_path / name), protocols=["linear", "finetune"], **grid), encoder
            )
        )
    straight, permuted = found
    changed = {name for name, value in straight.results.items() if permuted.results[name] != value}
    assert changed == {"transfer_linear", "transfer_finetune"}
    for name in ("transfer_linear", "transfer_finetune"):
        assert np.array_equal(
            straight.predictions[name].predicted, permuted.predictions[name].predicted
        )


# Several labels


def write_voc(root: Path) -> None:
    """Each class adds its own pattern to an image; some of those that have it are difficult."""
    draws = np.random.default_rng(1)
    base = root / "VOCdevkit/VOC2007"
    (base / "ImageSets/Main").mkdir(parents=True)
    (base / "JPEGImages").mkdir()
    patterns = draws.normal(0, 40, (len(VOC_CLASSES), VIEW, VIEW, 3))
    for number, part in enumerate(("train", "val", "test")):
        has = draws.random((60, len(VOC_CLASSES))) < 0.25
        difficult = draws.random(has.shape) < 0.1
        for image, row in enumerate(has):
            pixels = 128 + patterns[row].sum(0) + draws.normal(0, 30, (VIEW, VIEW, 3))
            Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(
                base / f"JPEGImages/{number}{image:05d}.jpg"
            )
        marks = np.where(difficult, 0, np.where(has, 1, -1))
        for c, name in enumerate(VOC_CLASSES):
            lines = [f"{number}{image:05d} {mark:2d}\n" for image, mark in enumerate(marks[:, c])]
            (base / f"ImageSets/Main/{name}_{part}.txt").write_text("".join(lines))


def voc_scores(fitted: Features, labels: NDArray[np.int64], asked: Features, l2: float) -> Features:
    columns = []
    for of_class in labels.T:
        known = of_class >= 0
        columns.append(
            fit(fitted[known], of_class[known], l2).decision_function(
                standard(asked, fitted[known])
            )
        )
    return np.stack(columns, axis=1)


def test_linear_on_several_labels_is_one_regression_a_class(
    encoder: nn.Module, tmp_path: Path
) -> None:
    write_voc(tmp_path)
    strengths = (1e-2, 1.0)
    spec = spec_of({"name": "voc2007", "root": str(tmp_path)}, l2=strengths)
    found = evaluated(spec, encoder)
    data = data_of(spec)
    train, validation, test = (
        features_of(encoder, each) for each in (data.train, data.validation, data.test)
    )
    values = {
        l2: mean_average_precision(
            voc_scores(train, data.train.labels, validation, l2), data.validation.labels
        )
        for l2 in strengths
    }
    l2 = max(values, key=lambda strength: values[strength])
    both = (
        np.concatenate([train, validation]),
        np.concatenate([data.train.labels, data.validation.labels]),
    )
    scores = voc_scores(*both, test, l2)
    assert found.results["transfer_linear_l2"] == l2
    assert found.results["transfer_linear_validation"] == pytest.approx(values[l2], abs=0.3)
    assert found.results["transfer_linear"] == pytest.approx(
        mean_average_precision(scores, data.test.labels), abs=0.3
    )
    assert (found.predictions["transfer_linear"].predicted == (scores > 0)).mean() > 0.99
    assert abs(values[strengths[0]] - values[strengths[1]]) > 1


# Fine-tuning


def grid_of(spec: RunSpec) -> Iterator[tuple[float, float]]:
    return itertools.product(spec.eval.transfer.learning_rates, spec.eval.transfer.weight_decays)


def tuned(
    spec: RunSpec, encoder: nn.Module, images: Split, outputs: int, recipe: Recipe
) -> Network:
    return fit_network(
        FrozenEncoder(encoder, VIEW, CPU),
        images,
        recipe,
        outputs=outputs,
        seed=seed_of(spec.seed, "transfer"),
        several_labels=images.labels.ndim == 2,
    )


def scores_of(network: Network, images: Split) -> Features:
    return network_scores(network, images, FrozenEncoder(network, VIEW, CPU))


def both_of(data: DataSet) -> Split:
    """Training and validation images in the order in which they are stored."""
    pairs = [
        pair
        for each in (data.train, data.validation)
        for pair in zip(each.index, each.labels, strict=True)
    ]
    index, labels = zip(*sorted(pairs, key=lambda pair: int(pair[0])), strict=True)
    return Split(data.train.images, np.array(labels), np.array(index))


def test_finetuning_equals_a_loop_over_its_grid(encoder: nn.Module) -> None:
    grid = {"learning_rates": [0.03, 0.1], "weight_decays": [0.0, 1e-3]}
    spec = spec_of(DIGITS, protocols=["finetune"], steps=30, batch_size=32, **grid)
    before = encoder_digest(encoder)
    found = evaluated(spec, encoder)
    data = data_of(spec, STORED)
    values = {}
    for rate, decay in grid_of(spec):
        recipe = Recipe(30, 32, rate, 0.9, decay / rate, 0.08, norm_momentum=0.1)
        said = scores_of(tuned(spec, encoder, data.train, 10, recipe), data.validation).argmax(1)
        values[rate, decay] = 100 * accuracy(data.validation.labels, said)
    best = max(values.values())
    rate, decay = next(candidate for candidate, value in values.items() if value == best)
    recipe = Recipe(30, 32, rate, 0.9, decay / rate, 0.08, norm_momentum=0.1)
    said = scores_of(tuned(spec, encoder, both_of(data), 10, recipe), data.test).argmax(1)
    assert found.predictions["transfer_finetune"].predicted.tolist() == said.tolist()
    assert found.results == pytest.approx(
        {
            "transfer_finetune": 100 * accuracy(data.test.labels, said),
            "transfer_finetune_validation": best,
            "transfer_finetune_learning_rate": rate,
            "transfer_finetune_weight_decay": decay,
        }
    )
    assert len(set(values.values())) > 2, "else the choice would not be one"
    assert encoder_digest(encoder) == before


def test_norms_remember_longer_where_epochs_have_more_than_a_hundred_steps(
    encoder: nn.Module,
) -> None:
    """1200 images by eight: 150 steps an epoch in the last fit, so that 10 / 150 of each batch is
    remembered.
    """
    grid = {"learning_rates": [0.05], "weight_decays": [0.0]}
    spec = spec_of(
        DIGITS | {"train_images": 1200}, protocols=["finetune"], steps=25, batch_size=8, **grid
    )
    found = evaluated(spec, encoder).predictions["transfer_finetune"].predicted
    data = data_of(spec, STORED)
    said = {}
    for momentum in (10 / 150, 0.1):
        recipe = Recipe(25, 8, 0.05, 0.9, 0.0, 0.08, norm_momentum=momentum)
        said[momentum] = (
            scores_of(tuned(spec, encoder, both_of(data), 10, recipe), data.test).argmax(1).tolist()
        )
    assert found.tolist() == said[10 / 150] != said[0.1]


def test_finetuning_on_several_labels(encoder: nn.Module, tmp_path: Path) -> None:
    write_voc(tmp_path)
    grid = {"learning_rates": [0.05], "weight_decays": [0.0]}
    spec = spec_of(
        {"name": "voc2007", "root": str(tmp_path)},
        protocols=["finetune"],
        steps=4,
        batch_size=500,
        **grid,
    )
    found = evaluated(spec, encoder)
    data = data_of(spec, STORED)
    recipe = Recipe(4, 120, 0.05, 0.9, 0.0, 0.08, norm_momentum=0.1)
    scores = scores_of(tuned(spec, encoder, data.train_and_validation(), 20, recipe), data.test)
    assert found.results["transfer_finetune"] == pytest.approx(
        mean_average_precision(scores, data.test.labels)
    )
    assert np.array_equal(found.predictions["transfer_finetune"].predicted, scores > 0)


def test_a_candidate_that_diverges_is_out_and_all_of_them_is_an_error(encoder: nn.Module) -> None:
    asked: dict[str, Any] = {
        "protocols": ["finetune"],
        "steps": 3,
        "batch_size": 32,
        "weight_decays": [0.0],
    }
    found = evaluated(spec_of(DIGITS, learning_rates=[0.01, 1e30], **asked), encoder)
    assert found.results["transfer_finetune_learning_rate"] == 0.01
    with pytest.raises(FinetuneDivergedError) as caught:
        evaluated(spec_of(DIGITS, learning_rates=[1e30], **asked), encoder)
    assert caught.value.__notes__ == [
        "every candidate diverged; eval.transfer.learning_rates may be too high"
    ]


# What is refused


def test_problems_are_said_before_anything_is_read(encoder: nn.Module) -> None:
    spec = spec_of({"name": "cars"}, protocols=["linear", "finetune"], test_proportion=0.02)
    size, root = transfer_problems(spec)
    assert size.startswith("eval.transfer.data.image_size=800: ")
    assert "finetune" in size
    assert root.startswith("eval.transfer.data.root: is required by eval.transfer.data.name='cars'")
    with pytest.raises(SpecError) as caught:
        evaluated(spec, encoder)
    assert caught.value.problems == [size, root]
    assert transfer_problems(spec_of({"name": "digits"}, test_proportion=0.02)) == []
    assert transfer_problems(spec.with_values({"eval.transfer.protocols": []})) == []


def test_no_regularisation_is_a_candidate_like_others(encoder: nn.Module) -> None:
    found = evaluated(spec_of(DIGITS, l2=[0.0]), encoder).results
    assert found["transfer_linear_l2"] == 0
    assert found["transfer_linear"] > 80


def test_problems_of_the_data_bear_the_fields_name(encoder: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(SpecError) as caught:
        evaluated(spec_of({"name": "pets", "root": str(tmp_path)}), encoder)
    (problem,) = caught.value.problems
    assert problem.startswith("eval.transfer.data.root=")
