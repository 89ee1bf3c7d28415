"""A sweep as a small simulation: cells on preemptible GPUs, their checkpoints, and one driver that
serves all of them.

`simulate.py` asks it about the paper's recipe. What is simulated: groups of GPUs take cells
from a queue; a group may be lost at any moment while it works (a Poisson process), its cell goes
back to the head of the queue with what its last checkpoint holds, and a new group starts; every
start, end and write to MLflow waits for its turn at the driver. What is not: stragglers, a provider
without capacity, and the network between cells.
"""

import heapq
import math
import random
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

__all__ = ["HOUR", "Cell", "Driver", "Gpus", "Result", "poisson_interval", "simulate"]

HOUR = 3600.0


@dataclass(frozen=True, kw_only=True)
class Cell:
    """Work in seconds of its group of GPUs: `train` is checkpointed as it goes, `evaluate`
    afterwards is not.

    A checkpoint is made after every `interval` seconds of training and at its end, and takes
    `checkpoint` seconds.
    """

    train: float
    evaluate: float = 0.0
    interval: float = math.inf
    checkpoint: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Gpus:
    """GPUs in groups that serve a cell each. `first_start` and `next_start` are a group's seconds
    before a cell's work.

    `node_start`: seconds until a new group is there, paid for. `idle_kept`: seconds after which an
    idle group is given back. `preemptions` per GPU and hour of work, `price` of a GPU and hour.
    """

    count: int
    per_cell: int = 1
    preemptions: float = 0.0
    node_start: float = 0.0
    first_start: float = 0.0
    next_start: float = 0.0
    idle_kept: float = math.inf
    price: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Driver:
    """Seconds that the driver, which does one thing at a time, spends on a cell's start, end and
    each write of its curve.
    """

    start: float = 0.0
    end: float = 0.0
    write: float = 0.0
    between_writes: float = math.inf


@dataclass(frozen=True, kw_only=True)
class Result:
    """Of a sweep. Hours are of GPUs: `useful` work, work `lost` to preemption, `overhead` (starts,
    checkpoints, waiting for the driver), and `idle` ones that were paid for. `preemptions` of each
    cell.
    """

    wall_seconds: float
    useful: float
    lost: float
    overhead: float
    idle: float
    driver_utilisation: float
    preemptions: tuple[int, ...]
    cost: float

    @property
    def gpu_hours(self) -> float:
        """All that were paid for."""
        return self.useful + self.lost + self.overhead + self.idle


def poisson_interval(checkpoint: float, between_failures: float) -> float:
    """The interval that loses least: sqrt(2 C M) (Young 1974; the first term of Daly 2006). All in
    seconds.
    """
    return math.sqrt(2 * checkpoint * between_failures)


def simulate(cells: Sequence[Cell], gpus: Gpus, driver: Driver, seed: int = 0) -> Result:
    """Run the cells in their order. Raises ValueError when no group of `gpus.per_cell` GPUs can be
    made.
    """
    if gpus.count < gpus.per_cell:
        raise ValueError(f"{gpus.count} GPUs do not serve a cell of {gpus.per_cell}")
    return _Sweep(cells, gpus, driver, random.Random(seed)).run()


@dataclass
class _Group:
    """GPUs that serve one cell at a time."""

    warm: bool = False  # has run a cell: the next one finds its processes
    idle_since: float = 0.0


@dataclass
class _Open:
    """A cell that is not finished: training that no checkpoint holds yet."""

    cell: Cell
    left: float
    preemptions: int = 0


@dataclass(frozen=True)
class _Attempt:
    """What a stretch of work on a cell comes to: when it ends, counted from its beginning, and what
    it leaves.
    """

    seconds: float
    saved: float
    checkpoints: float
    preempted: bool


@dataclass
class _Sweep:
    cells: Sequence[Cell]
    gpus: Gpus
    driver: Driver
    chance: random.Random
    now: float = 0.0
    driver_free: float = 0.0
    driver_busy: float = 0.0
    useful: float = 0.0
    lost: float = 0.0
    overhead: float = 0.0
    idle: float = 0.0
    waiting: list[_Group] = field(default_factory=list)
    events: list[tuple[float, int, str, _Group | None, _Open | None, _Attempt | None]] = field(
        default_factory=list
    )
    scheduled: int = 0

    def run(self) -> Result:
        """Event by event until nothing is left to happen."""
        opened = [_Open(cell, cell.train) for cell in self.cells]
        self.queue = deque(opened)
        for _ in range(min(self.gpus.count // self.gpus.per_cell, len(opened))):
            self._start_group(0.0)
        while self.events:
            self.now, _, kind, group, cell, attempt = heapq.heappop(self.events)
            if kind == "write":
                self._ask_driver(self.driver.write)
            elif kind == "free":
                assert group is not None
                group.idle_since = self.now
                self.waiting.append(group)
                self._dispatch()
            else:
                assert group is not None
                assert cell is not None
                assert attempt is not None
                self._ended(group, cell, attempt)
        wall = max(self.now, self.driver_free)
        self.idle += sum(
            min(wall - group.idle_since, self.gpus.idle_kept) for group in self.waiting
        )
        return self._result(wall, opened)

    def _result(self, wall: float, opened: Sequence[_Open]) -> Result:
        hours = self.gpus.per_cell / HOUR
        useful, lost, overhead, idle = (
            hours * each for each in (self.useful, self.lost, self.overhead, self.idle)
        )
        return Result(
            wall_seconds=wall,
            useful=useful,
            lost=lost,
            overhead=overhead,
            idle=idle,
            driver_utilisation=self.driver_busy / wall if wall else 0.0,
            preemptions=tuple(cell.preemptions for cell in opened),
            cost=(useful + lost + overhead + idle) * self.gpus.price,
        )

    def _at(
        self,
        time: float,
        kind: str,
        group: _Group | None = None,
        cell: _Open | None = None,
        attempt: _Attempt | None = None,
    ) -> None:
        # decides between events of one time, in the order in which they were foreseen
        self.scheduled += 1
        heapq.heappush(self.events, (time, self.scheduled, kind, group, cell, attempt))

    def _ask_driver(self, seconds: float) -> float:
        """The time at which the driver has done it, after all that it was asked before."""
        self.driver_free = max(self.now, self.driver_free) + seconds
        self.driver_busy += seconds
        return self.driver_free

    def _start_group(self, now: float) -> None:
        self.overhead += self.gpus.node_start
        self._at(now + self.gpus.node_start, "free", _Group())

    def _dispatch(self) -> None:
        """Give waiting cells to waiting groups, those first that have run a cell before."""
        self.waiting.sort(key=lambda group: not group.warm)
        while self.queue and self.waiting:
            self._begin(self.queue.popleft(), self.waiting.pop(0))

    def _begin(self, cell: _Open, group: _Group) -> None:
        unused = self.now - group.idle_since
        self.idle += min(unused, self.gpus.idle_kept)
        begins = self._ask_driver(self.driver.start)
        if unused > self.gpus.idle_kept:  # given back meanwhile
            group.warm = False
            begins += self.gpus.node_start
        begins += self.gpus.next_start if group.warm else self.gpus.first_start
        group.warm = True
        self.overhead += begins - self.now
        attempt = self._attempt(cell)
        ends = begins + attempt.seconds
        if self.driver.write:
            for write in range(1, math.ceil(attempt.seconds / self.driver.between_writes)):
                self._at(begins + write * self.driver.between_writes, "write")
        self._at(ends, "ended", group, cell, attempt)

    def _attempt(self, open_cell: _Open) -> _Attempt:
        """All that is left of a cell, or what was done when its GPUs were taken."""
        cell, left = open_cell.cell, open_cell.left
        checkpoints = math.ceil(left / cell.interval) if left else 0
        seconds = left + checkpoints * cell.checkpoint
        rate = self.gpus.preemptions * self.gpus.per_cell / HOUR
        until = self.chance.expovariate(rate) if rate else math.inf
        if until >= seconds + cell.evaluate:
            return _Attempt(
                seconds + cell.evaluate, left, checkpoints * cell.checkpoint, preempted=False
            )
        if until >= seconds:
            return _Attempt(until, left, checkpoints * cell.checkpoint, preempted=True)
        done = (
            min(int(until // (cell.interval + cell.checkpoint)), checkpoints - 1)
            if checkpoints
            else 0
        )
        return _Attempt(
            until, done * cell.interval if done else 0.0, done * cell.checkpoint, preempted=True
        )

    def _ended(self, group: _Group, cell: _Open, attempt: _Attempt) -> None:
        self.overhead += attempt.checkpoints
        cell.left -= attempt.saved
        if not attempt.preempted:
            self.useful += attempt.seconds - attempt.checkpoints
            done = self._ask_driver(self.driver.end)
            self.overhead += done - self.now
            self._at(done, "free", group)
            return
        self.useful += attempt.saved
        self.lost += attempt.seconds - attempt.saved - attempt.checkpoints
        cell.preemptions += 1
        self.queue.appendleft(cell)
        self._dispatch()
        if self.queue:  # nobody else was free
            self._start_group(self.now)
