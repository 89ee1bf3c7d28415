"""Several workers agree at which step they stop, whichever of them is asked."""

import time
from collections.abc import Callable

import torch
import torch.distributed as dist

from workloads.distributed.worker import Worker

__all__ = ["SECONDS_BETWEEN_QUESTIONS", "agreed"]

SECONDS_BETWEEN_QUESTIONS = 0.25  # so that short steps do not wait for each other each time


def agreed(stop: Callable[[], bool], worker: Worker) -> Callable[[], bool]:
    """Return a question that all workers ask equally often, and that has one answer for them all.

    It is yes once `stop` says so on any of them. Workers whose steps are short exchange their
    answers not at every step, but at the same ones. Alone it is `stop` itself. Must be called on
    every worker.
    """
    return stop if worker.world_size == 1 else _Agreed(stop)


class _Agreed:
    def __init__(self, stop: Callable[[], bool]) -> None:
        self._stop = stop
        # of hosts: over nccl an answer would wait for the device at every step
        group = dist.new_group(backend="gloo")
        assert isinstance(group, dist.ProcessGroup), "of all workers, and so of this one"
        self._group = group
        self._asked_at, self._asked_now, self._skip = time.monotonic(), 0, 0
        self._yes = False

    def __call__(self) -> bool:
        self._asked_now += 1
        if self._yes or self._asked_now <= self._skip:
            return self._yes
        now = time.monotonic()
        a_step = (now - self._asked_at) / self._asked_now
        # the slowest worker's, so that all of them skip as many
        message = torch.tensor([float(self._stop()), a_step], dtype=torch.float64)
        dist.all_reduce(message, dist.ReduceOp.MAX, self._group)
        answer, a_step = message.tolist()
        self._asked_at, self._asked_now = now, 0
        self._skip = int(SECONDS_BETWEEN_QUESTIONS / max(a_step, 1e-4))
        self._yes = answer > 0
        return self._yes
