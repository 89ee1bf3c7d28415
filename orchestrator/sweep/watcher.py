"""What trials report, forwarded to the recorder and the screen in the driver.

The driver also writes the records of what could not write its own.
"""

import logging
import math
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from orchestrator.cell.job import CellJob, Pack
from orchestrator.cell.stop_watch import leave_stopped
from orchestrator.errors import LeaseLostError, StorageError
from orchestrator.live.live_sweep import LiveSweep
from orchestrator.run_record import SCORE, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.leases import holder_of, run_lease
from orchestrator.tracking.recorder import Recorders
from workloads.catalog import workload_named
from workloads.runs.files import LOG_TAIL
from workloads.runs.folder import record_of
from workloads.runs.memory import line_on_lost
from workloads.workload import TrainedAlone

__all__ = ["ENDED", "HELD", "PACK", "RUN_RECORD", "STOPPED", "TAKEN", "Watcher", "pack_of"]

PACK = "pack"  # in a trial's configuration: which one it runs
# In what a trial reports: the record of its only cell, or the fingerprints of cells whose records
# lie in the storage.
RUN_RECORD, ENDED = "record", "ended"
HELD = "held"  # by fingerprint, who has the cells that the trial has left
STOPPED = "stopped"  # the trial has left what it was asked to stop
TAKEN = "taken"  # its process goes away, with its state kept: why
WHY_TAKEN = {"node": "its node is taken away", "signal": "its process was told to end"}

log = logging.getLogger(__name__)


def pack_of(trial: Trial) -> str:
    """Return the name of a trial's pack."""
    name: str = trial.config[PACK]
    return name


class Watcher(Callback):  # type: ignore[misc]
    """A callback of Tune that forwards what trials report to the recorder and the screen."""

    def __init__(self, packs: dict[str, Pack], recorder: Recorders, progress: LiveSweep) -> None:
        self.packs = packs
        self.ended: set[str] = set()
        self.stopped: set[str] = set()
        self.held: dict[str, str] = {}
        self._running: set[str] = set()
        # of packs whose process went away, with their state kept: the failures that they had before
        self._taken: dict[str, int] = {}
        self._any_taken = False
        self._recorder = recorder
        self._progress = progress

    def __reduce__(self) -> tuple[type[Callback], tuple[()]]:
        # Tune writes itself to a file for its own restore, which we never use; a database
        # connection has no place there.
        return Callback, ()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """Show that a pack has begun, and open the run in MLflow of a cell trained alone."""
        pack = self.packs[pack_of(trial)]
        if self._is_stopped(pack):
            return  # it looks once more, and leaves
        self._running.add(pack.name)
        workload = workload_named(pack.jobs[0].workload)
        if isinstance(workload, TrainedAlone):
            (job,) = pack.jobs
            self._recorder.started(job.fingerprint)
            epochs = workload.epochs(workload.read(job.spec))
        else:
            # Hundreds of cells at once: their runs in MLflow are opened when they end.
            epochs = len(pack.jobs)
        inside = [job.fingerprint for job in pack.jobs]
        self._progress.started(pack.name, pack.title, epochs, inside)

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        """Forward the record of a cell, the cells of a pack that have ended, or an epoch."""
        pack = self.packs[pack_of(trial)]
        if STOPPED in result:
            self._stop(pack)
        elif TAKEN in result:
            self._take(pack, trial, result[TAKEN])
        elif HELD in result:
            self._leave_to_others(pack, result[HELD])
        elif RUN_RECORD in result:
            self._end(pack.jobs[0], RunRecord.read(result[RUN_RECORD]))
        elif ENDED in result:
            self._end_those_with_records(pack, {*result[ENDED]})
            done = sum(job.fingerprint in self.ended for job in pack.jobs)
            self._progress.epoch(pack.name, result | {"epoch": done})
        elif "epoch" in result:
            self._recorder.epoch(pack.name, result)
            self._progress.epoch(pack.name, result)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """End the cells of a pack that a trial leaves without having said so."""
        pack = self.packs[pack_of(trial)]
        self._running.discard(pack.name)
        if pack.together:
            # Among them those that had ended, and were not reported, when their process died and
            # another one went on.
            self._end_those_with_records(pack, {job.fingerprint for job in pack.jobs})
            self._progress.left(pack.name)

    def on_trial_recover(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """See that a process has ended itself because its cells were asked to stop.

        Or because it was told to end, which is not to count.
        """
        pack = self.packs[pack_of(trial)]
        if pack.name in self._taken:
            trial.run_metadata.num_failures = self._taken.pop(pack.name)
        if self._progress.is_asked_to_stop(pack.fingerprints):
            self._stop(pack)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """End the cells of a trial whose process died too often, or that Ray Train gave up."""
        pack = self.packs[pack_of(trial)]
        if self._progress.is_asked_to_stop(pack.fingerprints):
            self._stop(pack)
            return
        self._running.discard(pack.name)
        error = str(trial.get_pickled_error() or "the worker process was lost")
        for job in pack.jobs:
            if job.fingerprint in self.ended:
                continue

            record = job.run_folder.record()
            if owner := _other_owner(job, error):
                self._leave_to_others(pack, {job.fingerprint: owner})
                continue
            # it may have finished and died before it said so
            if record is None or not record.has_finished:
                told = error
                if line := line_on_lost(job.spec, f"{error}\n{_said_of(trial)}"):
                    told = f"{error.rstrip()}\n{line}"
                record = _failed_record(job, told)
                _leave(job, record)
            self._end(job, record)
        self._progress.left(pack.name)

    def take_over(self, finished: Mapping[str, RunRecord]) -> set[str]:
        """End the cells that other processes had, and have finished; returns which."""
        jobs = {job.fingerprint: job for pack in self.packs.values() for job in pack.jobs}
        theirs = self.held.keys() & finished.keys() - self.ended
        for name in theirs:
            self._end(jobs[name], finished[name])
        return theirs

    @property
    def is_lost(self) -> bool:
        """True once another process has taken over the sweep."""
        return self._progress.is_lost

    @property
    def all_stopped(self) -> bool:
        """True once all that ran has left, where the whole sweep is asked to stop."""
        return self._progress.all_asked_to_stop and not self._running

    def is_worth_a_line(self, said: logging.LogRecord) -> bool:
        """Tell whether Tune's log is to be seen: not that a process ended which was to end."""
        return not (said.exc_info and (self._progress.any_asked_to_stop or self._any_taken))

    def _take(self, pack: Pack, trial: Trial, why: str) -> None:
        """Say that a trial's process goes away, which is no failure of its own."""
        self._any_taken = True
        self._taken[pack.name] = trial.run_metadata.num_failures
        # Tune counts it next, except where it knows already that the node was drained
        trial.run_metadata.num_failures -= 1
        self._progress.line(
            f"{pack.title}: {WHY_TAKEN[why]}; its state is kept, and another one goes on with it"
        )

    def _is_stopped(self, pack: Pack) -> bool:
        return all(name in self.stopped for name in pack.fingerprints)

    def _stop(self, pack: Pack) -> None:
        """Take the cells of a pack that have not ended as stopped; they go on in a rerun."""
        self._running.discard(pack.name)
        if pack.together:
            self._end_those_with_records(pack, {*pack.fingerprints})
        for job in pack.jobs:
            if job.fingerprint in self.ended or job.fingerprint in self.stopped:
                continue
            record = None if pack.together else leave_stopped(job)
            if record is not None and record.has_finished:
                self._end(job, record)
                continue
            self.stopped.add(job.fingerprint)
            if record is not None:
                self._recorder.ended(job.fingerprint, record)
            self._progress.stopped(job.fingerprint, record)
        self._progress.left(pack.name, stopped=True)

    def _leave_to_others(self, pack: Pack, held: Mapping[str, str]) -> None:
        self.held.update(held)
        self._running.discard(pack.name)
        self._progress.left(pack.name, stopped=True)
        for name in held:
            self._progress.waits(name)

    def _end_those_with_records(self, pack: Pack, fingerprints: set[str]) -> None:
        for job in pack.jobs:
            if job.fingerprint not in fingerprints or job.fingerprint in self.ended:
                continue
            record = job.run_folder.record()
            if record is not None and record.status != "stopped":
                self._end(job, record)

    def _end(self, job: CellJob, record: RunRecord) -> None:
        self.ended.add(job.fingerprint)
        self._recorder.ended(job.fingerprint, record)
        self._progress.ended(job.fingerprint, record, _outcome_line(record))


def _said_of(trial: Trial) -> str:
    """Return what Ray says of a trial's errors.

    It is not for records: of a node short of memory it lists the commands of all its processes.
    """
    file = trial.error_file
    try:
        return "" if file is None else Path(file).read_text(errors="replace")
    except OSError:
        return ""


def _leave(job: CellJob, record: RunRecord) -> None:
    """Write the record of a failure, and of a cell of a pack its log, if the storage takes them.

    Without the record the cell counts as not reached, and the same command tries it again.
    """
    try:
        if not job.run_folder.log():  # cells of a pack write theirs at their end
            job.run_folder.write_log(f"{record.error}\n")
        job.run_folder.write_record(record)
    except StorageError as error:
        log.warning("%s: its failure is not kept: %s", job.name, error)


def _other_owner(job: CellJob, error: str) -> str | None:
    """Say who has a run whose trial has failed, where it is not of this command."""
    holder = holder_of(Storage(job.storage), run_lease(job.fingerprint))
    if holder is not None and holder.group != job.group:
        return str(holder)
    return "the process that has taken over" if LeaseLostError.__name__ in error else None


def _failed_record(job: CellJob, error: str) -> RunRecord:
    """Describe a run whose worker could not write its own record."""
    said = list[str]()
    with suppress(StorageError):
        said = (job.run_folder.log() or "").splitlines()
    tail = [*said[-LOG_TAIL:], *error.splitlines()[-LOG_TAIL:]]
    return replace(record_of(job, "failed"), error=error, log_tail=tail)


def _outcome_line(record: RunRecord) -> str:
    """Say in a line how a run ended: first result and time, or error and where the log lies."""
    if record.status == "stopped":
        score = record.results.get(SCORE, math.nan)
        return f"stopped after epoch {record.epoch:.0f}, validation score {score:.1f}"
    if record.has_failed:
        return f"FAILED: {record.error_line} (log: {record.log})"
    name, value = next(iter(record.results.items()), ("nothing evaluated", None))
    told = name.replace("_", " ") + (f" {value:.1f}" if value is not None else "")
    return f"{told} in {record.total_seconds:.1f} s"
