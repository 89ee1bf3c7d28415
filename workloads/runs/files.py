"""What a cell leaves in its run's folder: specification, log, checkpoints, and its record."""

import platform
from collections.abc import Sequence
from dataclasses import replace
from datetime import UTC, datetime

import torch

from workloads.distributed.worker import Worker
from workloads.evaluation_result import EvaluationResult
from workloads.inventory import DataRead, lines_of
from workloads.run_record import Machine, Metrics, RunRecord
from workloads.runs.folder import Checkpoint, Job, record_of

__all__ = ["LOG_TAIL", "CellFiles"]

LOG_TAIL = 20


class CellFiles:
    """The files that a cell leaves in its run's folder. Only the first worker writes."""

    def __init__(self, job: Job, worker: Worker, hosts: Sequence[str] = ()) -> None:
        self.job, self.folder = job, job.run_folder
        self.machine = _machine(job.spec.get("precision", "fp32"), worker)
        if hosts:
            self.machine["hosts"] = sorted({*hosts})
        self._writes = worker.rank == 0
        self._lines: list[str] = []
        self._read: list[DataRead] = []

    def write_spec(self) -> None:
        """Write the specification, for people."""
        if self._writes:
            self.folder.write_spec(self.job.spec)

    def note(self, text: str) -> None:
        """Add lines to the log, which is replaced as a whole."""
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self._lines += [f"{now} {line}" for line in text.rstrip().splitlines()]
        if self._writes:
            self.folder.write_log("\n".join(self._lines) + "\n")

    def took(self, read: DataRead) -> None:
        """Keep for the record what data were read, and say in the log what is left out."""
        self._read.append(read)
        for line in lines_of([read.tree()]):
            self.note(line)

    def keep(self, checkpoint: Checkpoint, remark: str, *, copies: int = 1) -> None:
        """Write the checkpoint from which a later run continues, and say so in the log.

        So many of the last ones are kept in all.
        """
        if self._writes:
            self.folder.write_checkpoint(checkpoint, copies)
            what = f"step {checkpoint.step}" if checkpoint.step else "epoch"
            number = "" if checkpoint.step else f" {checkpoint.state['epoch']}"
            self.note(f"{what}{number} kept: {remark}")

    def give_up_checkpoint(self, reason: str) -> None:
        """Set aside the newest checkpoint, from which the run cannot continue."""
        if self._writes:
            self.folder.set_checkpoint_aside(reason)

    def finish(
        self,
        result: EvaluationResult,
        history: Sequence[Metrics],
        *,
        seconds: float,
        total_seconds: float,
        trained_by: str | None = None,
    ) -> RunRecord:
        """Write the predictions and, last of all, the record of a run that came to its end.

        `seconds` are of training, `total_seconds` of all that belongs to the run.
        """
        self.folder.write_predictions(result.predictions)
        record = replace(
            record_of(self.job, "finished"),
            results=dict(result.results),
            intervals={name: list(interval) for name, interval in result.intervals.items()},
            trained_by=trained_by,
        )
        return self._leave(record, history, seconds, total_seconds)

    def finish_in_pack(
        self, results: Metrics, history: Sequence[Metrics], *, seconds: float
    ) -> RunRecord:
        """Write the record of a run that shared its process, and has no predictions.

        `seconds` are its share of what the process needed.
        """
        record = replace(record_of(self.job, "finished"), results=dict(results))
        return self._leave(record, history, seconds, seconds)

    def fail(
        self,
        error: str,
        trace: str,
        history: Sequence[Metrics],
        *,
        diverged: bool,
        seconds: float,
        total_seconds: float,
        trained_by: str | None = None,
    ) -> RunRecord:
        """Note how it came to an error, and write the record of the run that it ended."""
        self.note(trace)
        record = replace(
            record_of(self.job, "failed"),
            error=error,
            diverged=diverged,
            log_tail=self._lines[-LOG_TAIL:],
            trained_by=trained_by,
        )
        return self._leave(record, history, seconds, total_seconds)

    def _leave(
        self, record: RunRecord, history: Sequence[Metrics], seconds: float, total_seconds: float
    ) -> RunRecord:
        record = replace(
            record,
            history=list(history),
            machine=self.machine,
            data_read=[read.tree() for read in self._read],
            ended=datetime.now(UTC).isoformat(timespec="seconds"),
            seconds=round(seconds, 3),
            total_seconds=round(total_seconds, 3),
        )
        self.folder.write_record(record)
        if record.has_finished or record.diverged:
            self.folder.forget_older_checkpoints()
            self.folder.drop_pieces()
        return record


def _machine(precision: str, worker: Worker) -> Machine:
    """Describe what the numbers are measured on."""
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
