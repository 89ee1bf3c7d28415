"""What an encoder is worth on other data (B.8; Tables 8 and B.5), frozen and fine-tuned.

Frozen, its h go to logistic regression; fine-tuned, the whole network is trained.

Shapes: N images, D the width of h, C classes. Of data whose images may have several labels
(VOC2007), labels are [N, C] of 1, 0, and -1 where a class is not to be counted.
"""

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from workloads.datasets import DataSet, Split, load, metric_of
from workloads.datasets.spec import EMBEDDED, DataSpec
from workloads.distributed.data_parallel import on_every_worker, said_by_first
from workloads.evaluation.divergence import FinetuneDivergedError
from workloads.evaluation.features.cache import cached_features
from workloads.evaluation.features.frozen import FrozenEncoder
from workloads.evaluation.metrics.scores import Metric, metric_value, scored
from workloads.evaluation.protocols.finetune import (
    Network,
    Recipe,
    fit_network,
    network_scores,
)
from workloads.evaluation.protocols.linear import LinearClassifier, regression_path
from workloads.evaluation.resumed import keep_piece, kept_piece
from workloads.evaluation_result import EvaluationResult
from workloads.seeds import seed_of
from workloads.simclr.spec import RunSpec, TransferProtocol, TransferSpec
from workloads.spec import SpecError

__all__ = ["data_of", "transfer_problems", "transferred"]

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class OneVersusRest:
    """A classifier for each class, of images that have it against those that have not.

    All are of one L2 strength.
    """

    of_class: tuple[LinearClassifier, ...]

    @property
    def l2(self) -> float:
        """Return the L2 strength of all of them."""
        return self.of_class[0].l2

    @property
    def converged(self) -> bool:
        """Tell whether the fits of all classes converged."""
        return all(each.converged for each in self.of_class)

    def scores(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Compute logits [N, C] of features [N, D]: above 0 where an image rather has the class."""
        return np.stack(
            [np.diff(each.scores(features), axis=1)[:, 0] for each in self.of_class], axis=1
        )


def transferred(spec: RunSpec, encoder: FrozenEncoder) -> EvaluationResult:
    """Evaluate an encoder on other data by `spec.eval.transfer`, in the data's metric in %.

    linear: transfer_linear, and of what was chosen transfer_linear_validation, transfer_linear_l2;
    transfer_linear_converged is 1 if the last fit converged. finetune: transfer_finetune,
    transfer_finetune_validation, transfer_finetune_learning_rate, transfer_finetune_weight_decay
    (before it is divided by the rate).

    The validation split chooses, then training and validation images together are fitted once more,
    and only then test labels are read. An untrained encoder gives the paper's "Random init" by
    finetune, with the grid given for it. The encoder stays as it is.
    Every worker calls, and the first is told.
    Raises SpecError, also for what is wrong with the data; FinetuneDivergedError when every
    candidate, or the last fit, does.
    """
    if problems := transfer_problems(spec):
        raise SpecError(problems)

    metric = metric_of(spec.eval.transfer.data.name)
    data = on_every_worker(
        lambda: {protocol: _loaded(spec, protocol) for protocol in spec.eval.transfer.protocols},
        encoder.worker,
    )

    tuned = regressed = EvaluationResult({})
    # Fine-tuning first: it takes all workers, none of which should wait for the regression of the
    # first one.
    if "finetune" in data:
        tuned = _by_finetuning(spec, encoder, data["finetune"], metric)
    if "linear" in data:
        regressed = _by_regression(spec, encoder, data["linear"], metric)
    return regressed | tuned


def transfer_problems(spec: RunSpec) -> list[str]:
    """Say what is wrong with `spec.eval.transfer`, one line each, without reading any data."""
    asked = spec.eval.transfer
    problems: list[str] = []
    if not asked.protocols:
        return problems

    for protocol in asked.protocols:
        try:
            data_of(spec, protocol)
        except SpecError as error:
            what = (
                f"for {protocol} and views of {spec.view_size} pixels (see "
                "eval.transfer.test_proportion)"
            )
            problems += [f"eval.transfer.data.{problem}, {what}" for problem in error.problems]

    if asked.data.root is None and not asked.data.is_own and asked.data.name not in EMBEDDED:
        problems.append(
            f"eval.transfer.data.root: is required by eval.transfer.data.name={asked.data.name!r}"
        )
    return problems


def data_of(spec: RunSpec, protocol: TransferProtocol) -> DataSpec:
    """Return the other data at the size that a protocol wants (B.8).

    The shorter side is the view, or in fine-tuning a little more.
    """
    seen = spec.eval.transfer.test_proportion if protocol == "finetune" else 1.0
    return spec.eval.transfer.data.with_values({"image_size": round(spec.view_size / seen)})


def _loaded(spec: RunSpec, protocol: TransferProtocol) -> DataSet:
    try:
        return load(data_of(spec, protocol), several_labels=True)
    except SpecError as error:
        named = [
            f"eval.transfer.{problem}" if problem.startswith("data.") else problem
            for problem in error.problems
        ]
        raise SpecError(named) from error


def _by_regression(
    spec: RunSpec, encoder: FrozenEncoder, data: DataSet, metric: Metric
) -> EvaluationResult:
    """l2-regularised logistic regression by L-BFGS on features of the unaugmented images.

    Other than in the paper, features are standardised by those that are fitted (`fit_lbfgs` says
    why), and a strength multiplies |W|^2 / 2 beside the mean loss, where the paper does not say
    what its lambda multiplies: chosen strengths are not comparable with it.
    """
    train, validation, test = (
        cached_features(encoder, split, content=data.content)
        for split in (data.train, data.validation, data.test)
    )
    if encoder.worker.rank > 0:
        return EvaluationResult({})

    classes = len(data.classes)
    fitted = _classifiers(train, data.train.labels, classes, spec.eval.transfer.l2)
    best, strength = _best(fitted, metric, validation, data.validation.labels)

    features = np.concatenate([train, validation])
    labels = np.concatenate([data.train.labels, data.validation.labels])
    (last,) = _classifiers(features, labels, classes, (strength,))
    chosen = {
        "transfer_linear_validation": best,
        "transfer_linear_l2": strength,
        "transfer_linear_converged": float(last.converged),
    }
    return scored(
        "transfer_linear", metric, last.scores(test), data.test.labels
    ) | EvaluationResult(chosen)


def _classifiers(
    features: NDArray[np.float32], labels: NDArray[np.int64], classes: int, l2: tuple[float, ...]
) -> Iterator[LinearClassifier | OneVersusRest]:
    """The fit of each strength; of labels [N, C] one regression a class.

    Each is on the images of which the class is known.
    """
    if labels.ndim == 1:
        yield from regression_path(features, labels, classes=classes, l2=l2)
        return
    paths = []
    for of_class in labels.T:
        known = of_class >= 0
        paths.append(list(regression_path(features[known], of_class[known], classes=2, l2=l2)))
    for of_strength in zip(*paths, strict=True):
        yield OneVersusRest(of_strength)


def _best(
    fitted: Iterable[LinearClassifier | OneVersusRest],
    metric: Metric,
    features: NDArray[np.float32],
    labels: NDArray[np.int64],
) -> tuple[float, float]:
    """The best value of the metric on validation features, and its strength.

    Of equals the stronger one.
    """
    return max((metric_value(metric, each.scores(features), labels), each.l2) for each in fitted)


def _by_finetuning(
    spec: RunSpec, encoder: FrozenEncoder, data: DataSet, metric: Metric
) -> EvaluationResult:
    """The whole network, by a grid of learning rates and weight decays.

    Of equals the first, the smallest rate first.
    """

    def fitted(images: Split, rate: float, decay: float) -> Network:
        return fit_network(
            encoder,
            images,
            _recipe(spec.eval.transfer, len(images), rate, decay),
            outputs=len(data.classes),
            seed=seed_of(spec.seed, "transfer"),
            several_labels=metric == "mAP",
        )

    asked, worker = spec.eval.transfer, encoder.worker
    about = {"asked": asked.tree(), "content": data.content, "seed": spec.seed}
    tried = _tried(kept_piece("transfer", about, encoder))
    values: dict[tuple[float, float], float] = {}
    for rate, decay in itertools.product(asked.learning_rates, asked.weight_decays):
        if (rate, decay) in tried:
            values[rate, decay] = tried[rate, decay]
            continue
        try:
            network = fitted(data.train, rate, decay)
            logits = network_scores(network, data.validation, encoder)
        except FinetuneDivergedError as error:
            log.info("transfer: learning rate %g, weight decay %g is out: %s", rate, decay, error)
            diverged = error
            continue
        value = 0.0
        if worker.rank == 0:
            value = metric_value(metric, logits, data.validation.labels)
        (values[rate, decay],) = said_by_first([value], worker)
        done = [[*candidate, found] for candidate, found in values.items()]
        keep_piece("transfer", about, {"values": done}, encoder)

    if not values:
        diverged.add_note("every candidate diverged; eval.transfer.learning_rates may be too high")
        raise diverged

    rate, decay = max(values, key=lambda candidate: values[candidate])
    last = fitted(data.train_and_validation(), rate, decay)
    logits = network_scores(last, data.test, encoder)
    if encoder.worker.rank > 0:
        return EvaluationResult({})
    chosen = {
        "transfer_finetune_validation": values[rate, decay],
        "transfer_finetune_learning_rate": rate,
        "transfer_finetune_weight_decay": decay,
    }
    return scored("transfer_finetune", metric, logits, data.test.labels) | EvaluationResult(chosen)


def _tried(piece: Mapping[str, Any] | None) -> dict[tuple[float, float], float]:
    """The values of the candidates that were tried before, by rate and decay."""
    return {(rate, decay): value for rate, decay, value in (piece or {"values": []})["values"]}


def _recipe(asked: TransferSpec, images: int, rate: float, decay: float) -> Recipe:
    """The recipe of one candidate.

    In the paper max(1 - 10 / s, 0.9) of BN's old statistics stay, with s steps an epoch; torch's
    momentum is of the new.
    """
    batch = min(asked.batch_size, images)
    return Recipe(
        steps=asked.steps,
        batch_size=batch,
        learning_rate=rate,
        momentum=asked.momentum,
        weight_decay=decay / rate,
        min_area=asked.min_area,
        norm_momentum=min(10 / (images // batch), 0.1),
    )
