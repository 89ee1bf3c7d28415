"""What a cell leaves in its run's folder: specification, log, checkpoints, and its record."""

import errno
import logging
import platform
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import torch

from workloads.distributed.worker import Worker
from workloads.evaluation_result import EvaluationResult
from workloads.inventory import DataRead, lines_of
from workloads.run_record import Machine, Metrics, RunRecord
from workloads.runs.folder import Checkpoint, Job, record_of

__all__ = ["LOG_TAIL", "CellFiles"]

LOG_TAIL = 20
WAIT = 5.0  # seconds before what a run must leave is tried again, the first time
LONGEST_WAIT = 60.0
PATIENCE = 900.0  # seconds for which a run that has come to its end waits for room
# What no waiting mends: rights, a disk that may only be read, something in the way.
HOPELESS = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOTDIR, errno.EISDIR)

log = logging.getLogger(__name__)


class CellFiles:
    """The files that a cell leaves in its run's folder. Only the first worker writes.

    A file that cannot be written is no reason to stop training: log and checkpoints are written
    when they can be, and what is left in the end is waited for.
    """

    def __init__(self, job: Job, worker: Worker, hosts: Sequence[str] = ()) -> None:
        self.job, self.folder = job, job.run_folder
        self.machine = _machine(job.spec.get("precision", "fp32"), worker)
        if hosts:
            self.machine["hosts"] = sorted({*hosts})
        self._writes = worker.rank == 0
        self._lines: list[str] = []
        self._unkept: Callable[[], None] | None = None
        self._patience = PATIENCE
        self._read: list[DataRead] = []

    def write_spec(self) -> None:
        """Write the specification, for people."""
        if self._writes:
            self._tried(partial(self.folder.write_spec, self.job.spec), "the specification")

    def note(self, text: str) -> None:
        """Add lines to the log, which is replaced as a whole."""
        now = f"{datetime.now(UTC):%Y-%m-%d %H:%M:%S}"
        self._lines += [f"{now} {line}" for line in text.rstrip().splitlines()]
        if self._writes:
            text = "\n".join(self._lines) + "\n"
            self._tried(partial(self.folder.write_log, text), "the log")

    def took(self, read: DataRead) -> None:
        """Keep for the record what data were read, and say in the log what is left out."""
        self._read.append(read)
        for line in lines_of([read.tree()]):
            self.note(line)

    def keep(self, checkpoint: Checkpoint, remark: str, *, copies: int = 1) -> None:
        """Write the checkpoint from which a later run continues, and say so in the log.

        So many of the last ones are kept in all. Where it cannot be written the older ones stay,
        and training goes on.
        """
        if not self._writes:
            return
        what = f"step {checkpoint.step}" if checkpoint.step else "epoch"
        what += "" if checkpoint.step else f" {checkpoint.state['epoch']}"
        write = partial(self.folder.write_checkpoint, checkpoint, copies)
        problem = self._tried(write, f"the checkpoint after {what}")
        self._unkept = write if problem else None
        self.note(f"{what} not kept: {problem}" if problem else f"{what} kept: {remark}")

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
        if self._unkept is not None:  # the last state, which other runs may need
            self._must(self._unkept, "the last state")
            self._unkept = None
        self._must(partial(self.folder.write_predictions, result.predictions), "the predictions")
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
        self._must(partial(self.folder.write_record, record), "the record")
        if record.has_finished or record.diverged:
            self._tried(self.folder.forget_older_checkpoints, "that older checkpoints are gone")
            self._tried(self.folder.drop_pieces, "that pieces are gone")
        return record

    def _tried(self, write: Callable[[], None], what: str) -> str | None:
        """Write something that training can go on without; return what was in the way, if so."""
        try:
            write()
        except OSError as error:
            problem = " ".join(str(error).split())
            log.warning("%s: %s is not written: %s; the run goes on", self.job.name, what, problem)
            return problem
        return None

    def _must(self, write: Callable[[], None], what: str) -> None:
        """Write something that a run cannot end without, waiting for room if need be.

        Raises OSError, after 15 minutes, or at once where waiting is no use.
        """
        began, wait = time.monotonic(), WAIT
        while True:
            try:
                return write()
            except OSError as error:
                over = time.monotonic() - began + wait > self._patience
                if over or error.errno in HOPELESS:
                    self._patience = 0.0  # for the record that says so
                    raise
                log.warning(
                    "%s: %s cannot be written yet (%s); trying again in %.0f s",
                    *(self.job.name, what, " ".join(str(error).split()), wait),
                )
                time.sleep(wait)
                wait = min(2 * wait, LONGEST_WAIT)


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
