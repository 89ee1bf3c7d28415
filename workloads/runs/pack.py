"""Many small cells in one process, each of which leaves what it would leave by itself.

The record of one does not wait for others. While a pack trains for longer than a moment, its state
lies in a file of its own, which is gone once all have ended. A pack that is run again leaves out
the cells that have finished.
"""

import logging
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Generic, TypeVar

from workloads.catalog import workload_named
from workloads.checkpoint import CheckpointSpec
from workloads.distributed.worker import Worker
from workloads.inventory import DataRead, told_of_reading
from workloads.runs.cell import never
from workloads.runs.files import CellFiles
from workloads.runs.folder import Job
from workloads.runs.pauses import Schedule
from workloads.spec import digest
from workloads.workload import Ended, State, TrainedTogether

__all__ = ["PackOfRuns", "run_pack"]

SECONDS_BETWEEN_REPORTS = 2.0  # a report that the driver has no time for would make the cells wait

log = logging.getLogger(__name__)

# Fingerprints of cells that have ended, and plain numbers on the others.
Report = Callable[[Sequence[str], Mapping[str, float]], None]


J = TypeVar("J", bound=Job, covariant=True)


@dataclass(frozen=True)
class PackOfRuns(ABC, Generic[J]):
    """Runs of one process, and where their state lies while they run.

    Runs of a workload that trains them alone are packs of one, and keep their state themselves.
    """

    jobs: tuple[J, ...]

    @property
    def together(self) -> bool:
        """True where the workload trains several at once."""
        return isinstance(workload_named(self.jobs[0].workload), TrainedTogether)

    @property
    def title(self) -> str:
        """The title for people: its only run, or how many there are."""
        first = self.jobs[0].name
        return first if len(self.jobs) == 1 else f"{len(self.jobs)} cells from {first} on"

    @property
    def name(self) -> str:
        """The fingerprint of its only run, or one of all."""
        names = [job.fingerprint for job in self.jobs]
        return names[0] if len(names) == 1 else digest({"pack": names})

    @property
    def fingerprints(self) -> tuple[str, ...]:
        """The fingerprints of its runs."""
        return tuple(job.fingerprint for job in self.jobs)

    @abstractmethod
    def kept_state(self) -> State | None:
        """Read the state that an earlier process has kept; None when there is none."""

    @abstractmethod
    def keep_state(self, state: State) -> None:
        """Replace it."""

    @abstractmethod
    def drop_state(self) -> None:
        """Delete it, if there is one."""


def run_pack(
    pack: PackOfRuns[Job],
    report: Report,
    *,
    stop: Callable[[], bool] = never,
    without: Collection[str] = (),
) -> None:
    """Run every cell that has not finished, and write each record as soon as its result is there.

    A cell that diverges has a record with status `failed`; so have all that are left when something
    else goes wrong. Where `stop` says so the state is kept, and those that are left have no record.
    Those of `without` are left to others.
    """
    left = {
        job.fingerprint: job
        for job in pack.jobs
        if job.fingerprint not in without and not _has_finished(job)
    }
    if not left:
        return

    workload, jobs = workload_named(pack.jobs[0].workload), list(left.values())
    assert isinstance(workload, TrainedTogether), "other cells are run by themselves"
    reported = time.monotonic()
    schedule = Schedule(getattr(workload.read(jobs[0].spec), "checkpoint", CheckpointSpec()))
    read: list[DataRead] = []
    try:
        with told_of_reading(read.append):
            for progress in workload.train_together(
                [workload.read(job.spec) for job in jobs], pack.kept_state()
            ):
                ended = [jobs[position] for position in progress.ended]
                for job, end in zip(ended, progress.ended.values(), strict=True):
                    _leave(job, end, len(pack.jobs), read)
                    del left[job.fingerprint]

                if ended or time.monotonic() - reported > SECONDS_BETWEEN_REPORTS:
                    report([job.fingerprint for job in ended], progress.metrics)
                    reported = time.monotonic()

                stopping = bool(left) and stop()
                due = stopping or schedule.is_due
                if left and progress.state is not None and due:
                    began = time.monotonic()
                    _keep(pack, progress.state)
                    schedule.kept(time.monotonic() - began)
                if stopping:
                    return
        assert not left, "each run ends"
    except Exception as error:  # noqa: BLE001 - whatever it is, it becomes the record of the cells that it hit
        for job in left.values():
            files = CellFiles(job, Worker.here("cpu"))
            _fail(files, error, traceback.format_exc(), 0.0, diverged=False)
        report(list(left), {})
    pack.drop_state()


def _keep(pack: PackOfRuns[Job], state: State) -> None:
    """Keep the state; where it cannot be written the older one stays, and training goes on."""
    try:
        pack.keep_state(state)
    except OSError as error:
        told = " ".join(str(error).split())
        log.warning("%s: the state is not kept: %s; the runs go on", pack.title, told)


def _has_finished(job: Job) -> bool:
    record = job.run_folder.record()
    return record is not None and record.has_finished


def _leave(job: Job, end: Ended, cells: int, read: Sequence[DataRead]) -> None:
    """Leave the files of a cell, whose pack has `read` these data.

    Its time is its share of what the process needed.
    """
    files = CellFiles(job, Worker.here("cpu"))
    files.write_spec()
    for one in read:
        files.took(one)
    if end.error is not None:
        trace = "".join(traceback.format_exception(end.error))
        _fail(files, end.error, trace, end.seconds, diverged=True)
        return

    files.note(
        f"{job.name} ({job.fingerprint}) on {files.machine['device']}, in a pack of {cells}\n"
        + ", ".join(f"{name} {value:.6g}" for name, value in end.results.items())
    )
    files.finish_in_pack(end.results, end.history, seconds=end.seconds)


def _fail(
    files: CellFiles, error: Exception, trace: str, seconds: float, *, diverged: bool
) -> None:
    text = f"{type(error).__name__}: {error}"
    files.fail(text, trace, [], diverged=diverged, seconds=seconds, total_seconds=seconds)
