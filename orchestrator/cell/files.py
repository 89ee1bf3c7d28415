"""What a cell leaves in the storage beside its checkpoint: specification, log, and at last its
record.
"""

import platform
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import torch
import yaml

from orchestrator.cell.job import CellJob
from orchestrator.storage import Storage
from orchestrator.storage.runs import LOG, RECORD, SPEC
from workloads.distributed.worker import Worker

__all__ = ["LOG_TAIL", "CellFiles"]

LOG_TAIL = 20


class CellFiles:
    """What a cell leaves in the storage beside its checkpoint: specification, log, and at last its
    record.

    Only the first worker writes.
    """

    def __init__(self, job: CellJob, worker: Worker, hosts: Sequence[str] = ()) -> None:
        self.job, self.worker, self.storage = job, worker, Storage(job.storage)
        self.machine = _machine(job.spec.get("precision", "fp32"), worker) | (
            {"hosts": sorted({*hosts})} if hosts else {}
        )
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
        self._lines += [
            f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S} {line}" for line in text.rstrip().splitlines()
        ]
        self.write(LOG, ("\n".join(self._lines) + "\n").encode())

    def leave(
        self,
        outcome: Mapping[str, Any],
        history: Sequence[Mapping[str, float]],
        *,
        seconds: float,
        total_seconds: float,
    ) -> dict[str, Any]:
        """The record of the cell, written last: `seconds` of training and, with all that belongs to
        it, in all.
        """
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
            return next(
                line.partition(":")[2].strip() for line in lines if line.startswith("model name")
            )
    except (OSError, StopIteration):
        return platform.processor() or platform.machine()
