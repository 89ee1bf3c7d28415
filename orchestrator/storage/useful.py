"""The records that a plan can learn from: chosen by the index, so that the others are not read."""

from collections import Counter
from collections.abc import Collection

from orchestrator.plan.estimate import MEASURED
from orchestrator.run_record import RunRecord
from orchestrator.storage.files import Storage
from orchestrator.storage.rows import RunRow, run_rows
from orchestrator.storage.runs import RunFolder

__all__ = ["useful_records"]


def useful_records(storage: Storage, workload: str, seeds: Collection[int]) -> list[RunRecord]:
    """Read the records of a workload's runs that may lend their training, or tell a speed.

    The first have one of the seeds, the second are the newest of each kind of machine. Raises
    StorageError where the storage cannot be read.
    """
    told = Counter[object]()
    names = []
    rows = [row for row in run_rows(storage) if row.workload == workload]
    for row in sorted(rows, key=lambda row: row.ended or "", reverse=True):
        tells = _tells_a_speed(row) and told[_kind(row)] < MEASURED
        told[_kind(row)] += tells
        if tells or row.seed in seeds:
            names.append(row.fingerprint)
    found = (RunFolder(storage, name).record() for name in sorted(names))
    return [record for record in found if record is not None]


def _tells_a_speed(row: RunRow) -> bool:
    return row.status == "finished" and row.trained_by is None and bool(row.duration and row.logged)


def _kind(row: RunRow) -> object:
    machine = row.machine or {}
    return machine.get("workers"), machine.get("gpu")
