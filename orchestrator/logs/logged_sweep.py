"""A sweep in one log: what of it is written, when, and that nothing is written twice."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from orchestrator.logs.ledger import Ledger, epoch_key, result_key, run_key
from orchestrator.logs.sink import LoggedRun, Sink
from orchestrator.logs.sweep_log import Status
from orchestrator.plan import Plan
from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Metrics, RunRecord

__all__ = ["LoggedSweep", "logged_metrics", "results_of"]

OF_THE_SYSTEM = "system/"  # how metrics begin that are of the machine, and not of the run


class LoggedSweep:
    """One sweep in one log, a `Place`.

    After a failure the ledger is read again, and the runs are opened again: what is missing is
    what the ledger lacks.
    """

    def __init__(
        self,
        label: str,
        plan: Plan,
        sink: Sink,
        ledger: Callable[[], Ledger],
        *,
        whole: bool,
    ) -> None:
        """Write `plan` into `sink`; the ledger is opened by `begin`.

        `whole`: the ledger has everything, and is what people read.
        """
        self.label, self._plan, self._sink = label, plan, sink
        self._open_ledger, self._whole = ledger, whole
        self._ledger: Ledger
        self._open: dict[str, LoggedRun] = {}
        self._about: dict[str, str | None] = {}
        self._differing = _differing(plan)
        self._is_broken = self._is_closed = False

    def begin(self, kept: KeptPlan) -> None:
        """Read what an earlier driver has written."""

        def read() -> None:
            self._ledger = self._open_ledger()
            self._about = {
                "command": kept["command"],
                "git_commit": kept["git_commit"],
                "data": kept["data"]["content"],
            }
            if self._whole:
                seeds, started = kept["seeds"], kept["started"]
                about: dict[str, Any] = {"ablation": self._plan.name, **self._about}
                self._ledger.add("sweep", None, **about, seeds=seeds, started=started)

        self._guarded(read)

    def has(self, fingerprint: str) -> bool:
        """Tell whether the cell is one of this sweep's."""
        return fingerprint in self._plan.jobs

    def started(self, fingerprint: str) -> None:
        """Open the run of a cell that has started."""
        self._guarded(lambda: self._run(fingerprint))

    def epoch(self, fingerprint: str, metrics: Metrics) -> None:
        """Write an epoch's metrics of a running cell."""
        self._guarded(lambda: self._points(fingerprint, [metrics]))

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        """Write what is missing of the curve, and the results."""
        self._guarded(lambda: self._end(fingerprint, record))

    def taken_over(self, fingerprint: str, record: RunRecord) -> None:
        """Write what is missing of a cell that has ended before."""
        self._guarded(lambda: self._end(fingerprint, record))

    def finish(self, status: Status, files: Mapping[str, str | bytes]) -> None:
        """End the sweep in this log."""

        def close() -> None:
            self._sink.close(status, files)
            if self._whole and not self._is_closed:
                self._ledger.add("end", None, status=status)
            self._is_closed = True
            self._ledger.flush()

        self._guarded(close)

    def _run(self, fingerprint: str) -> LoggedRun:
        if fingerprint not in self._open:
            cell = self._plan.jobs[fingerprint]
            run = LoggedRun(
                ablation=self._plan.name,
                sweep=self._plan.sweep_id,
                fingerprint=fingerprint,
                name=cell.name,
                cell=" · ".join(cell.at),
                seed=cell.seed,
                role=cell.role,
                params=cell.spec.flat(),
                differing=self._differing,
                about=self._about,
            )
            self._sink.opened(run)
            self._open[fingerprint] = run
            if run_key(fingerprint) not in self._ledger:
                told = {"name": run.name, "cell": run.cell, "seed": run.seed, "role": run.role}
                more = told | {"params": run.params} if self._whole else {}
                self._ledger.add("run", fingerprint, **more)
        return self._open[fingerprint]

    def _points(self, fingerprint: str, epochs: Iterable[Metrics]) -> None:
        for metrics in epochs:
            epoch = int(metrics["epoch"])
            if epoch_key(fingerprint, epoch) in self._ledger:
                continue  # of a cell that goes on from a checkpoint, and repeats it
            values = logged_metrics(metrics, self._plan.workload.logged)
            self._sink.epoch(self._run(fingerprint), epoch, values)
            more = {"metrics": values} if self._whole else {}
            self._ledger.add("epoch", fingerprint, epoch=epoch, **more)

    def _end(self, fingerprint: str, record: RunRecord) -> None:
        self._points(fingerprint, record.history)
        if result_key(fingerprint, record.status, record.ended) not in self._ledger:
            results = results_of(record)
            self._sink.ended(self._run(fingerprint), record, results)
            more: dict[str, object] = {"results": results} if self._whole else {}
            if self._whole and record.has_failed:
                more["error"] = record.error_line
            ending = {"status": record.status, "ended": record.ended}
            self._ledger.add("result", fingerprint, **ending, **more)
        if (run := self._open.pop(fingerprint, None)) is not None:
            self._sink.left(run, failed=record.has_failed)

    def _guarded(self, write: Callable[[], object]) -> None:
        """Write; after a failure from what the ledger has now."""
        if self._is_broken:
            with suppress(Exception):  # it has failed before, and is given up
                self._sink.close("KILLED", {})
            self._open.clear()
            self._ledger = self._open_ledger()
        self._is_broken = True
        write()
        self._is_broken = False


def logged_metrics(metrics: Metrics, logged: Sequence[str]) -> dict[str, float]:
    """Return what of an epoch is logged: the workload's curves, and those of the machine."""
    return {
        name: float(value)
        for name, value in metrics.items()
        if name in logged or name.startswith(OF_THE_SYSTEM)
    }


def results_of(record: RunRecord) -> dict[str, float]:
    """Return a record's results, the ends of their intervals among them, and its seconds."""
    results = {name: float(value) for name, value in record.results.items()}
    for name, (low, high) in (record.intervals or {}).items():
        results[f"{name}_low"], results[f"{name}_high"] = low, high
    if record.has_finished and record.total_seconds is not None:
        results["total_seconds"] = record.total_seconds
    return results


def _differing(plan: Plan) -> frozenset[str]:
    """The fields in which runs of a plan differ."""
    seen: dict[str, set[str]] = {}
    for cell in plan.jobs.values():
        for field, value in cell.spec.flat().items():
            seen.setdefault(field, set()).add(repr(value))
    return frozenset(field for field, values in seen.items() if len(values) > 1)
