"""One cell, wherever it runs: resume from its checkpoint, forward what pre-training yields, evaluate, leave a record.

Everything about a cell lies in `runs/<fingerprint>/` of the storage: `checkpoint.pt` (the last state and the curves so far),
`log.txt`, `spec.yaml` and, once it has ended, `run.json`. Each is replaced as a whole, so a kill at any time loses at most
the work since the last checkpoint.
"""

import platform
import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import torch
import yaml

from orchestrator.storage import Storage
from workloads.simclr.checkpoint import decode, encode
from workloads.simclr.evaluate import evaluate
from workloads.simclr.pretrain import LossNotFiniteError, pretrain
from workloads.simclr.spec import RunSpec
from workloads.spec import SpecError
from workloads.worker import Worker

__all__ = ["CHECKPOINT", "RECORD", "CellJob", "checkpoint_of", "read_record", "run_cell"]

RECORD, CHECKPOINT, LOG, SPEC = "run.json", "checkpoint.pt", "log.txt", "spec.yaml"
SECONDS_BETWEEN_CHECKPOINTS = 15.0
LOG_TAIL = 20

Report = Callable[[dict[str, float]], None]


@dataclass(frozen=True)
class CellJob:
    """What a worker needs to run a cell; plain data, so that it travels to any node."""

    name: str
    fingerprint: str
    spec: dict[str, Any]
    storage: str
    threads: int
    workers: int = 1
    gpus_per_worker: float = 0.0
    max_failures: int = 2

    @property
    def folder(self) -> str:
        """Where the cell's files lie in the storage."""
        return f"runs/{self.fingerprint}"


@dataclass
class _Log:
    """The cell's log, written to the storage as a whole whenever it matters."""

    storage: Storage
    name: str
    lines: list[str] = field(default_factory=list)

    def add(self, text: str) -> None:
        self.lines += [f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}" for line in text.rstrip().splitlines()]

    def write(self) -> None:
        self.storage.write_bytes(self.name, ("\n".join(self.lines) + "\n").encode())


def read_record(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    """The record of a cell that has ended, finished or failed; None when there is none."""
    record: dict[str, Any] | None = storage.read_json(f"runs/{fingerprint}/{RECORD}")
    return record


def checkpoint_of(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    """`state`, `history` and `elapsed` seconds of a cell's last checkpoint; None when there is none."""
    data = storage.read_bytes(f"runs/{fingerprint}/{CHECKPOINT}")
    return decode(data) if data is not None else None


def run_cell(job: CellJob, worker: Worker, kept: dict[str, Any] | None, report: Report) -> dict[str, Any] | None:
    """Train and evaluate, and return the record; None on every worker but the first.

    `kept` is the checkpoint to continue from, the same on every worker. `report` is called on every worker once an epoch.
    An exception of the run becomes a record with status `failed`; a rerun tries it again. A death of the process, and what
    only one of several workers meets, is the executor's to retry.
    """
    first = worker.rank == 0
    storage = Storage(job.storage)
    log = _Log(storage, f"{job.folder}/{LOG}")
    started = time.time() - (kept["elapsed"] if kept else 0.0)
    history: list[dict[str, float]] = list(kept["history"]) if kept else []
    spec = RunSpec.read(job.spec)
    log.add(f"{job.name} ({job.fingerprint}) on {_machine(spec, worker)['device']}, {worker.world_size} worker(s)")
    if kept:
        log.add(f"continues after epoch {kept['state']['epoch']}")
    try:
        state = _train(job, spec, worker, kept, report, history, started, log if first else None)
        if not first:
            return None
        log.add("evaluating the frozen encoder")
        results = evaluate(spec, state, worker)
        log.add(", ".join(f"{name} {value:.6g}" for name, value in results.items()))
        outcome: dict[str, Any] = {"status": "finished", "results": results}
    except Exception as error:
        repeats = isinstance(error, LossNotFiniteError | SpecError)  # raised on every worker, and again if tried again
        if worker.world_size > 1 and not repeats:
            raise  # so that the whole group restarts; the other workers would wait for this one for ever
        if not first:
            return None
        log.add(traceback.format_exc())
        outcome = {"status": "failed", "error": f"{type(error).__name__}: {error}", "log_tail": log.lines[-LOG_TAIL:]}
    log.write()
    record = {
        "name": job.name,
        "fingerprint": job.fingerprint,
        **outcome,
        "history": history,
        "spec": job.spec,
        "machine": _machine(spec, worker),
        "log": storage.path(job.folder, LOG),
        "ended": datetime.now(UTC).isoformat(timespec="seconds"),
        "seconds": round(sum(epoch["seconds"] for epoch in history), 3),
        "total_seconds": round(time.time() - started, 3),
    }
    storage.write_json(f"{job.folder}/{RECORD}", record)
    return record


def _train(
    job: CellJob,
    spec: RunSpec,
    worker: Worker,
    kept: dict[str, Any] | None,
    report: Report,
    history: list[dict[str, float]],
    started: float,
    log: _Log | None,
) -> dict[str, Any]:
    """Every epoch that is still missing; returns the last state. Only the worker with a log writes."""
    state: dict[str, Any] | None = kept["state"] if kept else None
    storage = Storage(job.storage)
    if log:
        storage.write_bytes(f"{job.folder}/{SPEC}", yaml.safe_dump(job.spec, sort_keys=False).encode())
        log.write()
    saved = began = time.monotonic()
    for result in pretrain(spec, worker, state):
        state = result.state
        if result.metrics:
            metrics = result.metrics | {"epoch": float(result.epoch), "seconds": time.monotonic() - began}
            history.append(metrics)
            report(metrics)
        last = result.epoch == spec.schedule.epochs
        if log and (last or time.monotonic() - saved > SECONDS_BETWEEN_CHECKPOINTS):
            checkpoint = {"state": state, "history": history, "elapsed": time.time() - started}
            storage.write_bytes(f"{job.folder}/{CHECKPOINT}", encode(checkpoint))
            shown = ", ".join(f"{name} {value:.4g}" for name, value in result.metrics.items())
            log.add(f"epoch {result.epoch} kept: {shown}")
            log.write()
            saved = time.monotonic()
        began = time.monotonic()
    assert state is not None, "pre-training yields at least once, or a state was given"
    return state


def _machine(spec: RunSpec, worker: Worker) -> dict[str, Any]:
    """What the numbers were measured on."""
    gpu = worker.device.type == "cuda"
    return {
        "device": torch.cuda.get_device_name(worker.device) if gpu else _processor(),
        "gpu": gpu,
        "threads": torch.get_num_threads(),
        "workers": worker.world_size,
        "precision": "bf16" if spec.precision == "bf16" and worker.bf16 else "fp32",
        "torch": torch.__version__,
        "python": platform.python_version(),
    }


def _processor() -> str:
    try:
        with open("/proc/cpuinfo") as lines:
            return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
