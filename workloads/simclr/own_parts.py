"""The own parts of a SimCLR run: checked before it starts, pinned, and what they draw repeatable.

An encoder with dropout draws as it trains. What is drawn depends on (seed, epoch and step, worker,
chunk), so that a resumed run equals an uninterrupted one; unlike all else it does depend on the
number of workers.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from workloads.distributed.worker import Worker
from workloads.parts import OwnPart, plain_options, read_options
from workloads.seeds import seed_of
from workloads.simclr.encoder import build
from workloads.simclr.own_encoders import apart_norms, encoder_part, probe_problem
from workloads.simclr.own_losses import loss_part, own_loss_problem
from workloads.simclr.own_optimizers import optimizer_part, own_optimizer_problem
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError

__all__ = ["part_problems", "pinned_parts", "repeatable"]


def pinned_parts(spec: RunSpec) -> RunSpec:
    """Return the specification with code and options of its own parts pinned.

    Options are all of them, defaults included. Raises SpecError for a part that cannot be had, and
    for one whose code is another than was pinned.
    """
    values: dict[str, object] = {}
    problems: list[str] = []
    for group, find in _own(spec):
        try:
            part = find()
            given = getattr(spec, group).options
            options = plain_options(given, read_options(part, f"{group}.options", given))
        except SpecError as error:
            problems += error.problems
            continue
        values |= {f"{group}.options": options, f"{group}.code": part.code}
    if problems:
        raise SpecError(problems)
    return spec.with_values(values) if values else spec


def part_problems(spec: RunSpec, world_size: int) -> list[str]:
    """List why a run cannot have the parts of its own that it names; empty when it can."""
    problems: list[str] = []
    for group, find in _own(spec):
        try:
            part = find()
            read_options(part, f"{group}.options", getattr(spec, group).options)
        except SpecError as error:
            problems += error.problems
            continue
        problem = _tried(spec, group)
        problems += [problem] if problem else []
    if spec.encoder.is_own and not problems:
        problems += _apart(spec, world_size)
    return problems


@contextmanager
def repeatable(spec: RunSpec, purpose: str, index: int, worker: Worker) -> Iterator[None]:
    """Seed what own parts draw from torch's global generators; without any, leave these alone."""
    if not (spec.encoder.is_own or spec.loss.is_own):
        yield
        return
    on_gpu = [worker.device] if worker.device.type == "cuda" else []
    with torch.random.fork_rng(devices=on_gpu):
        torch.manual_seed(seed_of(spec.seed, f"{purpose} of worker {worker.rank}", index))
        yield


def _own(spec: RunSpec) -> Iterator[tuple[str, Callable[[], OwnPart]]]:
    if spec.encoder.is_own:
        yield "encoder", lambda: encoder_part(spec.encoder)
    if spec.schedule.epochs == 0:
        return
    if spec.loss.is_own:
        yield "loss", lambda: loss_part(spec.loss)
    if spec.optim.is_own:
        yield "optim", lambda: optimizer_part(spec.optim)


def _tried(spec: RunSpec, group: str) -> str | None:
    if group == "loss":
        return own_loss_problem(spec.loss)
    if group == "optim":
        return own_optimizer_problem(spec.optim)
    sides = (spec.view_size, *spec.schedule.sides)
    found = (probe_problem(build, spec.encoder, side) for side in sides)
    return next((problem for problem in found if problem), None)


def _apart(spec: RunSpec, world_size: int) -> list[str]:
    """Why batch norm of a kind of its own cannot be had on several workers, or in chunks."""
    chunked = spec.schedule.chunk not in (None, spec.schedule.batch_size)
    if world_size == 1 and not chunked:
        return []
    with torch.random.fork_rng(devices=[]):
        kinds = apart_norms(build(spec.encoder))
    if not kinds:
        return []
    where = f"{world_size} workers" if world_size > 1 else f"schedule.chunk={spec.schedule.chunk}"
    return [
        f"encoder.architecture={spec.encoder.architecture!r}: its {', '.join(kinds)} cannot be "
        f"made global, and would see a part of each batch with {where}; nn.BatchNorm2d with "
        "affine and running statistics can"
    ]
