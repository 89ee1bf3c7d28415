"""Linear evaluation: logistic regression on cached features, or the paper's SGD on augmented images (B.6)."""

import math
import warnings
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression
from torch import nn
from torch.nn import functional

from workloads.datasets import Split
from workloads.evaluation.scores import top_k_accuracy
from workloads.evaluation.spec import LinearSgdSpec
from workloads.simclr.spec import AugmentSpec, CropSpec
from workloads.simclr.views import apply_view, draw_view
from workloads.worker import Worker

__all__ = ["LinearClassifier", "fit_lbfgs", "fit_sgd"]

MAX_ITERATIONS = 1000

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class LinearClassifier:
    """Class scores of features h: ((h - mean) / scale) W + b."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    l2: float
    converged: bool

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """[N, C] of features [N, D]."""
        standard = (features - self.mean) / self.scale
        return np.asarray(standard @ self.weight + self.bias, dtype=np.float32)


def fit_lbfgs(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    classes: int,
    l2: tuple[float, ...],
) -> LinearClassifier:
    """Multinomial logistic regression for each L2 strength; the one with the best validation accuracy.

    `l2` multiplies |W|^2 / 2 beside the mean cross-entropy. Features are standardised by the training features, which the
    paper does not do: without it L-BFGS needs many more steps and the best strength depends on the encoder's scale.
    Ties go to the stronger regularisation. Needs two classes and every class among the labels.
    """
    mean: Vector = features.mean(0)
    scale: Vector = features.std(0) + np.float32(1e-6)
    standard = (features - mean) / scale
    model = LogisticRegression(solver="lbfgs", max_iter=MAX_ITERATIONS, tol=1e-4, warm_start=True)
    best, best_accuracy = None, -1.0
    for strength in sorted(l2, reverse=True):  # from strong to weak, each fit starting from the one before
        # For two classes scikit-learn fits w = W1 - W0 and penalises |w|^2, which is twice the |W|^2 of the stated objective.
        model.set_params(C=(2 if classes == 2 else 1) / (strength * len(labels)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            model.fit(standard, labels)
        converged = not any(issubclass(each.category, ConvergenceWarning) for each in caught)
        weight, bias = _both_classes(model, classes)
        fitted = LinearClassifier(mean, scale, weight, bias, strength, converged)
        accuracy = top_k_accuracy(fitted.scores(validation[0]), validation[1], 1)
        if accuracy > best_accuracy:
            best, best_accuracy = fitted, accuracy
    assert best is not None, "the specification refuses an empty l2"
    return best


def _both_classes(model: LogisticRegression, classes: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights [D, C] and bias [C]; scikit-learn keeps one row for two classes."""
    weight, bias = model.coef_.copy(), model.intercept_.copy()
    if classes == 2:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight.T.astype(np.float32), bias.astype(np.float32)


def fit_sgd(
    encoder: nn.Module,
    split: Split,
    sgd: LinearSgdSpec,
    *,
    feature_dim: int,
    classes: int,
    view_size: int,
    worker: Worker,
    bf16: bool,
    seed: int,
) -> LinearClassifier:
    """The paper's protocol (B.6): SGD with Nesterov momentum on random crops and flips, encoder in inference mode.

    Logits start at zero; learning rate base * batch / 256, cosine to 0 per step, no warm-up, the incomplete batch dropped.
    """
    augment = AugmentSpec(operations=("crop",), output_size=view_size, crop=CropSpec(min_area=sgd.min_area))
    batch = min(sgd.batch_size, len(split))
    steps = len(split) // batch
    logits = nn.Linear(feature_dim, classes).to(worker.device)
    nn.init.zeros_(logits.weight)
    nn.init.zeros_(logits.bias)
    peak = sgd.base_learning_rate * batch / 256
    optimizer = torch.optim.SGD(
        logits.parameters(), lr=peak, momentum=sgd.momentum, nesterov=sgd.momentum > 0, weight_decay=sgd.weight_decay
    )
    generator = torch.Generator().manual_seed(seed)
    encoder.eval()
    for epoch in range(sgd.epochs):
        order = torch.randperm(len(split), generator=generator)
        for step in range(steps):
            done = (epoch * steps + step) / (sgd.epochs * steps)
            optimizer.param_groups[0]["lr"] = peak * (1 + math.cos(math.pi * done)) / 2
            rows = order[step * batch : (step + 1) * batch]
            images = split.take(rows).to(worker.device)
            height, width = images.shape[-2:]
            parameters = draw_view(augment, len(rows), height, width, generator)
            with torch.no_grad(), torch.autocast(worker.device.type, torch.bfloat16, enabled=bf16):
                features = encoder(apply_view(images, parameters, augment)).float()
            labels = torch.from_numpy(split.labels)[rows].to(worker.device)
            optimizer.zero_grad()
            functional.cross_entropy(logits(features), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
    weight, bias = logits.weight.detach().cpu().numpy(), logits.bias.detach().cpu().numpy()
    identity = np.zeros(feature_dim, np.float32), np.ones(feature_dim, np.float32)
    return LinearClassifier(*identity, weight.T.copy(), bias.copy(), sgd.weight_decay, True)
