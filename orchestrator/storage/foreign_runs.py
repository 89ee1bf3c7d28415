"""Runs that were done elsewhere, in a folder with a storage's layout: read, checked, taken in."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from orchestrator.run_record import RunRecord
from orchestrator.storage.files import Storage
from orchestrator.storage.runs import RunFolder
from workloads.runs.folder import (
    CHECKPOINT,
    LOG,
    PREDICTIONS,
    RECORD,
    RUNS,
    LocalRun,
    read_checkpoint,
)
from workloads.runs.plan_file import PlannedRun
from workloads.runs.predictions import read_predictions
from workloads.spec import SpecError
from workloads.workload import (
    AnyTrainedAlone,
    AnyTrainedTogether,
    Specification,
    TrainedAlone,
)

ROUNDING = 1e-6  # of a percentage that is a mean of others

__all__ = ["ForeignRun", "names_in", "read_foreign_run", "take_in"]


@dataclass(frozen=True)
class ForeignRun:
    """The record of a run that was done elsewhere, and its other files by name."""

    record: RunRecord
    files: Mapping[str, bytes]


def read_foreign_run(
    folder: Path, planned: PlannedRun, workload: AnyTrainedAlone | AnyTrainedTogether
) -> ForeignRun | None:
    """Read what a run has left below `folder`; None where it has not ended.

    Raises ValueError that says why it is not what this code would have left of the planned run.
    """
    run = LocalRun(folder, planned.fingerprint)
    try:
        data = (run.folder / RECORD).read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ValueError(f"{RECORD} cannot be read ({error.strerror})") from None
    try:
        record = RunRecord.read(json.loads(data))
    except (ValueError, RecursionError) as error:
        reason = str(error) if data.strip().endswith(b"}") else "is cut off or empty"
        raise ValueError(f"{RECORD} {reason}") from None

    if record.fingerprint != planned.fingerprint:
        raise ValueError(f"{RECORD} is the record of another run, {record.fingerprint}")
    if record.workload != workload.name:
        raise ValueError(f"is a run of {record.workload}, and the plan is of {workload.name}")
    try:
        spec = workload.read(record.spec)
    except SpecError as error:
        raise ValueError(f"its specification is of another version: {error.problems[0]}") from None
    if spec.fingerprint() != planned.fingerprint:
        raise ValueError(f"its specification has the fingerprint {spec.fingerprint()}")
    if record.trained_by is not None and not _is_fingerprint(record.trained_by):
        raise ValueError(f"was trained by {record.trained_by!r}, which is no run")

    _check_numbers(record)
    _check_complete(record, spec, workload)
    return ForeignRun(record, _files(run, record, spec, workload))


def _is_fingerprint(name: str) -> bool:
    return name.isalnum()


def _check_numbers(record: RunRecord) -> None:
    """Raise ValueError where a result or a metric is no finite number."""
    try:
        intervals = {
            name: value
            for name, (low, high) in (record.intervals or {}).items()
            for value in (low, high)
        }
    except (TypeError, ValueError):
        raise ValueError("its intervals are no pairs of numbers") from None
    for metrics in (record.results, intervals, *record.history):
        if not isinstance(metrics, dict):
            raise ValueError("its history is no list of metrics")
        for name, value in metrics.items():
            is_number = isinstance(value, int | float) and not isinstance(value, bool)
            if not (is_number and math.isfinite(value)):
                raise ValueError(f"{name} is {value!r}")


def _check_complete(
    record: RunRecord, spec: Specification, workload: AnyTrainedAlone | AnyTrainedTogether
) -> None:
    """Raise ValueError where the record lacks what a run leaves that has ended so."""
    if record.ended is None:
        raise ValueError("its record does not say when it ended")
    if record.has_failed:
        if not record.error:
            raise ValueError("has failed, and its record has no error")
        return
    if not record.has_finished:
        raise ValueError(f"has the status {record.status}, which no run of a plan has")
    machine = record.machine
    if not isinstance(machine, dict) or not {"device", "torch", "python"} <= machine.keys():
        raise ValueError("its record does not say on which machine and versions it ran")
    if record.total_seconds is None or record.seconds is None:
        raise ValueError("its record does not say how long it took")
    if isinstance(workload, TrainedAlone):
        last, epochs = record.last_metrics.get("epoch", 0), workload.epochs(spec)
        if last != epochs:
            raise ValueError(f"its curves end at epoch {last:g} of {epochs}")
    _check_results(record, spec, workload)


def _check_results(
    record: RunRecord, spec: Specification, workload: AnyTrainedAlone | AnyTrainedTogether
) -> None:
    """Raise ValueError where a result is missing that such a run has, or is no percentage."""
    if missing := [name for name in workload.promised(spec) if name not in record.results]:
        raise ValueError(f"its record has no {', '.join(missing)}")
    for name, value in record.results.items():
        quantity = workload.quantities.get(name)
        if quantity is not None and quantity.unit == "%" and not 0 <= value <= 100 + ROUNDING:
            raise ValueError(f"{name} is {value:g} %, which does not lie between 0 and 100")


def _files(
    run: LocalRun,
    record: RunRecord,
    spec: Specification,
    workload: AnyTrainedAlone | AnyTrainedTogether,
) -> dict[str, bytes]:
    """Read the other files. Raises ValueError for those that are damaged or missing."""
    found = {}
    for name in (LOG, PREDICTIONS, CHECKPOINT):
        try:
            found[name] = (run.folder / name).read_bytes()
        except FileNotFoundError:
            continue
        except OSError as error:
            raise ValueError(f"{name} cannot be read ({error.strerror})") from None
    if isinstance(workload, TrainedAlone):
        _check_predictions(found.get(PREDICTIONS), needed=record.has_finished)
        if CHECKPOINT in found:
            last = workload.epochs(spec) if record.has_finished else None
            _check_checkpoint(found[CHECKPOINT], last)
    return found


def _check_predictions(data: bytes | None, *, needed: bool) -> None:
    if data is None:
        if needed:
            raise ValueError(f"{PREDICTIONS} is missing")
        return
    try:
        read_predictions(data)
    except ValueError as error:
        raise ValueError(f"{PREDICTIONS} {error}") from None


def _check_checkpoint(data: bytes, last: int | None) -> None:
    """Raise ValueError for what is no checkpoint, or not of the last epoch where that is known."""
    try:
        epoch = read_checkpoint(data).state["epoch"]
    except MemoryError:
        raise
    except Exception as error:  # noqa: BLE001 - damaged files raise whatever they meet
        raise ValueError(f"{CHECKPOINT} is damaged ({type(error).__name__})") from None
    if last is not None and epoch != last:
        raise ValueError(f"{CHECKPOINT} is of epoch {epoch} of {last}")


def take_in(found: ForeignRun, planned: PlannedRun, storage: Storage) -> bool:
    """Write the files of a run into the storage, its record last; False where it was there before.

    Paths in the specification are those of the plan, as this machine knows them. Raises ValueError
    where the storage has the run with other results.
    """
    folder = RunFolder(storage, planned.fingerprint)
    before = folder.record()
    if before is not None and before.has_finished:
        if found.record.has_finished and dict(before.results) != dict(found.record.results):
            raise ValueError("the storage has the run with other results, which stay")
        return False
    if before is not None and before.ended == found.record.ended:
        return False

    folder.write_spec(planned.spec)
    for name, data in found.files.items():
        storage.write_bytes(folder.name_of(name), data)
    folder.write_record(replace(found.record, spec=planned.spec, log=folder.log_address))
    return True


def names_in(folder: Path) -> list[str]:
    """List the runs that have a folder below `folder`."""
    there = folder / RUNS
    return sorted(each.name for each in there.iterdir() if each.is_dir()) if there.is_dir() else []
