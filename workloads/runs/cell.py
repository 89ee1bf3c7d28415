"""One cell, wherever it runs: resume, train, evaluate, leave a record.

Each of a run's files is replaced as a whole, so that a kill at any time loses at most the work
since the last checkpoint.
"""

import time
import traceback
from collections.abc import Callable, Iterator, Sequence

from workloads.catalog import workload_named
from workloads.checkpoint import MOST_KEPT, CheckpointSpec, StateError
from workloads.distributed.data_parallel import given_by_first
from workloads.distributed.worker import Worker
from workloads.evaluation_result import EvaluationResult
from workloads.inventory import told_of_reading
from workloads.pieces import keeping_pieces
from workloads.plural import counted
from workloads.run_record import SCORE, Metrics, RunRecord
from workloads.runs.files import CellFiles
from workloads.runs.folder import Checkpoint, Job
from workloads.runs.machine_use import MachineUse
from workloads.runs.memory import memory_line, short_of_memory
from workloads.runs.pauses import Pauses
from workloads.spec import SpecError
from workloads.workload import (
    AnyTrainedAlone,
    Midway,
    Result,
    State,
    TrainedAlone,
    TrainedByStep,
)

__all__ = ["never", "run_cell", "start_of"]

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
    `stop` says so on any worker, after a step or at the end of an epoch, the state is kept there,
    and there is no record yet: None. Several workers ask about twice a second. An exception of the
    run becomes a record with status `failed`; a rerun tries it again. A death of the process, and
    what only one of several workers meets, is the executor's to retry.
    """
    run = _Run(job, worker, start, hosts, stop)
    try:
        with told_of_reading(run.files.took):
            with run.use:
                state = run.train(report)
            run.files.note("evaluating the frozen encoder")
            with keeping_pieces(job.run_folder):
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
        self,
        job: Job,
        worker: Worker,
        start: Checkpoint | None,
        hosts: Sequence[str],
        stop: Callable[[], bool],
    ) -> None:
        self.job, self.worker, self.files = job, worker, CellFiles(job, worker, hosts)
        self.use = MachineUse(worker.device)
        workload = workload_named(job.workload)
        assert isinstance(workload, TrainedAlone), "other cells are run as packs"
        self.workload: AnyTrainedAlone = workload
        self.spec = workload.read(job.spec)

        self.how = getattr(self.spec, "checkpoint", CheckpointSpec())
        self.pauses = Pauses(worker, self.how, stop)

        self._begin_at(start)
        self.trained_by = start.trained_by if start else None
        self.trained = self.trained_by is not None

        device = self.files.machine["device"]
        self.files.note(
            f"{job.name} ({job.fingerprint}) on {device}, {counted(worker.world_size, 'worker')}"
        )
        # the first worker is the only one that needs to reach the storage
        if worker.rank == 0 and (damaged := job.run_folder.damaged_checkpoints()):
            begins = "begins from scratch" if start is None else "takes the next one"
            self.files.note(f"{begins}, where checkpoints were no good: {', '.join(damaged)}")
        if self.trained_by is not None:
            self.files.note(f"evaluates what {self.trained_by} has trained")
        elif start is not None:
            self._note_start(start)
        self.files.write_spec()

    def _begin_at(self, start: Checkpoint | None) -> None:
        self.state = start.state if start else None
        self.history: list[Metrics] = list(start.history) if start else []
        self.started = time.time() - (start.elapsed if start else 0.0)
        # of the epoch that is under way, the steps that are done and their seconds
        self.step = start.step if start else 0
        self.under_way, self.since = start.under_way if start else 0.0, time.monotonic()

    def _note_start(self, start: Checkpoint) -> None:
        within = f", step {start.step}" if start.step else ""
        self.files.note(f"continues after epoch {start.state['epoch']}{within}")
        threads = self.files.machine["threads"]
        if start.threads not in (None, threads):
            self.files.note(
                f"begun with {counted(start.threads, 'thread')}, goes on with {threads}: "
                "equal to an undisturbed run up to rounding, and not bit for bit"
            )

    def train(self, report: Report) -> State:
        """Train every epoch that is still missing; returns the last state."""
        if self.trained_by is not None:
            assert self.state is not None, "lent by the other run"
            return self.state

        last_epoch = self.workload.epochs(self.spec)
        self.since = time.monotonic()
        for result in self._results():
            self.under_way += time.monotonic() - self.since
            self.state = result.state
            self.step = result.step if isinstance(result, Midway) else 0
            if isinstance(result, Midway):
                self.keep(f"in epoch {result.epoch + 1}")
            else:
                self._end_epoch(result, report, is_last=result.epoch == last_epoch)
            if self.pauses.is_stopping and result.epoch != last_epoch:
                raise _StoppedError
            self.since = time.monotonic()

        assert self.state is not None, "pre-training yields at least once, or a state was given"
        self.trained = True
        return self.state

    def _end_epoch(self, result: Result, report: Report, *, is_last: bool) -> None:
        """Log what an epoch has given, and keep the state where that is due or asked for."""
        seconds, self.under_way = self.under_way, 0.0
        if result.metrics:
            report(self._logged(result, seconds))
        self.pauses.decide()
        if is_last or self.pauses.is_due or self.pauses.is_stopping:
            self.keep(_listed(result.metrics, digits=4))

    def _results(self) -> Iterator[Result | Midway]:
        """The epochs that are missing, from the newest state that is good, else from scratch."""
        given_up = 0
        while True:
            try:
                yield from self._trained_from(self.state)
                return
            except StateError as error:  # before the first step, on every worker
                reason = "; ".join(error.problems)
                self.files.give_up_checkpoint(reason)
                given_up += 1
                start = given_by_first(self.job.run_folder.own_checkpoint, self.worker)
                if given_up > MOST_KEPT:  # one that cannot be set aside is read again and again
                    start = None
                begins = "begins from scratch" if start is None else "takes the one before"
                self.files.note(f"{begins}, for the checkpoint is no good: {reason}")
                self._begin_at(start)
                if start is not None:
                    self._note_start(start)

    def _trained_from(self, state: State | None) -> Iterator[Result | Midway]:
        if isinstance(self.workload, TrainedByStep):
            return self.workload.train_by_step(self.spec, self.worker, state, self.pauses)
        return self.workload.train(self.spec, self.worker, state)

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
        began = time.monotonic()
        kept = Checkpoint(
            self.state,
            self.history,
            time.time() - self.started,
            threads=self.files.machine["threads"],
            under_way=self.under_way,
            step=self.step,
        )
        self.files.keep(kept, remark, copies=self.how.keep)
        self.pauses.kept(time.monotonic() - began)

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
            address = self.job.run_folder.checkpoint_address
            if self.step:
                epoch = self.state["epoch"] + 1
                text += f"; kept is that of step {self.step} of epoch {epoch}, in {address}"
            else:
                text += f", kept in {address}"
        if short_of_memory(error):
            text += f"\n{memory_line(self.job.spec)}"
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
        return sum(epoch["seconds"] for epoch in self.history) + self.under_way


def _listed(metrics: Metrics, *, digits: int) -> str:
    return ", ".join(f"{name} {value:.{digits}g}" for name, value in metrics.items())
