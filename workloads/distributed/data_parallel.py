"""Parts of a loop of updates that several workers share; alone, nothing is exchanged.

Every worker makes the same calls in the same order. Views are drawn and batches are counted for all
of them, so that a result depends on their number only as far as sums are rounded.
"""

from collections.abc import Callable
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from workloads.distributed.collectives import all_gather
from workloads.distributed.worker import Worker
from workloads.spec import SpecError

__all__ = [
    "CHECK_EVERY",
    "all_finite",
    "checks_now",
    "given_by_first",
    "means_over_workers",
    "of_all_workers",
    "on_every_worker",
    "own_share",
    "said_by_first",
    "stacked_over_workers",
]

T = TypeVar("T")

# steps between checks of the loss where a check waits for a device or for other workers
CHECK_EVERY = 64


def own_share(count: int, worker: Worker) -> slice:
    """Return this worker's part of `count` things in a row; parts differ by one at most."""
    return slice(
        worker.rank * count // worker.world_size, (worker.rank + 1) * count // worker.world_size
    )


def of_all_workers(model: nn.Module, worker: Worker) -> nn.Module:
    """Wrap the model so that its gradients are the means of all workers' after a backward pass.

    The means of losses over unequal parts of a batch are not the batch's: there each worker's is
    its part of the batch's loss, times the number of workers.
    """
    if worker.world_size == 1:
        return model
    # BN's statistics are global already, so its buffers agree on every worker without a broadcast.
    devices = [worker.device.index or 0] if worker.device.type == "cuda" else None
    return DistributedDataParallel(model, device_ids=devices, broadcast_buffers=False)


def checks_now(worker: Worker, done: int, steps: int) -> bool:
    """Tell whether the loss is checked after `done` of the steps.

    It is checked each time where that costs nothing, else now and then.
    """
    free = worker.device.type == "cpu" and worker.world_size == 1
    return free or done % CHECK_EVERY == 0 or done == steps


def means_over_workers(values: Tensor, worker: Worker) -> list[float]:
    """Return each value's mean, on every worker, so that all of them decide alike."""
    if worker.world_size > 1:
        dist.all_reduce(values)
        values = values / worker.world_size
    means: list[float] = values.tolist()
    return means


def all_finite(model: nn.Module) -> bool:
    """Tell whether every weight and statistic of a model is finite."""
    return bool(
        torch.stack([tensor.isfinite().all() for tensor in model.state_dict().values()]).all()
    )


def on_every_worker(prepare: Callable[[], T], worker: Worker) -> T:
    """Call `prepare` on this worker, and raise a SpecError of any worker on all of them.

    So none waits for one that has failed. For what lies on a worker's own host, and may be missing
    on one of them.
    """
    if worker.world_size == 1:
        return prepare()

    prepared: list[T] = []
    problems: list[str] = []
    try:
        prepared.append(prepare())
    except SpecError as error:
        problems = error.problems

    of_all: list[list[str]] = [[] for _ in range(worker.world_size)]
    dist.all_gather_object(of_all, problems)
    if found := dict.fromkeys(problem for each in of_all for problem in each):
        raise SpecError([*found])
    return prepared[0]


def stacked_over_workers(values: Tensor) -> Tensor:
    """Return each worker's values [S, M], in order of rank, on every worker: [S, W, M]."""
    return all_gather(values[None]).transpose(0, 1)


def given_by_first(give: Callable[[], T], worker: Worker) -> T:
    """Call `give` on the first worker, and return what it gives, plain data, on every worker."""
    if worker.world_size == 1:
        return give()
    message: list[Any] = [give() if worker.rank == 0 else None]
    device = worker.device if worker.device.type == "cuda" else torch.device("cpu")
    dist.broadcast_object_list(message, src=0, device=device)
    given: T = message[0]
    return given


def said_by_first(numbers: list[float], worker: Worker) -> list[float]:
    """Return the first worker's numbers, on every worker; the others give as many."""
    if worker.world_size == 1:
        return numbers
    message = torch.tensor(numbers, dtype=torch.float64, device=worker.device)
    dist.broadcast(message, src=0)
    said: list[float] = message.tolist()
    return said
