"""When a run keeps its state, and when it is to leave: asked after each step by its training.

One worker looks at the clock after each step. Several agree about twice a second, after so many
steps as the first one says: each agreement waits for the slowest of them.
"""

import time
from collections.abc import Callable

import torch
import torch.distributed as dist

from workloads.checkpoint import CheckpointSpec
from workloads.distributed.data_parallel import CHECK_EVERY
from workloads.distributed.worker import Worker

__all__ = ["Pauses", "Schedule"]

SHARE = 0.05  # of the time that keeping states may take
SECONDS_BETWEEN_AGREEMENTS = 0.5


class Schedule:
    """Says when the next checkpoint is due, by how often it is wanted and how long one takes."""

    def __init__(self, how: CheckpointSpec) -> None:
        self._wanted = 60 * how.every_minutes
        self._every, self._kept_at = self._wanted, time.monotonic()

    @property
    def is_due(self) -> bool:
        """True when enough time has gone by since the last one."""
        return time.monotonic() - self._kept_at > self._every

    def kept(self, seconds: float) -> None:
        """Note that a state has just been kept, which took so many seconds."""
        self._every, self._kept_at = max(self._wanted, seconds / SHARE), time.monotonic()


class Pauses:
    """Asked by the training of a run after each step, on all of its workers, whether to pause.

    Afterwards `is_due` and `is_stopping` say what for, the same on every worker.
    """

    def __init__(self, worker: Worker, how: CheckpointSpec, stop: Callable[[], bool]) -> None:
        self._worker, self._schedule, self._stop = worker, Schedule(how), stop
        self._left, self._taken = 1, 0
        self._agreed_at = time.monotonic()
        self.is_due = self.is_stopping = False

    def __call__(self) -> bool:
        """Tell whether training pauses here."""
        self._left, self._taken = self._left - 1, self._taken + 1
        if self._left > 0:
            return False
        self.decide()
        return self.is_due or self.is_stopping

    def decide(self) -> None:
        """Find out what is wanted now, as at the end of an epoch. Every worker calls."""
        self.is_stopping, self.is_due = self._stop(), self._schedule.is_due
        self._left = 1
        if self._worker.world_size == 1:
            return

        now = time.monotonic()
        pace = (now - self._agreed_at) / max(1, self._taken)
        steps = min(CHECK_EVERY, max(1, int(SECONDS_BETWEEN_AGREEMENTS / max(pace, 1e-6))))
        # Any of them may ask to stop; of the clocks, that of the first one counts.
        said = [float(self.is_due), float(steps)] if self._worker.rank == 0 else [0.0, 0.0]
        message = torch.tensor([float(self.is_stopping), *said], device=self._worker.device)
        dist.all_reduce(message, op=dist.ReduceOp.MAX)
        stopping, due, steps_to_next = message.tolist()
        self.is_stopping, self.is_due = bool(stopping), bool(due)
        self._left, self._taken = int(steps_to_next), 0
        self._agreed_at = time.monotonic()

    def kept(self, seconds: float) -> None:
        """Note that the state has just been kept, which took so many seconds."""
        self._schedule.kept(seconds)
