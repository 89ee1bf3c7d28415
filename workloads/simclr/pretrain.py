"""Training as a generator: one yielded result an epoch, from which a later run continues.

The loop is that of SimCLR's pre-training and of its supervised counterpart; their objectives say
what a batch's views are and what their loss is.

Shapes: N source images of the global batch, n = N / workers of them here, D the width of h, P the
width of z.
"""

import itertools
import math
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from workloads.datasets import DataSet, load
from workloads.distributed.data_parallel import (
    CHECK_EVERY,
    all_finite,
    checks_now,
    means_over_workers,
    of_all_workers,
)
from workloads.distributed.worker import Worker
from workloads.seeds import seed_of
from workloads.simclr import optim
from workloads.simclr.chunks import backward_in_chunks, numbers_of, own_chunks
from workloads.simclr.initial import begin_with
from workloads.simclr.labels_needed import label_problems
from workloads.simclr.model import Model, SimCLR, initial_model
from workloads.simclr.objective import Objective, objective_of
from workloads.simclr.online import OnlineProbe
from workloads.simclr.own_parts import part_problems, repeatable
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
    "problems_with",
]

SEEN_AT_THE_END = 64  # images

# This worker's images by chunks, each with the views to be made of it, and the images' labels.
Batch = tuple[list[Callable[[], Tensor]], Tensor]


@dataclass(frozen=True)
class EpochResult:
    """An epoch's outcome: plain-number metrics, and the state from which the next continues."""

    epoch: int
    metrics: dict[str, float]
    state: dict[str, Any]


class LossNotFiniteError(RuntimeError):
    """The loss became infinite or undefined; the run stops and its last good epoch is kept."""

    def __init__(self, loss: float, step: int, learning_rate: float, last_good_epoch: int) -> None:
        super().__init__(loss, step, learning_rate, last_good_epoch)
        self.loss, self.step, self.learning_rate = loss, step, learning_rate
        self.last_good_epoch = last_good_epoch

    def __str__(self) -> str:
        kept = (
            f"the state after epoch {self.last_good_epoch}"
            if self.last_good_epoch
            else "none, it was the first epoch"
        )
        return (
            f"loss is {self.loss} at step {self.step} (learning rate {self.learning_rate:.6g}); "
            f"last good state: {kept}"
        )


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

    trained: nn.Module = of_all_workers(model, worker)
    for epoch in range(first, spec.schedule.epochs):
        metrics = _train_epoch(spec, data, trained, optimizer, probe, epoch, worker)
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


def autocast(spec: RunSpec, worker: Worker) -> AbstractContextManager[None]:
    """Compute in bf16 where the specification asks for it and the device has it."""
    return torch.autocast(
        worker.device.type, torch.bfloat16, enabled=spec.precision == "bf16" and worker.bf16
    )


def _train_epoch(
    spec: RunSpec,
    data: DataSet,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    probe: OnlineProbe | None,
    epoch: int,
    worker: Worker,
) -> dict[str, float]:
    """One pass over the training images in a fresh order; the incomplete last batch is dropped."""
    model.train()
    objectives = {side: objective_of(spec, side) for side in (None, *spec.schedule.sides)}
    batch = spec.schedule.batch_size
    steps = len(data.train) // batch
    order = torch.randperm(len(data.train), generator=_generator(spec.seed, "order", epoch))
    chunks = own_chunks(batch, spec.schedule.chunk, worker)
    rows = order[: steps * batch].view(steps, batch)[:, numbers_of(chunks)]

    started, seen = time.perf_counter(), list[Tensor]()
    for step, images in enumerate(data.train.stream(rows), start=epoch * steps):
        rate = optim.rate_at(spec, step, steps)
        for group in optimizer.param_groups:
            group["lr"] = rate
        if probe:
            probe.set_rate(optim.rate_at(spec, step, steps, probe.peak))

        objective = objectives[spec.schedule.side_at(step, spec.schedule.epochs * steps)]
        labels = torch.from_numpy(data.train.labels)[rows[len(seen)]]
        drawn = _batch(spec, objective, (images, labels), chunks, step, worker)
        seen.append(_train_step(spec, objective, model, optimizer, probe, drawn, step, worker))
        if checks_now(worker, len(seen), steps):
            _refuse_infinite(spec, seen, epoch, steps, worker)

    # The update after the last finite loss may have ruined the weights, and then no epoch continues
    # from them.
    last = (epoch + 1) * steps - 1
    if not all_finite(model):
        raise LossNotFiniteError(math.nan, last, optim.rate_at(spec, last, steps), epoch)

    means = means_over_workers(torch.stack(seen).mean(0), worker)
    measured = objectives[None].metrics
    names = (*measured, probe.metric) if probe else measured
    return {
        **dict(zip(names, means, strict=True)),
        "learning_rate": optim.rate_at(spec, last, steps),
        "images_per_second": steps * batch / (time.perf_counter() - started),
    }


def _train_step(
    spec: RunSpec,
    objective: Objective,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    probe: OnlineProbe | None,
    batch: Batch,
    step: int,
    worker: Worker,
) -> Tensor:
    """One update. Returns the loss, the objective's other measures and the probe's.

    They are left on the device, which is not waited for.
    """
    chunks, labels = batch

    calls = itertools.count()

    def forward(part: nn.Module, views: Tensor) -> tuple[Tensor, Tensor | None]:
        # Both views of SimCLR in one pass: BN that sees them apart could tell them apart.
        chunk = next(calls) % len(chunks)  # which draws alike in both passes
        noise = repeatable(spec, f"noise of chunk {chunk}", step, worker)
        with autocast(spec, worker), noise:
            return part(views, with_features=True) if probe else (part(views), None)

    def loss_of(outputs: Tensor) -> Tensor:
        with autocast(spec, worker), repeatable(spec, "noise of the loss", step, worker):
            return objective.loss(outputs, labels)

    optimizer.zero_grad(set_to_none=True)
    if len(chunks) == 1:
        outputs, h = forward(model, chunks[0]())
        loss = loss_of(outputs)
        loss.backward()  # type: ignore[no-untyped-call]
    else:
        outputs, h, loss = backward_in_chunks(
            model, chunks, forward, loss_of, objective.views_per_image
        )
    optimizer.step()

    measures = [loss, *objective.measures(outputs.detach(), labels)]
    if probe and h is not None:
        measures.append(probe.step(h, labels))
    return torch.stack([value.detach().float() for value in measures])


def _batch(
    spec: RunSpec,
    objective: Objective,
    labelled: tuple[Tensor, Tensor],
    chunks: list[slice],
    step: int,
    worker: Worker,
) -> Batch:
    """The objective's views of this worker's images, `chunks` of the batch, and their labels."""
    images, labels = (tensor.to(worker.device, non_blocking=True) for tensor in labelled)
    height, width = images.shape[-2:]
    views = objective.draw(
        spec.schedule.batch_size, height, width, _generator(spec.seed, "views", step)
    )

    def made(part: Tensor, chunk: slice) -> Tensor:
        return views(part, chunk).contiguous(memory_format=torch.channels_last)

    parts = torch.split(images, [chunk.stop - chunk.start for chunk in chunks])
    return [partial(made, *one) for one in zip(parts, chunks, strict=True)], labels


def _refuse_infinite(
    spec: RunSpec, seen: list[Tensor], epoch: int, steps: int, worker: Worker
) -> None:
    # Over all workers, so that every one of them stops at the same step and none waits for another.
    recent = means_over_workers(torch.stack(seen[-CHECK_EVERY:])[:, 0], worker)
    for back, loss in enumerate(recent, start=len(seen) - len(recent)):
        if not math.isfinite(loss):
            step = epoch * steps + back
            raise LossNotFiniteError(loss, step, optim.rate_at(spec, step, steps), epoch)


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


def _generator(seed: int, purpose: str, index: int) -> Generator:
    return torch.Generator().manual_seed(seed_of(seed, purpose, index))
