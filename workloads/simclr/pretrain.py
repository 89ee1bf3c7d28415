"""Training as a generator: one yielded result an epoch, from which a later run continues.

The loop is that of SimCLR's pre-training and of its supervised counterpart; their objectives say
what a batch's views are and what their loss is.

Shapes: N source images of the global batch, n = N / workers of them here, D the width of h, P the
width of z.
"""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import torch

from workloads.datasets import DataSet, load
from workloads.distributed.data_parallel import means_over_workers, of_all_workers
from workloads.distributed.worker import Worker
from workloads.facts import Midway
from workloads.simclr import optim
from workloads.simclr.epoch import LossNotFiniteError, Trained, autocast, train_epoch
from workloads.simclr.initial import begin_with
from workloads.simclr.labels_needed import label_problems
from workloads.simclr.model import Model, SimCLR, initial_model
from workloads.simclr.online import OnlineProbe
from workloads.simclr.own_parts import part_problems
from workloads.simclr.spec import RunSpec
from workloads.simclr.supervised import is_supervised, supervised_problems
from workloads.simclr.training_state import restore, state_of
from workloads.simclr.views import center_view
from workloads.spec import SpecError

__all__ = [
    "EpochResult",
    "LossNotFiniteError",
    "SimCLR",
    "as_found",
    "autocast",
    "initial_model",
    "pretrain",
    "pretrain_by_step",
    "problems_with",
]

SEEN_AT_THE_END = 64  # images


@dataclass(frozen=True)
class EpochResult:
    """An epoch's outcome: plain-number metrics, and the state from which the next continues."""

    epoch: int
    metrics: dict[str, float]
    state: dict[str, Any]


def pretrain(
    spec: RunSpec, worker: Worker, resume: dict[str, Any] | None = None
) -> Iterator[EpochResult]:
    """Train from scratch, or from the `state` of an earlier result, and yield after each epoch.

    A resumed run equals an uninterrupted one: order, views and initial weights depend on (seed,
    epoch, step) alone, and so, up to rounding, does the result on any number of workers. With
    `schedule.epochs=0` the untrained model is yielded. The state's `model` holds encoder.* and
    head.*, or encoder.* and classifier.* of a supervised run (`cross-entropy`). With `eval.online`
    a trained state has `online`, too, the probe of `workloads.simclr.online`; nothing else changes.
    Raises SpecError when the data cannot serve the specification, LossNotFiniteError when training
    diverges: its loss, its weights, or what the encoder in the end makes of images.
    """
    for result in pretrain_by_step(spec, worker, resume, lambda: False):
        assert isinstance(result, EpochResult), "it never pauses"
        yield result


def pretrain_by_step(
    spec: RunSpec, worker: Worker, resume: dict[str, Any] | None, pause: Callable[[], bool]
) -> Iterator[EpochResult | Midway]:
    """Train as `pretrain` does, and where `pause` says so after a step yield the state there.

    Every worker asks after the same steps, all but the last of an epoch, and is told the same.
    """
    data = load(spec.data, without_labels=True)
    spec = as_found(spec, data)
    if problems := problems_with(spec, len(data.train), worker.world_size):
        raise SpecError(problems)

    classes = len(data.classes)
    model: Model = initial_model(spec, classes) if is_supervised(spec) else initial_model(spec)
    if not resume:
        begin_with(model, spec)
    model = model.to(worker.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimizer = optim.build(model, spec.optim, spec.learning_rate)
    if spec.schedule.epochs == 0:
        yield EpochResult(0, {}, state_of(spec, model, optimizer, 0))
        return

    probe = None
    if spec.eval.online:
        width = model.encoder.feature_dim
        probe = OnlineProbe(width, classes, spec.schedule.batch_size, worker)
    first = restore(spec, model, optimizer, probe, resume) if resume else 0

    trained = Trained(spec, worker, model, of_all_workers(model, worker), optimizer, probe)
    within = resume.get("within") if resume else None
    for epoch in range(first, spec.schedule.epochs):
        metrics = yield from train_epoch(trained, data, epoch, within, pause)
        within = None
        if epoch + 1 == spec.schedule.epochs:
            _refuse_infinite_features(spec, data, model, worker)
        yield EpochResult(epoch + 1, metrics, state_of(spec, model, optimizer, epoch + 1, probe))


def as_found(spec: RunSpec, data: DataSet) -> RunSpec:
    """Return a specification that says of its data if they have no labels."""
    if data.has_labels or spec.data.labels == "none":
        return spec
    return spec.with_values({"data.labels": "none"})


def problems_with(spec: RunSpec, train_images: int, world_size: int) -> list[str]:
    """List why a run cannot train on so many images and workers, or be evaluated afterwards.

    The list is empty when it can.
    """
    found = [*supervised_problems(spec), *label_problems(spec), *part_problems(spec, world_size)]
    batch = spec.schedule.batch_size
    if batch > train_images and spec.schedule.epochs:
        found.append(
            f"schedule.batch_size={batch}: is larger than the {train_images} training images"
        )
    if batch % world_size:
        found.append(f"schedule.batch_size={batch}: is not divisible by {world_size} workers")
    elif spec.schedule.chunk is not None and spec.schedule.chunk % world_size:
        found.append(
            f"schedule.chunk={spec.schedule.chunk}: is not divisible by {world_size} workers"
        )

    if spec.eval.online and is_supervised(spec):
        found.append(
            "eval.online=True: loss.name='cross-entropy' trains its own classifier with the "
            "encoder; needs false"
        )
    grey = spec.augment.color.grayscale_probability
    if "color" in spec.eval.probe.tasks and not 0 < grey < 1:
        found.append(
            f"augment.color.grayscale_probability={grey:g}: leaves 'color' of eval.probe.tasks "
            "nothing to tell"
        )
    return found


def _refuse_infinite_features(spec: RunSpec, data: DataSet, model: Model, worker: Worker) -> None:
    """Refuse an encoder of finite weights, too large for its features, as of an infinite loss.

    Batch norm hides them while it trains. Of a few images at test time, once after the last epoch.
    """
    images = data.train.take(slice(0, SEEN_AT_THE_END)).to(worker.device)
    model.eval()
    with torch.no_grad(), autocast(spec, worker):
        views = center_view(images, spec.view_size).contiguous(memory_format=torch.channels_last)
        finite = model.encoder(views).isfinite().all().float()
    if means_over_workers(finite[None], worker) != [1.0]:
        steps, epochs = len(data.train) // spec.schedule.batch_size, spec.schedule.epochs
        last = epochs * steps - 1
        raise LossNotFiniteError(math.nan, last, optim.rate_at(spec, last, steps), epochs - 1)
