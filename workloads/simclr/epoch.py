"""One epoch of training, which may be left and taken up again after any of its steps.

Shapes: N source images of the global batch, n = N / workers of them here, M measures of a step.
"""

import itertools
import math
import time
from collections.abc import Callable
from collections.abc import Generator as Generating
from contextlib import AbstractContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Generator, Tensor, nn

from workloads.checkpoint import StateError
from workloads.datasets import DataSet
from workloads.distributed.data_parallel import (
    CHECK_EVERY,
    all_finite,
    checks_now,
    means_over_workers,
    stacked_over_workers,
)
from workloads.distributed.worker import Worker
from workloads.facts import Midway
from workloads.seeds import seed_of
from workloads.simclr import optim
from workloads.simclr.chunks import backward_in_chunks, numbers_of, own_chunks
from workloads.simclr.model import Model
from workloads.simclr.objective import Objective, objective_of
from workloads.simclr.online import OnlineProbe
from workloads.simclr.own_parts import repeatable
from workloads.simclr.spec import RunSpec
from workloads.simclr.training_state import state_of

__all__ = ["LossNotFiniteError", "Trained", "autocast", "train_epoch"]

# This worker's images by chunks, each with the views to be made of it, and the images' labels.
Batch = tuple[list[Callable[[], Tensor]], Tensor]


@dataclass(frozen=True)
class Trained:
    """What a run trains: the model, as it is and as workers share it, and what belongs to it."""

    spec: RunSpec
    worker: Worker
    model: Model
    shared: nn.Module
    optimizer: torch.optim.Optimizer
    probe: OnlineProbe | None


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


def autocast(spec: RunSpec, worker: Worker) -> AbstractContextManager[None]:
    """Compute in bf16 where the specification asks for it and the device has it."""
    return torch.autocast(
        worker.device.type, torch.bfloat16, enabled=spec.precision == "bf16" and worker.bf16
    )


def train_epoch(
    trained: Trained,
    data: DataSet,
    epoch: int,
    within: dict[str, Any] | None,
    pause: Callable[[], bool],
) -> Generating[Midway, None, dict[str, float]]:
    """Pass once over the training images in a fresh order, without the incomplete last batch.

    Returns the means over the epoch. Where `pause` says so after a step, the state there is
    yielded; its `within`, handed in again, has the rest be as if nothing had happened.
    Raises StateError for one of another epoch.
    """
    spec, worker, probe = trained.spec, trained.worker, trained.probe
    trained.shared.train()
    objectives = {side: objective_of(spec, side) for side in (None, *spec.schedule.sides)}
    batch = spec.schedule.batch_size
    steps = len(data.train) // batch
    order = torch.randperm(len(data.train), generator=_generator(spec.seed, "order", epoch))
    chunks = own_chunks(batch, spec.schedule.chunk, worker)
    rows = order[: steps * batch].view(steps, batch)[:, numbers_of(chunks)]
    measured = objectives[None].metrics
    names = (*measured, probe.metric) if probe else measured

    seen, seconds = _begun(within, steps, len(names), worker)
    first, started = len(seen), time.perf_counter()
    for step, images in enumerate(data.train.stream(rows[first:]), start=epoch * steps + first):
        rate = optim.rate_at(spec, step, steps)
        for group in trained.optimizer.param_groups:
            group["lr"] = rate
        if probe:
            probe.set_rate(optim.rate_at(spec, step, steps, probe.peak))

        objective = objectives[spec.schedule.side_at(step, spec.schedule.epochs * steps)]
        labels = torch.from_numpy(data.train.labels)[rows[len(seen)]]
        drawn = _batch(spec, objective, (images, labels), chunks, step, worker)
        seen.append(_train_step(trained, objective, drawn, step))
        if checks_now(worker, len(seen), steps):
            _refuse_infinite(spec, seen, epoch, steps, worker)

        # What is not finite is not kept: the loss will say so.
        if len(seen) < steps and pause() and all_finite(trained.model):
            seconds += time.perf_counter() - started
            yield _midway(trained, epoch, steps, seen, seconds)
            started = time.perf_counter()

    # The update after the last finite loss may have ruined the weights, and then no epoch continues
    # from them.
    last = (epoch + 1) * steps - 1
    if not all_finite(trained.shared):
        raise LossNotFiniteError(math.nan, last, optim.rate_at(spec, last, steps), epoch)

    means = means_over_workers(torch.stack(seen).mean(0), worker)
    seconds += time.perf_counter() - started
    return {
        **dict(zip(names, means, strict=True)),
        "learning_rate": optim.rate_at(spec, last, steps),
        "images_per_second": steps * batch / seconds,
    }


def _begun(
    within: dict[str, Any] | None, steps: int, measures: int, worker: Worker
) -> tuple[list[Tensor], float]:
    """What the steps that are done have measured, and the seconds that they took."""
    if within is None:
        return [], 0.0
    seen = within.get("measured")
    if not (
        isinstance(seen, Tensor)
        and seen.ndim == 3
        and seen.shape[2] == measures
        and 0 < len(seen) < steps
    ):
        raise StateError(["resume: the state is of an epoch of another length"])
    # Of another number of workers, all that matters is the mean over them.
    same = seen.shape[1] == worker.world_size
    own = seen[:, worker.rank] if same else seen.mean(1)
    return list(own.to(worker.device)), float(within["seconds"])


def _midway(trained: Trained, epoch: int, steps: int, seen: list[Tensor], seconds: float) -> Midway:
    within = {"measured": stacked_over_workers(torch.stack(seen)).cpu(), "seconds": seconds}
    state = state_of(trained.spec, trained.model, trained.optimizer, epoch, trained.probe)
    return Midway(epoch, len(seen), steps, state | {"within": within})


def _train_step(trained: Trained, objective: Objective, batch: Batch, step: int) -> Tensor:
    """One update. Returns the loss, the objective's other measures and the probe's.

    They are left on the device, which is not waited for.
    """
    spec, worker, probe = trained.spec, trained.worker, trained.probe
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

    trained.optimizer.zero_grad(set_to_none=True)
    if len(chunks) == 1:
        outputs, h = forward(trained.shared, chunks[0]())
        loss = loss_of(outputs)
        loss.backward()  # type: ignore[no-untyped-call]
    else:
        outputs, h, loss = backward_in_chunks(
            trained.shared, chunks, forward, loss_of, objective.views_per_image
        )
    trained.optimizer.step()

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


def _generator(seed: int, purpose: str, index: int) -> Generator:
    return torch.Generator().manual_seed(seed_of(seed, purpose, index))
