"""One cell, wherever it runs: resume from its checkpoint, forward what pre-training yields, evaluate, leave a record.

Everything about a cell lies in `runs/<fingerprint>/` of the storage: `checkpoint.pt` (the last state and the curves so far),
`log.txt`, `spec.yaml` and, once it has ended, `run.json`. Each is replaced as a whole, so a kill at any time loses at most
the work since the last checkpoint.
"""

import platform
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch
import yaml

from orchestrator.predictions import predictions_bytes
from orchestrator.resources import Resources
from orchestrator.run_record import SCORE
from orchestrator.storage import Storage
from workloads.catalog import workload_named
from workloads.checkpoint import decode, encode
from workloads.distributed.worker import Worker
from workloads.spec import SpecError
from workloads.workload import TrainedAlone, WorkloadName

__all__ = [
    "CHECKPOINT",
    "PREDICTIONS",
    "RECORD",
    "CellFiles",
    "CellJob",
    "all_records",
    "checkpoint_of",
    "has_trained_state",
    "read_record",
    "run_cell",
    "start_of",
]

RECORD, CHECKPOINT, LOG, SPEC = "run.json", "checkpoint.pt", "log.txt", "spec.yaml"
PREDICTIONS = "predictions.npz"
SECONDS_BETWEEN_CHECKPOINTS = 15.0
LOG_TAIL = 20

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class CellJob:
    """What a worker needs to run a cell; plain data, so that it travels to any node."""

    name: str
    workload: WorkloadName
    fingerprint: str
    spec: dict[str, Any]
    storage: str
    resources: Resources = field(default_factory=Resources)
    max_failures: int = 2
    scored: bool = False  # whether each epoch is judged on the validation split, for a search to compare
    trained_by: str | None = None  # the run whose trained state this one only judges

    @property
    def folder(self) -> str:
        """Where the cell's files lie in the storage."""
        return f"runs/{self.fingerprint}"


def read_record(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    """The record of a cell that has ended, finished or failed; None when there is none."""
    record: dict[str, Any] | None = storage.read_json(f"runs/{fingerprint}/{RECORD}")
    return record


def all_records(storage: Storage) -> list[dict[str, Any]]:
    """The records of all cells of the storage that have ended."""
    return [record for name in storage.list("runs") if (record := read_record(storage, name))]


def checkpoint_of(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    """`state`, `history` and `elapsed` seconds of a cell's last checkpoint; None when there is none.

    That of another run where a cell only judged what the other had trained.
    """
    own = _own_checkpoint(storage, fingerprint)
    if own is not None:
        return own
    record = read_record(storage, fingerprint) or {}
    return _own_checkpoint(storage, record["trained_by"]) if "trained_by" in record else None


def has_trained_state(storage: Storage, record: Mapping[str, Any]) -> bool:
    """Whether the state after the last epoch of a run that has ended is in the storage."""
    name = record.get("trained_by", record["fingerprint"])
    if record["status"] == "finished":
        return storage.exists(f"runs/{name}/{CHECKPOINT}")
    workload = workload_named(record.get("workload", "simclr"))
    kept = _own_checkpoint(storage, name)
    if kept is None or not isinstance(workload, TrainedAlone):
        return False
    return bool(kept["state"]["epoch"] == workload.epochs(workload.read(record["spec"])))


def _own_checkpoint(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    data = storage.read_bytes(f"runs/{fingerprint}/{CHECKPOINT}")
    return decode(data) if data is not None else None


def start_of(job: CellJob) -> dict[str, Any] | None:
    """Where a cell begins: its own checkpoint, else the trained state of `job.trained_by`; None from scratch."""
    storage = Storage(job.storage)
    own = _own_checkpoint(storage, job.fingerprint)
    if own is not None or job.trained_by is None:
        return own
    workload = workload_named(job.workload)
    assert isinstance(workload, TrainedAlone), "other cells are run as packs"
    lent = _own_checkpoint(storage, job.trained_by)
    if lent is None or lent["state"]["epoch"] != workload.epochs(workload.read(job.spec)):
        return None  # deleted or unfinished since the driver looked
    return lent | {"elapsed": 0.0, "trained_by": job.trained_by}


def run_cell(
    job: CellJob, worker: Worker, kept: dict[str, Any] | None, report: Report, *, hosts: Sequence[str] = ()
) -> dict[str, Any] | None:
    """Train and evaluate, and return the record; None on every worker but the first.

    `kept` is where to begin, as `start_of` gives it, the same on every worker. `report` is called on every worker once an
    epoch. `hosts` names the node of each worker, for the record. An exception of the run becomes a record with status
    `failed`; a rerun tries it again. A death of the process, and what only one of several workers meets, is the executor's to
    retry.
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
        repeats = diverged or isinstance(error, SpecError)  # raised on every worker, and again if tried again
        if worker.world_size > 1 and not repeats:
            raise  # so that the whole group restarts; the other workers would wait for this one for ever
        if worker.rank > 0:
            return None
        text = f"{type(error).__name__}: {error}"
        if diverged and run.state is not None and not run.trained:
            run.keep("before the loss diverged")
            text += f", kept in {run.files.storage.shown(job.folder, CHECKPOINT)}"
        run.files.note(traceback.format_exc())
        outcome = {"status": "failed", "error": text, "diverged": diverged, "log_tail": run.files.tail}
    return run.leave(outcome)


class CellFiles:
    """What a cell leaves in the storage beside its checkpoint: specification, log, and at last its record.

    Only the first worker writes.
    """

    def __init__(self, job: CellJob, worker: Worker, hosts: Sequence[str] = ()) -> None:
        self.job, self.worker, self.storage = job, worker, Storage(job.storage)
        self.machine = _machine(job.spec.get("precision", "fp32"), worker) | ({"hosts": sorted({*hosts})} if hosts else {})
        self._lines: list[str] = []

    @property
    def tail(self) -> list[str]:
        """The last lines of the log."""
        return self._lines[-LOG_TAIL:]

    def write_spec(self) -> None:
        """The specification, for people."""
        self.write(SPEC, yaml.safe_dump(self.job.spec, sort_keys=False).encode())

    def note(self, text: str) -> None:
        """Lines of the log, which is replaced as a whole."""
        self._lines += [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}" for line in text.rstrip().splitlines()]
        self.write(LOG, ("\n".join(self._lines) + "\n").encode())

    def leave(
        self, outcome: Mapping[str, Any], history: Sequence[Mapping[str, float]], *, seconds: float, total_seconds: float
    ) -> dict[str, Any]:
        """The record of the cell, written last: `seconds` of training and, with all that belongs to it, in all."""
        record = {
            "name": self.job.name,
            "fingerprint": self.job.fingerprint,
            "workload": self.job.workload,
            **outcome,
            "history": list(history),
            "spec": self.job.spec,
            "machine": self.machine,
            "log": self.storage.shown(self.job.folder, LOG),
            "ended": datetime.now(UTC).isoformat(timespec="seconds"),
            "seconds": round(seconds, 3),
            "total_seconds": round(total_seconds, 3),
        }
        self.storage.write_json(f"{self.job.folder}/{RECORD}", record)
        return record

    def write(self, name: str, data: bytes) -> None:
        """Replace one of the cell's files."""
        if self.worker.rank == 0:
            self.storage.write_bytes(f"{self.job.folder}/{name}", data)


class _Run:
    """A cell while it runs."""

    def __init__(self, job: CellJob, worker: Worker, kept: dict[str, Any] | None, hosts: Sequence[str]) -> None:
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
        self.files.note(f"{job.name} ({job.fingerprint}) on {self.files.machine['device']}, {worker.world_size} worker(s)")
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
                metrics = result.metrics | {"epoch": float(result.epoch), "seconds": time.monotonic() - began}
                if self.job.scored:
                    metrics[SCORE] = self.workload.score(self.spec, result.state, self.worker)
                self.history.append(metrics)
                report(metrics)
            if result.epoch == self.workload.epochs(self.spec) or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS:
                self.keep(", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items()))
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
            self.files.write(CHECKPOINT, encode({"state": self.state, "history": self.history, "elapsed": elapsed}))
            self.files.note(f"epoch {self.state['epoch']} kept: {remark}")

    def leave(self, outcome: dict[str, Any]) -> dict[str, Any]:
        """The record of the cell, with the time of all attempts."""
        if self.trained_by is not None:
            outcome |= {"trained_by": self.trained_by}
        seconds = 0.0 if self.trained_by is not None else sum(epoch["seconds"] for epoch in self.history)
        return self.files.leave(outcome, self.history, seconds=seconds, total_seconds=time.time() - self.started)


def _machine(precision: str, worker: Worker) -> dict[str, Any]:
    """What the numbers were measured on."""
    gpu = worker.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(worker.device) if gpu else _processor(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "workers": worker.world_size,
        "precision": "fp32" if precision == "bf16" and not worker.bf16 else precision,
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
