"""One cell, wherever it runs: resume, train, evaluate, leave a record.

Each of a run's files is replaced as a whole, so that a kill at any time loses at most the work
since the last checkpoint.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence

from workloads.catalog import workload_named
from workloads.checkpoint import StateError
from workloads.distributed.agreement import agreed
from workloads.distributed.worker import Worker
from workloads.evaluation_result import EvaluationResult
from workloads.inventory import told_of_reading
from workloads.run_record import SCORE, Metrics, RunRecord
from workloads.runs.files import CellFiles
from workloads.runs.folder import Checkpoint, Job
from workloads.runs.machine_use import MachineUse
from workloads.spec import SpecError
from workloads.workload import (
    AnyTrainedAlone,
    Result,
    State,
    TrainedAlone,
)

__all__ = ["never", "run_cell", "start_of"]

SECONDS_BETWEEN_CHECKPOINTS = 15.0

Report = Callable[[dict[str, float]], None]


class _StoppedError(Exception):
    """The run is to go on later; its last state is kept."""


def never() -> bool:
    """Tell that a run need not stop."""
    return False


def start_of(job: Job) -> Checkpoint | None:
    """Read where a cell begins: its own checkpoint, else the state of `job.trained_by`.

    None where it begins from scratch.
    """
    own = job.run_folder.own_checkpoint()
    if own is not None or job.trained_by is None:
        return own
    workload = workload_named(job.workload)
    assert isinstance(workload, TrainedAlone), "other cells are run as packs"
    lent = job.run_folder.beside(job.trained_by).own_checkpoint()
    if lent is None or lent.state["epoch"] != workload.epochs(workload.read(job.spec)):
        return None  # deleted or unfinished since the driver decided
    return Checkpoint(lent.state, lent.history, trained_by=job.trained_by)


def run_cell(
    job: Job,
    worker: Worker,
    start: Checkpoint | None,
    report: Report,
    *,
    hosts: Sequence[str] = (),
    stop: Callable[[], bool] = never,
) -> RunRecord | None:
    """Train and evaluate, and return the record; None on every worker but the first.

    `start` is where to begin, as `start_of` gives it, the same on every worker. `report` is called
    on every worker once an epoch. `hosts` names the node of each worker, for the record. Where
    `stop` says so after an epoch, on any worker, the state is kept, and there is no record yet:
    None. An
    exception of the run becomes a record with status `failed`; a rerun tries it again. A death of
    the process, and what only one of several workers meets, is the executor's to retry.
    """
    run = _Run(job, worker, start, hosts)
    try:
        with told_of_reading(run.files.took):
            with run.use:
                state = run.train(report, agreed(stop, worker))
            run.files.note("evaluating the frozen encoder")
            result = run.workload.evaluate(run.spec, state, worker)
        return None if worker.rank > 0 else run.finish(result)
    except _StoppedError:
        return None
    except Exception as error:
        diverged = isinstance(error, run.workload.divergence)
        # raised on every worker, and again if tried again
        repeats = diverged or isinstance(error, SpecError)
        if worker.world_size > 1 and not repeats:
            # so that the whole group restarts; the other workers would wait for this one for ever
            raise
        return None if worker.rank > 0 else run.fail(error, diverged=diverged)


class _Run:
    """A cell while it runs."""

    def __init__(
        self, job: Job, worker: Worker, start: Checkpoint | None, hosts: Sequence[str]
    ) -> None:
        self.job, self.worker, self.files = job, worker, CellFiles(job, worker, hosts)
        self.use = MachineUse(worker.device)
        workload = workload_named(job.workload)
        assert isinstance(workload, TrainedAlone), "other cells are run as packs"
        self.workload: AnyTrainedAlone = workload
        self.spec = workload.read(job.spec)

        self.state = start.state if start else None
        self.history: list[Metrics] = list(start.history) if start else []
        self.trained_by = start.trained_by if start else None
        self.trained = self.trained_by is not None
        self.started = time.time() - (start.elapsed if start else 0.0)

        device = self.files.machine["device"]
        self.files.note(
            f"{job.name} ({job.fingerprint}) on {device}, {worker.world_size} worker(s)"
        )
        if self.trained_by is not None:
            self.files.note(f"evaluates what {self.trained_by} has trained")
        elif self.state is not None:
            self.files.note(f"continues after epoch {self.state['epoch']}")
            threads = self.files.machine["threads"]
            if start is not None and start.threads not in (None, threads):
                self.files.note(
                    f"begun with {start.threads} thread(s), goes on with {threads}: equal to an "
                    "undisturbed run up to rounding, and not bit for bit"
                )
        self.files.write_spec()

    def train(self, report: Report, stop: Callable[[], bool]) -> State:
        """Train every epoch that is still missing; returns the last state."""
        if self.trained_by is not None:
            assert self.state is not None, "lent by the other run"
            return self.state

        last_epoch = self.workload.epochs(self.spec)
        kept_at = began = time.monotonic()
        for result in self._results():
            logged = None
            if result.metrics:
                logged = self._logged(result, time.monotonic() - began)
            self.state = result.state
            if logged:
                report(logged)

            stopping = result.epoch != last_epoch and stop()
            due = time.monotonic() - kept_at > SECONDS_BETWEEN_CHECKPOINTS
            if due or stopping or result.epoch == last_epoch:
                self.keep(_listed(result.metrics, digits=4))
                kept_at = time.monotonic()
            if stopping:
                raise _StoppedError
            began = time.monotonic()

        assert self.state is not None, "pre-training yields at least once, or a state was given"
        self.trained = True
        return self.state

    def _results(self) -> Iterator[Result]:
        """The epochs that are missing, from scratch where the kept state is no good."""
        try:
            yield from self.workload.train(self.spec, self.worker, self.state)
        except StateError as error:  # before the first epoch, on every worker
            reason = "; ".join(error.problems)
            self.files.give_up_checkpoint(reason)
            self.state, self.history = None, []
            yield from self.workload.train(self.spec, self.worker, None)

    def _logged(self, result: Result, seconds: float) -> dict[str, float]:
        """Add an epoch's metrics to the history: with its time, and what it used of the machine,
        and what a search compares.
        """
        metrics = result.metrics | {"epoch": float(result.epoch), "seconds": seconds}
        metrics |= self.use.since()
        if self.job.scored:
            metrics[SCORE] = self.workload.score(self.spec, result.state, self.worker)
        self.history.append(metrics)
        return metrics

    def keep(self, remark: str) -> None:
        """Keep the last state and the curves so far, from which a later run continues."""
        assert self.state is not None, "called after an epoch"
        elapsed = time.time() - self.started
        threads = self.files.machine["threads"]
        kept = Checkpoint(self.state, self.history, elapsed, threads=threads)
        self.files.keep(kept, remark)

    def finish(self, result: EvaluationResult) -> RunRecord:
        """Leave the results."""
        self.files.note(_listed(result.results, digits=6))
        return self.files.finish(
            result,
            self.history,
            seconds=self._seconds,
            total_seconds=time.time() - self.started,
            trained_by=self.trained_by,
        )

    def fail(self, error: Exception, *, diverged: bool) -> RunRecord:
        """Leave the error that is being handled, and the last good state before a divergence."""
        text = f"{type(error).__name__}: {error}"
        if diverged and self.state is not None and not self.trained:
            self.keep("before the loss diverged")
            text += f", kept in {self.job.run_folder.checkpoint_address}"
        return self.files.fail(
            text,
            traceback.format_exc(),
            self.history,
            diverged=diverged,
            seconds=self._seconds,
            total_seconds=time.time() - self.started,
            trained_by=self.trained_by,
        )

    @property
    def _seconds(self) -> float:
        """The seconds of training, of all attempts."""
        if self.trained_by is not None:
            return 0.0
        return sum(epoch["seconds"] for epoch in self.history)


def _listed(metrics: Metrics, *, digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}g}" for name, value in metrics.items())
