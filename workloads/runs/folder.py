"""The files that a run reads and leaves, wherever they lie, and those in a plain folder.

A folder of runs has the layout of a storage: `runs/<fingerprint>/run.json` and its neighbours.
Each file is replaced as a whole, so that a kill leaves the old one or the new one.
"""

import json
import logging
import os
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar

import yaml

from workloads.checkpoint import decode, encode
from workloads.evaluation_result import Predictions
from workloads.local_files import copy_whole, write_whole
from workloads.run_record import RunRecord, Status
from workloads.runs.kept import (
    CHECKPOINT,
    Checkpoint,
    checkpoint_bytes,
    checkpoint_files,
    damaged_checkpoint_files,
    older_checkpoint,
    read_checkpoint,
)
from workloads.runs.predictions import predictions_bytes

__all__ = [
    "CHECKPOINT",
    "EVALUATING",
    "LOG",
    "PREDICTIONS",
    "RECORD",
    "RUNS",
    "SPEC",
    "Checkpoint",
    "Job",
    "LocalRun",
    "RunFiles",
    "checkpoint_bytes",
    "checkpoint_files",
    "damaged_checkpoint_files",
    "older_checkpoint",
    "read_checkpoint",
    "read_local",
    "record_bytes",
    "record_in",
    "record_of",
    "sound",
    "spec_bytes",
]

RUNS = "runs"
RECORD, LOG, SPEC = "run.json", "log.txt", "spec.yaml"
PREDICTIONS = "predictions.npz"
EVALUATING = "evaluating"  # the folder of pieces of an evaluation that has not ended

T = TypeVar("T")

log = logging.getLogger(__name__)


class RunFiles(Protocol):
    """The files of one run, as its work reads and leaves them."""

    @property
    def log_address(self) -> str:
        """The address of the log, for people."""

    @property
    def checkpoint_address(self) -> str:
        """The address of the checkpoint, for people."""

    def beside(self, fingerprint: str) -> Self:
        """Return the files of another run in the same place."""

    def record(self) -> RunRecord | None:
        """Read the record of a run that has ended; None when there is none."""

    def own_checkpoint(self) -> Checkpoint | None:
        """Read the newest checkpoint of this run that is whole; None when there is none.

        Damaged ones are set aside.
        """

    def damaged_checkpoints(self) -> list[str]:
        """Return the names of the checkpoints of this run that were set aside."""

    def set_checkpoint_aside(self, reason: str) -> None:
        """Set aside the newest checkpoint, from which the run cannot continue."""

    def write_record(self, record: RunRecord) -> None:
        """Write the record, which is what ends a run."""

    def write_checkpoint(self, kept: Checkpoint, copies: int = 1) -> None:
        """Write the newest checkpoint; of those before it, so many in all are kept."""

    def forget_older_checkpoints(self) -> None:
        """Delete all checkpoints but the newest, of a run that needs no other any more."""

    def read_piece(self, name: str) -> dict[str, Any] | None:
        """Read a piece of an unfinished evaluation; None where there is none."""

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        """Keep a piece of an unfinished evaluation."""

    def drop_pieces(self) -> None:
        """Delete them, once the evaluation has ended."""

    def write_log(self, text: str) -> None:
        """Replace the log."""

    def write_spec(self, tree: Mapping[str, Any]) -> None:
        """Write the specification, for people."""

    def write_predictions(self, predictions: Mapping[str, Predictions]) -> None:
        """Write what the run's own evaluation said of each test example."""


class Job(Protocol):
    """A run that is to be done: its specification, and where its files lie."""

    @property
    def name(self) -> str:
        """The name for people."""

    @property
    def workload(self) -> str:
        """The name of the workload that it is a run of."""

    @property
    def fingerprint(self) -> str:
        """The run's name."""

    @property
    def spec(self) -> dict[str, Any]:
        """The whole specification, as plain values."""

    @property
    def scored(self) -> bool:
        """Tell whether each epoch is scored on the validation split, for a search to compare."""

    @property
    def trained_by(self) -> str | None:
        """The run whose state this one only evaluates."""

    @property
    def until(self) -> int | None:
        """The epoch at which a search stops it for now; None where it is to end."""

    @property
    def run_folder(self) -> RunFiles:
        """Where its files lie."""


@dataclass(frozen=True)
class LocalRun:
    """The files of one run in a folder of this machine. Methods raise OSError."""

    root: Path
    fingerprint: str

    @property
    def folder(self) -> Path:
        """The folder of the run."""
        return self.root / RUNS / self.fingerprint

    @property
    def log_address(self) -> str:
        """The address of the log, for people."""
        return str(self.folder / LOG)

    @property
    def checkpoint_address(self) -> str:
        """The address of the checkpoint, for people."""
        return str(self.folder / CHECKPOINT)

    def beside(self, fingerprint: str) -> "LocalRun":
        """Return the files of another run in the same folder."""
        return LocalRun(self.root, fingerprint)

    def record(self) -> RunRecord | None:
        """Read the record of a run that has ended; None when there is none, or a damaged one."""
        return read_local(self.folder / RECORD, partial(record_in, fingerprint=self.fingerprint))

    def own_checkpoint(self) -> Checkpoint | None:
        """Read the newest checkpoint that is whole; None when there is none."""
        for name in checkpoint_files(self._names()):
            if kept := read_local(self.folder / name, read_checkpoint):
                return kept
        return None

    def damaged_checkpoints(self) -> list[str]:
        """Return the names of the checkpoints that were set aside."""
        return damaged_checkpoint_files(self._names())

    def has_checkpoint(self) -> bool:
        """Tell whether a checkpoint lies here."""
        return (self.folder / CHECKPOINT).is_file()

    def set_checkpoint_aside(self, reason: str) -> None:
        """Rename the newest checkpoint, from which the run cannot continue."""
        for name in checkpoint_files(self._names())[:1]:
            _set_aside(self.folder / name, reason)

    def delete_checkpoint(self) -> None:
        """Delete all checkpoints, if there are any."""
        for name in checkpoint_files(self._names()):
            (self.folder / name).unlink(missing_ok=True)

    def forget_older_checkpoints(self) -> None:
        """Delete all checkpoints but the newest."""
        for name in checkpoint_files(self._names()):
            if name != CHECKPOINT:
                (self.folder / name).unlink(missing_ok=True)

    def _names(self) -> list[str]:
        return os.listdir(self.folder) if self.folder.is_dir() else []

    def write_record(self, record: RunRecord) -> None:
        """Write the record, which is what ends a run."""
        self._write(RECORD, record_bytes(record))

    def write_checkpoint(self, kept: Checkpoint, copies: int = 1) -> None:
        """Write the newest checkpoint; of those before it, so many in all are kept."""
        for number in range(copies - 1, 0, -1):
            before = self.folder / older_checkpoint(number - 1)
            if before.is_file():
                copy_whole(before, self.folder / older_checkpoint(number))
        self._write(CHECKPOINT, checkpoint_bytes(kept))

    def read_piece(self, name: str) -> dict[str, Any] | None:
        """Read a piece of an unfinished evaluation; None where there is none."""
        return read_local(self.folder / EVALUATING / f"{name}.pt", decode)

    def write_piece(self, name: str, piece: dict[str, Any]) -> None:
        """Keep a piece of an unfinished evaluation."""
        (self.folder / EVALUATING).mkdir(parents=True, exist_ok=True)
        write_whole(self.folder / EVALUATING / f"{name}.pt", encode(piece))

    def drop_pieces(self) -> None:
        """Delete them, once the evaluation has ended."""
        shutil.rmtree(self.folder / EVALUATING, ignore_errors=True)

    def write_log(self, text: str) -> None:
        """Replace the log."""
        self._write(LOG, text.encode())

    def write_spec(self, tree: Mapping[str, Any]) -> None:
        """Write the specification, for people."""
        self._write(SPEC, spec_bytes(tree))

    def write_predictions(self, predictions: Mapping[str, Predictions]) -> None:
        """Write what the run's own evaluation said of each test example."""
        self._write(PREDICTIONS, predictions_bytes(predictions))

    def _write(self, file: str, data: bytes) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        # of each process another name, as a killed one may have left its own
        write_whole(self.folder / file, data, beside=f".{file}.{os.getpid()}.partial")


def record_in(data: bytes, fingerprint: str) -> RunRecord:
    """Read the record of a run from `run.json`. Raises ValueError for another run's, too."""
    record = RunRecord.read(json.loads(data))
    if record.fingerprint != fingerprint:
        raise ValueError(f"is the record of another run, {record.fingerprint}")
    return record


def record_bytes(record: RunRecord) -> bytes:
    """Return the content of `run.json`. Raises ValueError for NaN and infinities."""
    return (json.dumps(record.tree(), indent=2, allow_nan=False) + "\n").encode()


def spec_bytes(tree: Mapping[str, Any]) -> bytes:
    """Return the content of `spec.yaml`."""
    return yaml.safe_dump(dict(tree), sort_keys=False).encode()


def record_of(job: Job, status: Status) -> RunRecord:
    """Return what is known of a run before it tells how it went."""
    return RunRecord(
        name=job.name,
        fingerprint=job.fingerprint,
        workload=job.workload,
        status=status,
        spec=job.spec,
        log=job.run_folder.log_address,
    )


def read_local(path: Path, read: Callable[[bytes], T]) -> T | None:
    """Return what `read` makes of a file; None where there is none, or a damaged one.

    A damaged file is set aside, and counts as missing: a run without a record continues from its
    checkpoint, one without a checkpoint begins again.
    """
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return None
    except IsADirectoryError:
        _set_aside(path, "is a folder")
        return None
    return sound(data, read, partial(_set_aside, path))


def sound(data: bytes, read: Callable[[bytes], T], set_aside: Callable[[str], None]) -> T | None:
    """Return what `read` makes of a file's content; None for a damaged one.

    Whatever `read` raises is damage, except for want of memory: `set_aside` is told what.
    """
    try:
        return read(data)
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - readers of damaged files raise whatever they meet
        text = " ".join(str(error).split())[:200] or type(error).__name__
        set_aside(text if data else "is empty")
        return None


def _set_aside(path: Path, reason: str) -> None:
    number, aside = 1, path.with_name(f"{path.name}.damaged")
    while aside.exists():
        number += 1
        aside = path.with_name(f"{path.name}.damaged-{number}")
    path.rename(aside)
    log.warning("%s: %s; set aside as %s, and taken as missing", path, reason, aside.name)
