"""What trials report, forwarded to the recorder and the screen in the driver; records of what could
not write its own.
"""

from collections.abc import Mapping
from typing import Any

from ray.tune import Callback
from ray.tune.experiment import Trial

from orchestrator.cell.job import CellJob, Pack
from orchestrator.run_record import SCORE
from orchestrator.storage import Storage
from orchestrator.storage.runs import RECORD, read_record
from orchestrator.sweep.progress import SweepProgress
from orchestrator.tracking.recorder import Recorders
from workloads.catalog import workload_named
from workloads.workload import TrainedAlone

__all__ = ["ENDED", "PACK", "RUN_RECORD", "Watcher", "pack_of"]

PACK = "pack"  # in a trial's configuration: which one it runs
# In what a trial reports: the record of its only cell, or the fingerprints of cells whose records
# lie in the storage.
RUN_RECORD, ENDED = "record", "ended"


def pack_of(trial: Trial) -> str:
    """The name of a trial's pack."""
    name: str = trial.config[PACK]
    return name


class Watcher(Callback):  # type: ignore[misc]
    """Forwards what trials report to the recorder and the screen, in the driver."""

    def __init__(
        self, packs: dict[str, Pack], recorder: Recorders, progress: SweepProgress
    ) -> None:
        self.packs = packs
        self.ended: set[str] = set()
        self._recorder = recorder
        self._progress = progress

    def __reduce__(self) -> tuple[type[Callback], tuple[()]]:
        # Tune writes itself to a file for its own restore, which we never use; a database
        # connection has no place there.
        return Callback, ()

    def on_trial_start(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        pack = self.packs[pack_of(trial)]
        workload = workload_named(pack.jobs[0].workload)
        if isinstance(workload, TrainedAlone):
            (job,) = pack.jobs
            self._recorder.started(job.fingerprint)
            self._progress.started(pack.name, pack.title, workload.epochs(workload.read(job.spec)))
        else:
            # Hundreds of cells at once: their runs in MLflow are opened when they end.
            self._progress.started(pack.name, pack.title, len(pack.jobs))

    def on_trial_result(
        self, iteration: int, trials: list[Trial], trial: Trial, result: dict[str, Any], **info: Any
    ) -> None:
        pack = self.packs[pack_of(trial)]
        if RUN_RECORD in result:
            self._end(pack.jobs[0], result[RUN_RECORD])
        elif ENDED in result:
            self._end_those_with_records(pack, {*result[ENDED]})
            done = sum(job.fingerprint in self.ended for job in pack.jobs)
            self._progress.epoch(pack.name, result | {"epoch": done})
        elif "loss" in result:
            self._recorder.epoch(pack.name, result)
            self._progress.epoch(pack.name, result)

    def on_trial_complete(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """A trial that ends without a record was stopped by the search."""
        pack = self.packs[pack_of(trial)]
        if pack.together:
            # Among them those that had ended, and were not reported, when their process died and
            # another one went on.
            self._end_those_with_records(pack, {job.fingerprint for job in pack.jobs})
            self._progress.left(pack.name)
            return
        (job,) = pack.jobs
        if (
            job.fingerprint not in self.ended
            and job.scored
            and trial.last_result
            and SCORE in trial.last_result
        ):
            storage = Storage(job.storage)
            record = _stopped_record(job, trial.last_result)
            storage.write_json(f"{job.folder}/{RECORD}", record)
            self._end(job, record)

    def on_trial_error(
        self, iteration: int, trials: list[Trial], trial: Trial, **info: Any
    ) -> None:
        """The trial's process died more often than allowed, or Ray Train gave up."""
        pack = self.packs[pack_of(trial)]
        for job in pack.jobs:
            if job.fingerprint in self.ended:
                continue
            record = read_record(Storage(job.storage), job.fingerprint)
            # it may have finished and died before it said so
            if record is None or record["status"] != "finished":
                record = _failed_record(
                    job, str(trial.get_pickled_error() or "the worker process was lost")
                )
                Storage(job.storage).write_json(f"{job.folder}/{RECORD}", record)
            self._end(job, record)
        self._progress.left(pack.name)

    def _end_those_with_records(self, pack: Pack, fingerprints: set[str]) -> None:
        for job in pack.jobs:
            new = job.fingerprint in fingerprints and job.fingerprint not in self.ended
            if new and (record := read_record(Storage(job.storage), job.fingerprint)) is not None:
                self._end(job, record)

    def _end(self, job: CellJob, record: Mapping[str, Any]) -> None:
        self.ended.add(job.fingerprint)
        self._recorder.ended(job.fingerprint, dict(record))
        failed = record["status"] == "failed"
        self._progress.ended(job.fingerprint, job.name, _outcome_line(record), failed=failed)


def _failed_record(job: CellJob, error: str) -> dict[str, Any]:
    """The record of a cell whose worker could not write its own."""
    storage, name = Storage(job.storage), f"{job.folder}/log.txt"
    log = (storage.read_bytes(name) or b"").decode(errors="replace").splitlines()
    if not log:  # cells of a pack write theirs at their end
        storage.write_bytes(name, f"{error}\n".encode())
    outcome = {
        "status": "failed",
        "error": error,
        "log_tail": [*log[-20:], *error.splitlines()[-20:]],
    }
    return _record(job, outcome)


def _stopped_record(job: CellJob, last: Mapping[str, Any]) -> dict[str, Any]:
    """The record of a setting that a search has given up."""
    return _record(
        job, {"status": "stopped", "results": {SCORE: last[SCORE]}, "epoch": last["epoch"]}
    )


def _record(job: CellJob, outcome: Mapping[str, Any]) -> dict[str, Any]:
    """What the driver knows of a cell whose worker has left no record."""
    return {
        "name": job.name,
        "workload": job.workload,
        "fingerprint": job.fingerprint,
        **outcome,
        "history": [],
        "spec": job.spec,
        "log": Storage(job.storage).shown(job.folder, "log.txt"),
    }


def _outcome_line(record: Mapping[str, Any]) -> str:
    """A record in a line: its first result and time, or its error and where the log lies."""
    if record["status"] == "stopped":
        return (
            f"stopped after epoch {record['epoch']:.0f}, validation score "
            f"{record['results'][SCORE]:.1f}"
        )
    if record["status"] == "finished":
        name, value = next(iter(record["results"].items()), ("nothing judged", None))
        told = name.replace("_", " ") + (f" {value:.1f}" if value is not None else "")
        return f"{told} in {record['total_seconds']:.1f} s"
    return (
        f"FAILED: {record['error'].splitlines()[-1] if record['error'] else ''} (log: "
        f"{record['log']})"
    )
