"""Keeps count of what runs report, and says how far each sweep is."""

import os
import socket
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from orchestrator.live.remaining import Pace, left_of, seconds_left
from orchestrator.plan import Plan
from orchestrator.run_record import SCORE, Metrics, RunRecord
from orchestrator.storage.progress import (
    Axis,
    CellProgress,
    CellState,
    MachineUse,
    SweepProgress,
    SweepState,
)
from workloads.quantity import Quantity, quantity_by_name

__all__ = ["Tally", "quantity_of"]


@dataclass
class _Cell:
    """A run, as far as it is known."""

    state: CellState = "waiting"
    record: RunRecord | None = None
    unit: str | None = None  # what it runs in, or ran in


@dataclass
class _Unit:
    """What runs in a process: a run, or a pack of several."""

    title: str
    fingerprints: tuple[str, ...]
    epochs: int
    expected: float
    began: float
    since: datetime
    first: tuple[int, float] | None = None  # an epoch, and when it ended
    last: tuple[int, float] | None = None
    metrics: Metrics = field(default_factory=dict)
    ended: float | None = None

    def pace(self, now: float) -> Pace:
        """Tell how far it is."""
        about = Pace(
            self.expected,
            running_for=(self.ended or now) - self.began,
            ended=self.ended is not None,
            epochs=self.epochs,
            to_come=self.epochs,
        )
        if self.first is None or self.last is None:
            return about
        (one, begun), (other, at) = self.first, self.last
        an_epoch = (at - begun) / (other - one) if other > one else at - self.began
        return Pace(
            self.expected,
            running_for=about.running_for,
            ended=about.ended,
            epochs=self.epochs,
            done=other - one + 1,
            to_come=max(self.epochs - other, 0),
            at=at - self.began,
            an_epoch=an_epoch,
        )


class Tally:
    """How far the runs of some sweeps are that are driven together.

    `expected` are the seconds that each run is thought to take, by fingerprint. Each sweep's
    progress is a value of its own: whoever has it may read it in another thread.
    """

    def __init__(
        self,
        plans: Sequence[Plan],
        *,
        command: str = "",
        concurrent: int = 1,
        expected: Mapping[str, float] | None = None,
        started: datetime | None = None,
        clock: Callable[[], float] = time.monotonic,
        today: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._plans, self._command, self._concurrent = tuple(plans), command, concurrent
        self._expected = expected or {}
        self._clock, self._today = clock, today
        self._started = started or today()
        self._cells = {name: _Cell() for plan in plans for name in plan.jobs}
        self._units: dict[str, _Unit] = {}
        self._host, self._pid = socket.gethostname(), os.getpid()
        self.machine: MachineUse | None = None
        self.note = ""

    def taken_over(self, fingerprint: str, record: RunRecord) -> None:
        """Count a run that had finished before."""
        self._cells[fingerprint] = _Cell("finished", record)

    def began(self, name: str, title: str, epochs: int, fingerprints: Iterable[str]) -> None:
        """Count a run as begun, or a pack of runs, by its name."""
        inside = tuple(fingerprints)
        expected = sum(self._expected.get(one, 0.0) for one in inside)
        self._units[name] = _Unit(title, inside, epochs, expected, self._clock(), self._today())
        for one in inside:
            if self._cells[one].state == "waiting":
                self._cells[one] = _Cell("running", unit=name)

    def epoch(self, name: str, metrics: Metrics) -> None:
        """Take the metrics of an epoch; of a pack, `epoch` counts the runs that have ended."""
        unit = self._units.get(name)
        if unit is None or "epoch" not in metrics:
            return
        unit.metrics = metrics
        unit.last = (int(metrics["epoch"]), self._clock())
        if unit.first is None and unit.last[0] > 0:
            unit.first = unit.last

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        """Count a run as ended, by its record."""
        cell = self._cells[fingerprint]
        cell.state, cell.record = record.status, record
        unit = self._units.get(cell.unit or "")
        if unit is not None and len(unit.fingerprints) == 1:
            self.left(cell.unit or "", stopped=record.status != "finished")

    def left(self, name: str, *, stopped: bool = False) -> None:
        """Count as over what ran by this name; `stopped`, so that its length tells nothing."""
        unit = self._units.get(name)
        if unit is None:
            return
        if stopped:
            del self._units[name]
        elif unit.ended is None:
            unit.ended = self._clock()

    def stopped(self, fingerprint: str, record: RunRecord | None) -> None:
        """Count a run that waited or ran as stopped on request."""
        cell = self._cells[fingerprint]
        if cell.state in ("waiting", "running"):
            cell.state, cell.record = "stopped", record

    def waits(self, fingerprint: str) -> None:
        """Count a run as not begun, after all."""
        self._cells[fingerprint] = _Cell("waiting")

    def progress(self, state: SweepState = "running") -> list[SweepProgress]:
        """Return how far each sweep is now; `state` is how it is left."""
        now, today = self._clock(), self._today()
        paces = self._paces(now)
        left = seconds_left(list(paces.values()), self._concurrent)
        of_units = {name: left_of(paces[name], paces.values()) for name in self._units}
        end = None if left is None else today + timedelta(seconds=left)
        return [
            SweepProgress(
                name=plan.name,
                sweep=plan.sweep_id,
                command=self._command,
                state=state,
                started=self._started,
                updated=today,
                host=self._host,
                pid=self._pid,
                expected_end=end if state == "running" else None,
                concurrent=self._concurrent,
                **_shown_as(plan),
                machine=self.machine,
                note=self.note,
                cells=self._cells_of(plan, of_units),
            )
            for plan in self._plans
        ]

    def _paces(self, now: float) -> dict[str, Pace]:
        """By unit, and of runs that wait by their fingerprint, in their order."""
        paces = {name: unit.pace(now) for name, unit in self._units.items()}
        for name, cell in self._cells.items():
            if cell.state == "waiting":
                paces[name] = Pace(self._expected.get(name, 0.0))
        return paces

    def _cells_of(self, plan: Plan, left: Mapping[str, float]) -> dict[str, CellProgress]:
        places: dict[str, dict[tuple[str, ...], None]] = {}
        for planned in plan.cells:
            places.setdefault(planned.fingerprint, {})[planned.at] = None
        metrics = _metrics_of(plan)
        found = {}
        for name, planned in plan.jobs.items():
            cell = self._cells[name]
            found[name] = CellProgress(
                name=planned.name,
                places=tuple(places[name]),
                seed=planned.seed,
                role=planned.role,
                state=cell.state,
                result=_result(cell, metrics.get(planned.at, metrics[()])),
                message=cell.record.error_line if cell.record and cell.state == "failed" else "",
                **self._running(cell, left),
            )
        return found

    def _running(self, cell: _Cell, left: Mapping[str, float]) -> dict[str, Any]:
        """What is known of a run that runs, or of the pack that it is in."""
        if cell.state == "stopped" and cell.record is not None:
            return {"epoch": int(cell.record.epoch or 0)}
        unit = self._units.get(cell.unit or "") if cell.state == "running" else None
        if unit is None or cell.unit is None:
            return {}
        known = unit.first is not None or unit.expected > 0
        return {
            "epoch": unit.last[0] if unit.last else 0,
            "epochs": unit.epochs,
            "loss": unit.metrics.get("loss"),
            "images_per_second": unit.metrics.get("images_per_second"),
            "since": unit.since,
            "seconds_left": left[cell.unit] if known else None,
            "pack": unit.title if len(unit.fingerprints) > 1 else None,
        }


def _result(cell: _Cell, metric: str) -> float | None:
    if cell.record is None or cell.state == "failed":
        return None
    return cell.record.result(metric)


def quantity_of(plan: Plan) -> tuple[str, Quantity]:
    """Return what the runs of a plan are compared by: the metric's name, and how it is shown."""
    metric = plan.workload.headline[0]
    if plan.is_search:
        metric = SCORE
    elif plan.ablation is not None:
        metric = plan.ablation.metric
    return metric, plan.workload.quantities.get(metric) or quantity_by_name(metric)


def _metrics_of(plan: Plan) -> dict[tuple[str, ...], str]:
    """The metric of each place; that of all others by the empty place."""
    found: dict[tuple[str, ...], str] = {(): quantity_of(plan)[0]}
    if plan.ablation is not None:
        for cell in plan.ablation.layout(plan.scale).cells:
            found[cell.at] = plan.ablation.metric_of(cell)
    return found


def _shown_as(plan: Plan) -> dict[str, Any]:
    """The axes of a plan and what it is measured by."""
    metric, quantity = quantity_of(plan)
    axes = plan.ablation.layout(plan.scale).axes if plan.ablation else ()
    return {
        "metric": metric,
        "unit": quantity.unit,
        "digits": 3 if quantity.digits is None else quantity.digits,
        "axes": tuple(Axis(name=axis.name, labels=axis.labels) for axis in axes),
    }
