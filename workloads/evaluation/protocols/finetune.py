"""Training of a whole network on labels: a pre-trained encoder's, or an untrained one's (B.5).

Shapes: N images of a split, B of a batch, S the side of a view, D the width of h, C outputs.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional

from workloads.datasets import DataSet, Split
from workloads.distributed.data_parallel import (
    all_finite,
    checks_now,
    means_over_workers,
    of_all_workers,
    on_every_worker,
    own_share,
)
from workloads.distributed.worker import Worker
from workloads.evaluation.divergence import FeaturesNotFiniteError, FinetuneDivergedError
from workloads.evaluation.features.frozen import BATCH, FrozenEncoder
from workloads.evaluation.metrics.scores import classified, top_k_accuracy
from workloads.evaluation.protocols.label_subsets import labelled_images
from workloads.evaluation.resumed import Fit, keep_piece, kept_piece, told_of_images
from workloads.evaluation_result import EvaluationResult
from workloads.seeds import seed_of
from workloads.simclr.batch_norm import GlobalBatchNorm
from workloads.simclr.spec import AugmentSpec, CropSpec, FinetuneSpec, RunSpec, percent
from workloads.simclr.views import apply_view, center_view, draw_view

__all__ = [
    "Network",
    "Recipe",
    "finetuned",
    "fit_network",
    "network_scores",
]


@dataclass(frozen=True)
class Recipe:
    """A way to fine-tune a whole network: SGD with Nesterov momentum on random crops and flips.

    The learning rate falls to 0 as a cosine, without warm-up.
    """

    steps: int
    batch_size: int  # clipped to the number of images by the caller
    learning_rate: float  # the peak itself
    momentum: float
    weight_decay: float
    min_area: float  # of the random crop
    # of BN's running statistics, torch's convention; None leaves the network's own
    norm_momentum: float | None = None

    def rate(self, step: int) -> float:
        """Return the learning rate of one step: the peak at the first, 0 after the last."""
        return self.learning_rate * (1 + math.cos(math.pi * step / self.steps)) / 2


class Network(nn.Module):
    """An encoder and a linear classifier of h, whose logits start at zero."""

    def __init__(self, encoder: nn.Module, feature_dim: int, outputs: int) -> None:
        super().__init__()
        self.encoder = encoder
        self.classifier = nn.Linear(feature_dim, outputs)
        nn.init.zeros_(self.classifier.weight)
        nn.init.zeros_(self.classifier.bias)
        self.last_step, self.last_rate = 0, 0.0  # of its training

    def forward(self, views: Tensor) -> Tensor:
        """Map views [B, 3, S, S] to logits [B, C]."""
        logits: Tensor = self.classifier(self.encoder(views))
        return logits


def fit_network(
    encoder: FrozenEncoder,
    images: Split,
    recipe: Recipe,
    *,
    outputs: int,
    seed: int,
    several_labels: bool = False,
) -> Network:
    """Train a copy of the encoder with a classifier on images and labels.

    Minimises the mean cross-entropy of labels [N]; with `several_labels`, of [N, C], the mean
    binary cross-entropy of those that are 0 or 1, passing over -1. An epoch's incomplete last batch
    is dropped. Order and views depend on `seed` alone. The encoder itself stays as it is; the
    network is returned in inference mode.

    Every worker calls, takes its part of each batch, and gets the network, which up to rounding is
    that of one worker; with fewer images in a batch than workers, each trains on all of them.
    Raises FinetuneDivergedError, on all workers, as soon as the loss is seen to be infinite or
    undefined.
    """
    assert 1 <= recipe.batch_size <= len(images), "callers clip the batch to the number of images"
    encoders_worker = encoder.worker
    if recipe.batch_size < encoder.worker.world_size:
        encoder = replace(encoder, worker=replace(encoder.worker, rank=0, world_size=1))

    worker = encoder.worker
    mine = own_share(recipe.batch_size, worker)
    network = _network(encoder, images, recipe, outputs)
    trained, optimizer = of_all_workers(network, worker), _sgd(network, recipe)
    augment = AugmentSpec(
        operations=("crop",), output_size=encoder.view_size, crop=CropSpec(min_area=recipe.min_area)
    )
    loss_of = _binary_cross_entropy if several_labels else _cross_entropy
    generator = torch.Generator().manual_seed(seed)

    about = {"recipe": asdict(recipe), "seed": seed, "images": told_of_images(images)}
    # where each worker trains on all images, they would write the same file
    name = "network" if worker == encoders_worker else None
    fit = Fit(name, about | {"outputs": outputs}, network, optimizer, generator, encoder)
    first, epoch = fit.begin(), len(images) // recipe.batch_size

    unseen: list[Tensor] = []
    network.train()
    batches = _batches(images, recipe, mine, generator, first)
    for step, (stored, labels) in enumerate(batches, start=first):
        views = _views(stored.to(worker.device), augment, recipe.batch_size, mine, generator)
        with encoder.autocast():
            logits = trained(views)
        # Gradients are the means of all workers', and each has its part of the batch's loss.
        loss = worker.world_size * loss_of(logits.float(), labels.to(worker.device), mine)

        optimizer.param_groups[0]["lr"] = recipe.rate(step)
        optimizer.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        optimizer.step()

        unseen.append(loss.detach())
        if checks_now(worker, step + 1, recipe.steps):
            _refuse_infinite(unseen, step, recipe, worker)
            unseen.clear()
        if (step + 1) % epoch == 0 and step + 1 < recipe.steps and fit.is_due():
            if unseen:
                _refuse_infinite(unseen, step, recipe, worker)
                unseen.clear()
            fit.keep(step + 1)

    # The last update may have ruined the weights after the last finite loss.
    network.last_step, network.last_rate = recipe.steps - 1, recipe.rate(recipe.steps - 1)
    if not all_finite(network):
        raise FinetuneDivergedError(network.last_step, network.last_rate)
    return network.eval()


def network_scores(
    network: Network, images: Split, encoder: FrozenEncoder, *, batch: int = BATCH
) -> NDArray[np.float32]:
    """Compute logits [N, C] of clean central views of a split's images, in the split's order.

    In inference mode, and applied as `encoder` is, from which it was trained. Every worker calls;
    all but the first get none, [0, C]. Raises FinetuneDivergedError when they are not finite.
    """
    try:
        return replace(encoder, module=network).features(images, batch)
    except FeaturesNotFiniteError:
        raise FinetuneDivergedError(network.last_step, network.last_rate) from None


def finetuned(spec: RunSpec, encoder: FrozenEncoder, data: DataSet) -> EvaluationResult:
    """Evaluate the network fine-tuned on each share of labels that is asked for (Tables 7, B.4).

    By accuracies in %. For a share of p percent, of those in `spec.eval.finetune`:
    finetune_{p}_top1, finetune_{p}_top5, finetune_{p}_validation_top1, and finetune_{p}_images, how
    many images it was trained on; with lists of names also finetune_{p}_left_out, how many of those
    are not training images; of unbalanced test classes also finetune_{p}_mean_per_class. Nothing is
    chosen: the last epoch is evaluated, and test labels are read once for each share, after
    training. Every worker calls, and the first is told.
    Raises SpecError when a subset cannot be had, before any training, and FinetuneDivergedError.
    """
    finetune, result = spec.eval.finetune, EvaluationResult({})
    subsets = on_every_worker(lambda: labelled_images(finetune, spec.data, data), encoder.worker)
    for (share, epochs), labelled in zip(finetune.runs, subsets, strict=True):
        p = percent(share)
        recipe = _recipe(finetune, epochs, len(labelled.images))
        validation, test = _scores_of_share(spec, encoder, data, labelled.images, p, recipe)
        if encoder.worker.rank > 0:
            continue

        results = {
            f"finetune_{p}_validation_top1": top_k_accuracy(validation, data.validation.labels, 1),
            f"finetune_{p}_images": float(len(labelled.images)),
        }
        if labelled.left_out is not None:
            results[f"finetune_{p}_left_out"] = float(labelled.left_out)
        result |= classified(f"finetune_{p}", test, data.test.labels) | EvaluationResult(results)
    return result


def _scores_of_share(
    spec: RunSpec, encoder: FrozenEncoder, data: DataSet, images: Split, p: str, recipe: Recipe
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """The logits of validation and test images of the network fine-tuned on a share of labels."""
    seed, name = seed_of(spec.seed, f"finetune {p}"), f"finetune-{p}"
    about = {"recipe": asdict(recipe), "seed": seed, "images": told_of_images(images)}
    kept = kept_piece(name, about, encoder)
    if kept is not None:
        return kept["validation"].numpy(), kept["test"].numpy()
    network = fit_network(encoder, images, recipe, outputs=len(data.classes), seed=seed)
    validation = network_scores(network, data.validation, encoder)
    test = network_scores(network, data.test, encoder)
    scores = {"validation": torch.from_numpy(validation), "test": torch.from_numpy(test)}
    keep_piece(name, about, scores, encoder)
    return validation, test


def _recipe(finetune: FinetuneSpec, epochs: int, images: int) -> Recipe:
    batch = min(finetune.batch_size, images)
    return Recipe(
        steps=epochs * (images // batch),
        batch_size=batch,
        learning_rate=finetune.base_learning_rate * batch / 256,
        momentum=finetune.momentum,
        weight_decay=finetune.weight_decay,
        min_area=finetune.min_area,
    )


def _network(encoder: FrozenEncoder, images: Split, recipe: Recipe, outputs: int) -> Network:
    """A copy of the encoder on the worker's device, with a classifier as wide as h.

    One image tells how wide that is.
    """
    worker = encoder.worker
    copied = copy.deepcopy(encoder.module).requires_grad_(True).to(worker.device).eval()
    with torch.inference_mode():
        one = images.take(slice(0, 1)).to(worker.device)
        feature_dim = copied(center_view(one, encoder.view_size)).shape[1]
    network = Network(copied, feature_dim, outputs)

    for block in list(network.modules()):
        for name, layer in block.named_children():
            if isinstance(layer, GlobalBatchNorm) and worker.world_size == 1:
                setattr(block, name, _of_one_worker(layer))
    if recipe.norm_momentum is not None:
        for layer in network.modules():
            if isinstance(layer, nn.BatchNorm1d | nn.BatchNorm2d | GlobalBatchNorm):
                layer.momentum = recipe.norm_momentum
    placed: Network = network.to(worker.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    return placed


def _sgd(network: Network, recipe: Recipe) -> torch.optim.SGD:
    """The paper's plain SGD: where weights decay at all, all do, those of BN and the biases too."""
    return torch.optim.SGD(
        network.parameters(),
        lr=recipe.learning_rate,
        momentum=recipe.momentum,
        nesterov=recipe.momentum > 0,
        weight_decay=recipe.weight_decay,
    )


def _of_one_worker(layer: GlobalBatchNorm) -> nn.BatchNorm2d:
    """The same normalisation without a collective.

    The workers of pre-training, if any, may not be there.
    """
    alone = nn.BatchNorm2d(len(layer.weight), layer.eps, layer.momentum)
    alone.load_state_dict(layer.state_dict())
    return alone


def _batches(
    images: Split, recipe: Recipe, mine: slice, generator: torch.Generator, done: int
) -> Iterator[tuple[Tensor, Tensor]]:
    """The stored images of this worker's part of each batch, and the labels of the whole batch.

    A fresh permutation of the images an epoch, without its incomplete last batch. The steps that
    are `done` are whole epochs.
    """
    batch, left = recipe.batch_size, recipe.steps - done
    while left > 0:
        steps = min(len(images) // batch, left)
        rows = torch.randperm(len(images), generator=generator)[: steps * batch].view(steps, batch)
        # An epoch at a time: reading further ahead would draw its order before the last views of
        # the one before.
        for step, stored in enumerate(images.stream(rows[:, mine])):
            yield stored, torch.from_numpy(images.labels[rows[step].numpy()])
        left -= steps


def _views(
    stored: Tensor, augment: AugmentSpec, batch: int, mine: slice, generator: torch.Generator
) -> Tensor:
    """One random crop of each image, flipped or not: float32 [b, 3, S, S].

    Of uint8 [b, 3, H, W], which are `mine` of a batch.
    """
    height, width = stored.shape[-2:]
    views = apply_view(stored, draw_view(augment, batch, height, width, generator)[mine], augment)
    return views.contiguous(memory_format=torch.channels_last)


def _cross_entropy(logits: Tensor, labels: Tensor, mine: slice) -> Tensor:
    """What the images `mine` contribute to the batch's mean: logits [b, C], all labels [B]."""
    return functional.cross_entropy(logits, labels[mine], reduction="sum") / len(labels)


def _binary_cross_entropy(logits: Tensor, labels: Tensor, mine: slice) -> Tensor:
    """The same of labels [B, C], with the mean over those that are 0 or 1, and not -1."""
    counted = labels >= 0
    losses = functional.binary_cross_entropy_with_logits(
        logits, labels[mine].clamp(min=0).float(), reduction="none"
    )
    return (losses * counted[mine]).sum() / counted.sum().clamp(min=1)


def _refuse_infinite(unseen: list[Tensor], last: int, recipe: Recipe, worker: Worker) -> None:
    """Raise for the first loss, up to step `last`, that is infinite or undefined on any worker."""
    finite = [math.isfinite(loss) for loss in means_over_workers(torch.stack(unseen), worker)]
    if not all(finite):
        step = last - len(unseen) + 1 + finite.index(False)
        raise FinetuneDivergedError(step, recipe.rate(step))
