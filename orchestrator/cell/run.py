"""One cell, wherever it runs: resume from its checkpoint, forward what pre-training yields,
evaluate, leave a record.

Everything about a cell lies in `runs/<fingerprint>/` of the storage: `checkpoint.pt` (the last
state and the curves so far), `log.txt`, `spec.yaml` and, once it has ended, `run.json`. Each is
replaced as a whole, so a kill at any time loses at most the work since the last checkpoint.
"""

import time
import traceback
from collections.abc import Callable, Sequence
from typing import Any

from orchestrator.cell.files import CellFiles
from orchestrator.cell.job import CellJob
from orchestrator.run_record import SCORE
from orchestrator.storage import Storage
from orchestrator.storage.predictions import predictions_bytes
from orchestrator.storage.runs import CHECKPOINT, PREDICTIONS, own_checkpoint
from workloads.catalog import workload_named
from workloads.checkpoint import encode
from workloads.distributed.worker import Worker
from workloads.spec import SpecError
from workloads.workload import TrainedAlone

__all__ = ["run_cell", "start_of"]

SECONDS_BETWEEN_CHECKPOINTS = 15.0

Report = Callable[[dict[str, float]], None]


def start_of(job: CellJob) -> dict[str, Any] | None:
    """Where a cell begins: its own checkpoint, else the trained state of `job.trained_by`; None
    from scratch.
    """
    storage = Storage(job.storage)
    own = own_checkpoint(storage, job.fingerprint)
    if own is not None or job.trained_by is None:
        return own
    workload = workload_named(job.workload)
    assert isinstance(workload, TrainedAlone), "other cells are run as packs"
    lent = own_checkpoint(storage, job.trained_by)
    if lent is None or lent["state"]["epoch"] != workload.epochs(workload.read(job.spec)):
        return None  # deleted or unfinished since the driver looked
    return lent | {"elapsed": 0.0, "trained_by": job.trained_by}


def run_cell(
    job: CellJob,
    worker: Worker,
    kept: dict[str, Any] | None,
    report: Report,
    *,
    hosts: Sequence[str] = (),
) -> dict[str, Any] | None:
    """Train and evaluate, and return the record; None on every worker but the first.

    `kept` is where to begin, as `start_of` gives it, the same on every worker. `report` is called
    on every worker once an epoch. `hosts` names the node of each worker, for the record. An
    exception of the run becomes a record with status `failed`; a rerun tries it again. A death of
    the process, and what only one of several workers meets, is the executor's to retry.
    """
    run = _Run(job, worker, kept, hosts)
    try:
        state = run.train(report)
        run.files.note("evaluating the frozen encoder")
        judged = run.workload.evaluate(run.spec, state, worker)
        if worker.rank > 0:
            return None
        run.files.note(", ".join(f"{name} {value:.6g}" for name, value in judged.results.items()))
        run.files.write(PREDICTIONS, predictions_bytes(judged.predictions))
        outcome: dict[str, Any] = {
            "status": "finished",
            "results": dict(judged.results),
            "intervals": {name: list(interval) for name, interval in judged.intervals.items()},
        }
    except Exception as error:
        diverged = isinstance(error, run.workload.divergence)
        # raised on every worker, and again if tried again
        repeats = diverged or isinstance(error, SpecError)
        if worker.world_size > 1 and not repeats:
            # so that the whole group restarts; the other workers would wait for this one for ever
            raise
        if worker.rank > 0:
            return None
        text = f"{type(error).__name__}: {error}"
        if diverged and run.state is not None and not run.trained:
            run.keep("before the loss diverged")
            text += f", kept in {run.files.storage.shown(job.folder, CHECKPOINT)}"
        run.files.note(traceback.format_exc())
        outcome = {
            "status": "failed",
            "error": text,
            "diverged": diverged,
            "log_tail": run.files.tail,
        }
    return run.leave(outcome)


class _Run:
    """A cell while it runs."""

    def __init__(
        self, job: CellJob, worker: Worker, kept: dict[str, Any] | None, hosts: Sequence[str]
    ) -> None:
        self.job, self.worker, self.files = job, worker, CellFiles(job, worker, hosts)
        workload = workload_named(job.workload)
        assert isinstance(workload, TrainedAlone), "other cells are run as packs"
        self.workload: TrainedAlone = workload
        self.spec = workload.read(job.spec)
        self.state: dict[str, Any] | None = kept["state"] if kept else None
        self.history: list[dict[str, float]] = list(kept["history"]) if kept else []
        self.trained_by: str | None = kept.get("trained_by") if kept else None
        self.trained = self.trained_by is not None
        self.started = time.time() - (kept["elapsed"] if kept else 0.0)
        self.files.note(
            f"{job.name} ({job.fingerprint}) on {self.files.machine['device']}, "
            f"{worker.world_size} worker(s)"
        )
        if self.trained_by is not None:
            self.files.note(f"judges what {self.trained_by} has trained")
        elif self.state is not None:
            self.files.note(f"continues after epoch {self.state['epoch']}")
        self.files.write_spec()

    def train(self, report: Report) -> dict[str, Any]:
        """Every epoch that is still missing; returns the last state."""
        if self.trained_by is not None:
            assert self.state is not None, "lent by the other run"
            return self.state
        saved = began = time.monotonic()
        for result in self.workload.train(self.spec, self.worker, self.state):
            self.state = result.state
            if result.metrics:
                metrics = result.metrics | {
                    "epoch": float(result.epoch),
                    "seconds": time.monotonic() - began,
                }
                if self.job.scored:
                    metrics[SCORE] = self.workload.score(self.spec, result.state, self.worker)
                self.history.append(metrics)
                report(metrics)
            if (
                result.epoch == self.workload.epochs(self.spec)
                or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS
            ):
                self.keep(
                    ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
                )
                saved = time.monotonic()
            began = time.monotonic()
        assert self.state is not None, "pre-training yields at least once, or a state was given"
        self.trained = True
        return self.state

    def keep(self, remark: str) -> None:
        """The last state and the curves so far, from which a later run continues."""
        assert self.state is not None, "called after an epoch"
        if self.worker.rank == 0:
            elapsed = time.time() - self.started
            self.files.write(
                CHECKPOINT,
                encode({"state": self.state, "history": self.history, "elapsed": elapsed}),
            )
            self.files.note(f"epoch {self.state['epoch']} kept: {remark}")

    def leave(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """The record of the cell, with the time of all attempts."""
        if self.trained_by is not None:
            outcome |= {"trained_by": self.trained_by}
        seconds = (
            0.0 if self.trained_by is not None else sum(epoch["seconds"] for epoch in self.history)
        )
        return self.files.leave(
            outcome, self.history, seconds=seconds, total_seconds=time.time() - self.started
        )
