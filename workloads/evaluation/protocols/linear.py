"""Linear evaluation: regression on cached features, or the paper's SGD on random crops (B.6)."""

import math
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workloads.datasets import Split
from workloads.distributed.data_parallel import all_finite, of_all_workers, own_share
from workloads.evaluation.divergence import FitDivergedError, refuse_infinite
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import top_k_accuracy
from workloads.evaluation.resumed import Fit, told_of_images
from workloads.simclr.spec import AugmentSpec, CropSpec, LinearSgdSpec
from workloads.simclr.views import apply_view, draw_view

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

__all__ = ["LinearClassifier", "fit_lbfgs", "fit_sgd", "regression_path"]

MAX_ITERATIONS = 1000
TOLERANCE = 1e-4  # of the largest component of the gradient
HISTORY = 10  # steps that L-BFGS remembers
ROWS = 2048  # features whose logits are in memory at a time
SAMPLE = 8  # rows for each feature from which their covariance is estimated
ROUNDING = 1e-7  # of the loss, relative
SMALLEST_STEP = 1e-8
NEVER = np.finfo(np.float32).min  # the logit of a class without examples

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class LinearClassifier:
    """A linear classifier of features h: ((h - mean) / scale) W + b."""

    mean: NDArray[np.float32]
    scale: NDArray[np.float32]
    weight: NDArray[np.float32]
    bias: NDArray[np.float32]
    l2: float
    converged: bool

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute class scores [N, C] of features [N, D]."""
        standard = features - self.mean
        standard /= self.scale
        return np.asarray(standard @ self.weight + self.bias, dtype=np.float32)


def fit_lbfgs(
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
    validation: tuple[NDArray[np.float32], NDArray[np.int64]],
    *,
    classes: int,
    l2: tuple[float, ...],
) -> LinearClassifier:
    """Fit multinomial logistic regression of labels [N] on features [N, D].

    Once for each L2 strength; the one with the best accuracy on `validation` is returned. `l2`
    multiplies |W|^2 / 2 beside the mean cross-entropy. Features are standardised by the training
    features, which the paper does not do: without it L-BFGS needs many more steps and the best
    strength depends on the encoder's scale.
    Ties go to the stronger regularisation. A class without examples is fitted as what its
    probability tends to, zero: its score is below all others.
    """
    from sklearn.exceptions import ConvergenceWarning  # here: scikit-learn takes seconds to import
    from sklearn.linear_model import LogisticRegression

    mean, scale, standard = _standardised(features)
    present = np.unique(labels)
    model = LogisticRegression(
        solver="lbfgs", max_iter=MAX_ITERATIONS, tol=TOLERANCE, warm_start=True
    )

    best, best_accuracy = None, -1.0
    # from strong to weak, each fit starting from the one before
    for strength in sorted(l2, reverse=True):
        # For two classes scikit-learn fits w = W1 - W0 and penalises |w|^2, which is twice the
        # |W|^2 of the stated objective.
        model.set_params(C=(2 if len(present) == 2 else 1) / (strength * len(labels)))
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", ConvergenceWarning)
            if len(present) > 1:  # else nothing is to be told apart
                model.fit(standard, labels)
        converged = not any(issubclass(each.category, ConvergenceWarning) for each in caught)

        weight = np.zeros((features.shape[1], classes), np.float32)
        bias = np.full(classes, NEVER, np.float32)
        bias[present] = 0
        if len(present) > 1:
            weight[:, present], bias[present] = _of_each_class(model)
        fitted = LinearClassifier(mean, scale, weight, bias, strength, converged)
        accuracy = top_k_accuracy(fitted.scores(validation[0]), validation[1], 1)
        if accuracy > best_accuracy:
            best, best_accuracy = fitted, accuracy
    assert best is not None, "the specification refuses an empty l2"
    return best


def _standardised(features: NDArray[np.float32]) -> tuple[Vector, Vector, NDArray[np.float32]]:
    """Mean and scale of each feature, and the only copy of the features that is made.

    Raises FeaturesNotFiniteError also where they are finite and too large for that.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        mean: Vector = features.mean(0)
        scale: Vector = features.std(0) + np.float32(1e-6)
    refuse_infinite("h", mean, scale)
    standard = features - mean
    standard /= scale
    return mean, scale, standard


def _of_each_class(
    model: "LogisticRegression",
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Weights [D, C] and bias [C] of the classes it was fitted to; it keeps one row for two."""
    weight, bias = model.coef_.copy(), model.intercept_.copy()
    if len(bias) == 1:
        weight, bias = np.concatenate([-weight, weight]) / 2, np.concatenate([-bias, bias]) / 2
    return weight.T.astype(np.float32), bias.astype(np.float32)


def regression_path(
    features: NDArray[np.float32], labels: NDArray[np.int64], *, classes: int, l2: tuple[float, ...]
) -> Iterator[LinearClassifier]:
    """Yield the classifier of each L2 strength by `fit_lbfgs`'s objective, the strongest first.

    For many strengths (45 in B.8), 0 among them if asked for. One L-BFGS goes along the whole path:
    as the penalty is quadratic, what was learnt of the cross-entropy's curvature holds at the next
    strength, too, and so do loss and gradient where the last fit ended. It is preconditioned by the
    curvature at equal probabilities, as features that vary together would cost it many steps. To
    the tolerance `fit_lbfgs` is the same; it stays with scikit-learn's solver, by which finished
    runs were evaluated.
    """
    mean, scale, standard = _standardised(features)
    loss = _CrossEntropy(torch.from_numpy(standard), torch.from_numpy(labels), classes)
    equal, history = _curvature(loss), History(maxlen=HISTORY)
    point = loss.at(torch.zeros(classes, features.shape[1] + 1, dtype=torch.float64))
    for strength in sorted(l2, reverse=True):
        point, converged = _minimum(loss, point, strength, equal, history)
        weights = point.parameters.numpy().astype(np.float32)
        yield LinearClassifier(
            mean, scale, weights[:, :-1].T.copy(), weights[:, -1].copy(), strength, converged
        )


class _Point(NamedTuple):
    """Mean cross-entropy and its gradient, without a penalty, at weights and bias [C, D + 1].

    The bias is the last column.
    """

    parameters: Tensor
    loss: float
    gradient: Tensor

    def penalised(self, l2: float) -> tuple[float, Tensor]:
        weight = self.parameters[:, :-1]
        gradient = self.gradient.clone()
        gradient[:, :-1] += l2 * weight
        return self.loss + l2 / 2 * float((weight * weight).sum()), gradient


@dataclass(frozen=True)
class _CrossEntropy:
    """Of standardised features x [N, D] in float32 and labels y [N]."""

    x: Tensor
    y: Tensor
    classes: int

    def at(self, parameters: Tensor) -> _Point:
        weight, bias = parameters[:, :-1].float(), parameters[:, -1].float()
        total, gradient = 0.0, torch.zeros_like(parameters)
        for x, y in zip(torch.split(self.x, ROWS), torch.split(self.y, ROWS), strict=True):
            log_p = functional.linear(x, weight, bias).log_softmax(1)
            total -= float(log_p.gather(1, y[:, None]).sum(dtype=torch.float64))
            residual = log_p.exp_().scatter_add_(1, y[:, None], -torch.ones(len(y), 1))
            # in this order: x.T @ residual takes five times as long
            gradient[:, :-1] += residual.T @ x
            gradient[:, -1] += residual.sum(0)
        return _Point(parameters, total / len(self.y), gradient / len(self.y))


class _Curvature(NamedTuple):
    """The cross-entropy's second derivative at equal probabilities.

    Covariance / C of the weights, 1 / C of the biases.
    """

    values: Tensor
    vectors: Tensor
    classes: int

    def solved(self, gradient: Tensor, l2: float) -> Tensor:
        """The penalised second derivative's inverse times a gradient."""
        weight = (
            gradient[:, :-1] @ self.vectors / (self.values / self.classes + l2) @ self.vectors.T
        )
        return torch.cat([weight, self.classes * gradient[:, -1:]], dim=1)


def _curvature(loss: _CrossEntropy) -> _Curvature:
    # A sample of the rows will do: it is where to start from, and L-BFGS corrects it.
    features = loss.x.shape[1]
    x = loss.x[:: max(1, len(loss.x) // (SAMPLE * features))]
    values, vectors = torch.linalg.eigh((x.T @ x).double() / len(x))
    return _Curvature(values.clamp(min=max(1e-6 * float(values[-1]), 1e-12)), vectors, loss.classes)


# steps, and the change of the cross-entropy's gradient over each
History = deque[tuple[Tensor, Tensor]]


def _minimum(
    loss: _CrossEntropy, point: _Point, l2: float, equal: _Curvature, history: History
) -> tuple[_Point, bool]:
    """Where the penalised cross-entropy is least, from `point`, and whether that was reached.

    It was where the gradient fell below the tolerance.
    """
    objective, gradient = point.penalised(l2)
    for _ in range(MAX_ITERATIONS):
        if gradient.abs().max() <= TOLERANCE:
            return point, True

        direction = _direction(gradient, l2, equal, history)
        slope, size = float((gradient * direction).sum()), 1.0
        while True:  # halve the step until it goes down enough (Armijo)
            reached = loss.at(point.parameters + size * direction)
            objective_there, gradient_there = reached.penalised(l2)
            if objective_there <= objective + 1e-4 * size * slope + ROUNDING * abs(objective):
                break
            size /= 2
            if size < SMALLEST_STEP:
                return point, False

        history.append((size * direction, reached.gradient - point.gradient))
        point, objective, gradient = reached, objective_there, gradient_there
    return point, False


def _direction(gradient: Tensor, l2: float, equal: _Curvature, history: History) -> Tensor:
    """Downhill, by the two loops of L-BFGS (Nocedal and Wright, algorithm 7.4)."""
    remembered = []
    for step, change in history:
        penalised = change.clone()
        penalised[:, :-1] += l2 * step[:, :-1]
        if (curvature := float((step * penalised).sum())) > 0:
            remembered.append((step, penalised, curvature))

    direction, shares = -gradient, []
    for step, change, curvature in reversed(remembered):
        shares.append(float((step * direction).sum()) / curvature)
        direction = direction - shares[-1] * change

    direction = equal.solved(direction, l2)
    if remembered:
        _, change, curvature = remembered[-1]
        direction *= curvature / float((change * equal.solved(change, l2)).sum())

    for (step, change, curvature), share in zip(remembered, reversed(shares), strict=True):
        direction += (share - float((change * direction).sum()) / curvature) * step
    return direction


def fit_sgd(
    encoder: FrozenEncoder,
    split: Split,
    sgd: LinearSgdSpec,
    *,
    feature_dim: int,
    classes: int,
    seed: int,
) -> LinearClassifier:
    """Fit by the paper's protocol (B.6): SGD with Nesterov momentum on random crops and flips.

    The encoder is in inference mode, and gives `feature_dim` features. Logits start at zero;
    learning rate base * batch / 256, cosine to 0 per step, no warm-up, the incomplete batch
    dropped. Every worker calls, and takes its part of each batch; order and views do not depend on
    their number, and so, up to rounding, neither does the classifier, which all of them get.
    Raises FitDivergedError, on all of them.
    """
    worker = encoder.worker
    augment = AugmentSpec(
        operations=("crop",), output_size=encoder.view_size, crop=CropSpec(min_area=sgd.min_area)
    )
    batch = min(sgd.batch_size, len(split))
    steps, mine = len(split) // batch, own_share(batch, worker)

    logits = nn.Linear(feature_dim, classes).to(worker.device)
    nn.init.zeros_(logits.weight)
    nn.init.zeros_(logits.bias)
    peak = sgd.base_learning_rate * batch / 256
    optimizer = torch.optim.SGD(
        logits.parameters(),
        lr=peak,
        momentum=sgd.momentum,
        nesterov=sgd.momentum > 0,
        weight_decay=sgd.weight_decay,
    )
    trained = of_all_workers(logits, worker)
    generator = torch.Generator().manual_seed(seed)

    about = {"sgd": sgd.tree(), "seed": seed, "images": told_of_images(split)}
    fit = Fit("linear", about, logits, optimizer, generator, encoder)

    encoder.module.eval()
    for epoch in range(fit.begin() // steps, sgd.epochs):
        order = torch.randperm(len(split), generator=generator)[: steps * batch]
        rows = order.view(steps, batch)[:, mine]
        for step, images in enumerate(split.stream(rows)):
            done = (epoch * steps + step) / (sgd.epochs * steps)
            optimizer.param_groups[0]["lr"] = peak * (1 + math.cos(math.pi * done)) / 2

            height, width = images.shape[-2:]
            # Drawn for the whole batch and then sliced, so that a view does not depend on the
            # number of workers.
            parameters = draw_view(augment, batch, height, width, generator)[mine]
            with torch.no_grad(), encoder.autocast():
                views = apply_view(images.to(worker.device), parameters, augment)
                features = encoder.module(views).float()

            labels = torch.from_numpy(split.labels)[rows[step]].to(worker.device)
            optimizer.zero_grad()
            loss = functional.cross_entropy(trained(features), labels, reduction="sum") / batch
            (loss * worker.world_size).backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        if epoch + 1 < sgd.epochs and fit.is_due():
            fit.keep((epoch + 1) * steps)

    if not all_finite(logits):
        raise FitDivergedError(f"linear evaluation by SGD (learning rate {peak:.6g})")
    weight, bias = logits.weight.detach().cpu().numpy(), logits.bias.detach().cpu().numpy()
    identity = np.zeros(feature_dim, np.float32), np.ones(feature_dim, np.float32)
    return LinearClassifier(*identity, weight.T.copy(), bias.copy(), sgd.weight_decay, True)
