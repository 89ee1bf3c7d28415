"""Runs in the storage: the folder of each, with its files, and what is found in all of them.

Everything about a run lies in `runs/<fingerprint>/`. Each file is replaced as a whole, so that who
reads while a run goes on, or after it was killed, finds the last complete one.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from orchestrator.errors import PlanError, StorageError
from orchestrator.plan import Plan, PlannedCell, jobs_of
from orchestrator.plan.study import score_at
from orchestrator.run_record import EvaluationRecord, RunRecord
from orchestrator.storage.damaged import read_sound, set_aside
from orchestrator.storage.files import Storage
from orchestrator.storage.leases import Claim
from workloads.catalog import workload_named
from workloads.checkpoint import decode, encode
from workloads.evaluation_result import Predictions
from workloads.runs.folder import (
    CHECKPOINT,
    EVALUATING,
    LOG,
    PREDICTIONS,
    RECORD,
    RUNS,
    SPEC,
    Checkpoint,
    checkpoint_bytes,
    checkpoint_files,
    damaged_checkpoint_files,
    older_checkpoint,
    read_checkpoint,
    record_in,
    spec_bytes,
)
from workloads.runs.predictions import predictions_bytes, read_predictions
from workloads.spelling import did_you_mean
from workloads.workload import TrainedAlone

__all__ = [
    "LOG",
    "RECORD",
    "SPEC",
    "Checkpoint",
    "RunFolder",
    "all_records",
    "finished_record",
    "finished_records",
    "has_trained_state",
    "last_state",
    "run_named",
]

EVALUATIONS = "evaluations"


@dataclass(frozen=True)
class RunFolder:
    """The files of one run. Methods raise StorageError where the storage fails.

    With the `claim` of who owns the run, what writes them raises LeaseLostError once another
    process has taken over.
    """

    storage: Storage
    fingerprint: str
    claim: Claim | None = None

    def beside(self, fingerprint: str) -> "RunFolder":
        """Return the folder of another run of the same storage."""
        return RunFolder(self.storage, fingerprint)

    def name_of(self, *parts: str) -> str:
        """Return the name of a file of the run, as the storage takes it."""
        return "/".join((RUNS, self.fingerprint, *parts))

    def address_of(self, *parts: str) -> str:
        """Return the address of a file of the run, or of its folder, for people."""
        return self.storage.shown(self.name_of(*parts))

    @property
    def log_address(self) -> str:
        """The address of the log, for people."""
        return self.address_of(LOG)

    @property
    def checkpoint_address(self) -> str:
        """The address of the checkpoint, for people."""
        return self.address_of(CHECKPOINT)

    def record(self) -> RunRecord | None:
        """Read the record of a run that has ended; None when there is none.

        One that is damaged, or another run's, is set aside.
        """
        return read_sound(self.storage, self.name_of(RECORD), self._record_in)

    def _record_in(self, data: bytes) -> RunRecord:
        record = record_in(data, self.fingerprint)
        # The log lies beside it, wherever the storage was when the run ended.
        return record if record.log is None else replace(record, log=self.log_address)

    def write_record(self, record: RunRecord) -> None:
        """Write the record, which is what ends a run."""
        self._check()
        self.storage.write_json(self.name_of(RECORD), record.tree())

    def own_checkpoint(self) -> Checkpoint | None:
        """Read the newest checkpoint in this folder that is whole; None when there is none.

        Damaged ones are set aside.
        """
        newest = read_sound(self.storage, self.name_of(CHECKPOINT), read_checkpoint)
        if newest is not None:
            return newest
        for name in checkpoint_files(self.storage.list(self.name_of())):
            if kept := read_sound(self.storage, self.name_of(name), read_checkpoint):
                return kept
        return None

    def damaged_checkpoints(self) -> list[str]:
        """Return the names of the checkpoints that were set aside."""
        return damaged_checkpoint_files(self.storage.list(self.name_of()))

    def set_checkpoint_aside(self, reason: str) -> None:
        """Set aside the newest checkpoint, from which the run cannot continue."""
        self._check()
        for name in checkpoint_files(self.storage.list(self.name_of()))[:1]:
            set_aside(self.storage, self.name_of(name), reason)

    def forget_older_checkpoints(self) -> None:
        """Delete all checkpoints but the newest."""
        self._check()
        for name in checkpoint_files(self.storage.list(self.name_of())):
            if name != CHECKPOINT:
                self.storage.delete(self.name_of(name))

    def checkpoint(self) -> Checkpoint | None:
        """Read the last checkpoint, that of another run where this one only evaluated its state."""
        own = self.own_checkpoint()
        if own is not None:
            return own
        record = self.record()
        if record is None or record.trained_by is None:
            return None
        return RunFolder(self.storage, record.trained_by).own_checkpoint()

    def checkpoint_bytes(self) -> bytes | None:
        """Read the checkpoint as it is kept; None when there is none."""
        return self.storage.read_bytes(self.name_of(CHECKPOINT))

    def has_checkpoint(self) -> bool:
        """Tell whether a checkpoint lies in this folder."""
        return self.storage.exists(self.name_of(CHECKPOINT))

    def write_checkpoint(self, kept: Checkpoint, copies: int = 1) -> None:
        """Write the newest checkpoint; of those before it, so many in all are kept."""
        self._check()
        for number in range(copies - 1, 0, -1):
            before = self.name_of(older_checkpoint(number - 1))
            self.storage.copy(before, self.name_of(older_checkpoint(number)))
        self.storage.write_bytes(self.name_of(CHECKPOINT), checkpoint_bytes(kept))

    def read_piece(self, name: str) -> dict[str, Any] | None:
        """Read a piece of an unfinished evaluation; None where there is none."""
        return read_sound(self.storage, self.name_of(EVALUATING, f"{name}.pt"), decode)

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        """Keep a piece of an unfinished evaluation."""
        self._check()
        self.storage.write_bytes(self.name_of(EVALUATING, f"{name}.pt"), encode(piece))

    def drop_pieces(self) -> None:
        """Delete them, once the evaluation has ended."""
        self._check()
        self.storage.delete(self.name_of(EVALUATING))

    def log(self) -> str | None:
        """Read the log; None when there is none."""
        data = self.storage.read_bytes(self.name_of(LOG))
        return None if data is None else data.decode(errors="replace")

    def write_log(self, text: str) -> None:
        """Replace the log."""
        self._check()
        self.storage.write_bytes(self.name_of(LOG), text.encode())

    def write_spec(self, tree: Mapping[str, Any]) -> None:
        """Write the specification, for people."""
        self.storage.write_bytes(self.name_of(SPEC), spec_bytes(tree))

    def write_predictions(self, predictions: Mapping[str, Predictions]) -> None:
        """Write what the run's own evaluation said of each test example."""
        self._check()
        self.storage.write_bytes(self.name_of(PREDICTIONS), predictions_bytes(predictions))

    def _check(self) -> None:
        if self.claim is not None:
            self.claim.check()

    def predictions(self, evaluation: str | None = None) -> dict[str, Predictions] | None:
        """Read the predictions of the run's own evaluation, or of a later one by its name.

        None where they were not kept.
        """
        file = self.predictions_file(evaluation)
        data = self.storage.read_bytes(self.name_of(file))
        if data is None:
            return None
        try:
            return read_predictions(data)
        except ValueError as error:
            raise StorageError(f"{self.address_of(file)}: {error}") from None

    def predictions_file(self, evaluation: str | None = None) -> str:
        """Return the name, in this folder, of the file that `predictions` reads."""
        return PREDICTIONS if evaluation is None else f"{EVALUATIONS}/{evaluation}.npz"

    def evaluations(self) -> dict[str, EvaluationRecord]:
        """Read what later evaluations have left, by name (`linear-1a2b3c4d`), the oldest first.

        Damaged ones are set aside.
        """
        found: dict[str, EvaluationRecord] = {}
        for file in self.storage.list(self.name_of(EVALUATIONS)):
            name = file.removesuffix(".json")
            if name != file:
                record = read_sound(self.storage, self.name_of(EVALUATIONS, file), _evaluation_in)
                found |= {name: record} if record else {}
        return dict(sorted(found.items(), key=lambda item: item[1].ended))

    def write_evaluation(
        self,
        name: str,
        record: EvaluationRecord,
        predictions: Mapping[str, Predictions],
        files: Mapping[str, bytes],
    ) -> list[str]:
        """Write a later evaluation, its predictions and pictures; returns names of the latter."""
        self.storage.write_json(self.name_of(EVALUATIONS, f"{name}.json"), record.tree())
        if predictions:
            file = self.name_of(self.predictions_file(name))
            self.storage.write_bytes(file, predictions_bytes(predictions))
        pictures = []
        for file, content in files.items():
            pictures.append(self.name_of(EVALUATIONS, name, file))
            self.storage.write_bytes(pictures[-1], content)
        return pictures


def _evaluation_in(data: bytes) -> EvaluationRecord:
    return EvaluationRecord.read(json.loads(data))


def all_records(storage: Storage) -> list[RunRecord]:
    """Read the records of all runs of the storage that have ended."""
    found = (RunFolder(storage, name).record() for name in storage.list(RUNS))
    return [record for record in found if record is not None]


def finished_records(plans: Sequence[Plan], storage: Storage) -> dict[str, RunRecord]:
    """Read the records of the plans' runs that have ended, in these or other sweeps of the storage.

    A candidate of a tuned cell has ended, too, when its training diverged: it is out, and would
    diverge again. A setting of a search has ended once it has a score at its rung.
    """
    found = {}
    for fingerprint, cell in jobs_of(plans).items():
        record = RunFolder(storage, fingerprint).record()
        if record is not None and _is_done(record, cell):
            found[fingerprint] = record
    return found


def _is_done(record: RunRecord, cell: PlannedCell) -> bool:
    if cell.role in ("candidate", "sample") and record.diverged:
        return True
    if cell.role != "sample":
        return record.has_finished
    if record.has_finished:  # perhaps in a sweep, which scores nothing
        return score_at(record, 0) is not None
    return cell.until is not None and score_at(record, cell.until) is not None


def has_trained_state(storage: Storage, record: RunRecord) -> bool:
    """Tell whether the state after the last epoch of a run that has ended is in the storage."""
    folder = RunFolder(storage, record.state_of)
    if record.has_finished:
        return folder.has_checkpoint()
    workload, kept = workload_named(record.workload), folder.own_checkpoint()
    if kept is None or not isinstance(workload, TrainedAlone):
        return False
    return bool(kept.state["epoch"] == workload.epochs(workload.read(record.spec)))


def run_named(run: str, storage: Storage) -> str:
    """Return the fingerprint that begins so. Raises PlanError when none does, or several."""
    there = storage.list(RUNS)
    fitting = [name for name in there if name.startswith(run)]
    match fitting:
        case [one]:
            return one
        case []:
            hint = did_you_mean(run, (name[: len(run)] for name in there))
            raise PlanError(
                [f"{run}: no such run in {storage.shown()}; `simclr-orch runs` lists them{hint}"]
            )
        case _:
            some = ", ".join(name[:12] for name in fitting[:5])
            raise PlanError([f"{run}: fits {len(fitting)} runs ({some}, ...)"])


def finished_record(run: str, storage: Storage) -> RunRecord:
    """Read the record of the finished run whose fingerprint begins so.

    Raises PlanError when there is none.
    """
    record = RunFolder(storage, run_named(run, storage)).record()
    if record is None or not record.has_finished:
        raise PlanError([f"{run}: has not finished in {storage.shown()}"])
    return record


def last_state(fingerprint: str, storage: Storage) -> dict[str, Any]:
    """Read what a run's training has ended in. Raises PlanError when it is not kept."""
    kept = RunFolder(storage, fingerprint).checkpoint()
    if kept is None:
        raise PlanError([f"{fingerprint[:12]}: its last state is not in {storage.shown()}"])
    return kept.state
