"""Runs that are in the storage: list them, find one by name, show MLflow's pages on them."""

from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.errors import PlanError
from orchestrator.plan import Plan, PlannedCell, jobs_of
from orchestrator.storage.files import Storage
from workloads.catalog import workload_named
from workloads.checkpoint import decode
from workloads.workload import TrainedAlone, TrainedTogether

__all__ = [
    "CHECKPOINT",
    "EVALUATIONS",
    "LOG",
    "PREDICTIONS",
    "RECORD",
    "SPEC",
    "all_records",
    "checkpoint_of",
    "finished_record",
    "finished_records",
    "has_trained_state",
    "last_state",
    "later_evaluations",
    "own_checkpoint",
    "read_record",
    "run_named",
    "workload_of",
]

RECORD, CHECKPOINT, LOG, SPEC = "run.json", "checkpoint.pt", "log.txt", "spec.yaml"
PREDICTIONS = "predictions.npz"

EVALUATIONS = "evaluations"


def workload_of(record: Mapping[str, Any]) -> TrainedAlone | TrainedTogether:
    """The workload that a run is of."""
    return workload_named(record.get("workload", "simclr"))


def run_named(run: str, storage: Storage) -> str:
    """The fingerprint that begins so. Raises PlanError when none does, or several."""
    fitting = [name for name in storage.list("runs") if name.startswith(run)]
    match fitting:
        case [one]:
            return one
        case []:
            raise PlanError(
                [f"{run}: no such run in {storage.shown()}; `simclr-orch runs` lists them"]
            )
        case _:
            raise PlanError(
                [
                    f"{run}: fits {len(fitting)} runs "
                    f"({', '.join(name[:12] for name in fitting[:5])}, ...)"
                ]
            )


def finished_record(run: str, storage: Storage) -> tuple[str, dict[str, Any]]:
    """Fingerprint and record of the finished run that begins so. Raises PlanError when there is
    none.
    """
    fingerprint = run_named(run, storage)
    record = read_record(storage, fingerprint)
    if record is None or record["status"] != "finished":
        raise PlanError([f"{run}: has not finished in {storage.shown()}"])
    return fingerprint, record


def last_state(fingerprint: str, storage: Storage) -> dict[str, Any]:
    """What a run's training has ended in. Raises PlanError when it is not kept."""
    kept = checkpoint_of(storage, fingerprint)
    if kept is None:
        raise PlanError([f"{fingerprint[:12]}: its last state is not in {storage.shown()}"])
    state: dict[str, Any] = kept["state"]
    return state


def later_evaluations(fingerprint: str, storage: Storage) -> dict[str, dict[str, Any]]:
    """What `evaluate` has left of a run, by name (`linear-1a2b3c4d`), the oldest first."""
    folder = f"runs/{fingerprint}/{EVALUATIONS}"
    names = [name.removesuffix(".json") for name in storage.list(folder) if name.endswith(".json")]
    found = {name: storage.read_json(f"{folder}/{name}.json") for name in names}
    return dict(sorted(found.items(), key=lambda item: item[1].get("ended", "")))


def read_record(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    """The record of a cell that has ended, finished or failed; None when there is none."""
    record: dict[str, Any] | None = storage.read_json(f"runs/{fingerprint}/{RECORD}")
    return record


def all_records(storage: Storage) -> list[dict[str, Any]]:
    """The records of all cells of the storage that have ended."""
    return [record for name in storage.list("runs") if (record := read_record(storage, name))]


def checkpoint_of(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    """`state`, `history` and `elapsed` seconds of a cell's last checkpoint; None when there is
    none.

    That of another run where a cell only judged what the other had trained.
    """
    own = own_checkpoint(storage, fingerprint)
    if own is not None:
        return own
    record = read_record(storage, fingerprint) or {}
    return own_checkpoint(storage, record["trained_by"]) if "trained_by" in record else None


def has_trained_state(storage: Storage, record: Mapping[str, Any]) -> bool:
    """Whether the state after the last epoch of a run that has ended is in the storage."""
    name = record.get("trained_by", record["fingerprint"])
    if record["status"] == "finished":
        return storage.exists(f"runs/{name}/{CHECKPOINT}")
    workload = workload_named(record.get("workload", "simclr"))
    kept = own_checkpoint(storage, name)
    if kept is None or not isinstance(workload, TrainedAlone):
        return False
    return bool(kept["state"]["epoch"] == workload.epochs(workload.read(record["spec"])))


def own_checkpoint(storage: Storage, fingerprint: str) -> dict[str, Any] | None:
    data = storage.read_bytes(f"runs/{fingerprint}/{CHECKPOINT}")
    return decode(data) if data is not None else None


def finished_records(plans: Sequence[Plan], storage: Storage) -> dict[str, dict[str, Any]]:
    """Records of the plans' cells that have ended before, in these or any other sweeps of the
    storage.

    A candidate of a tuned cell has ended, too, when its training diverged: it is out, and would
    diverge again. So has a setting of a search that was stopped for better ones.
    """
    jobs = jobs_of(plans)
    records = {fingerprint: read_record(storage, fingerprint) for fingerprint in jobs}
    return {
        name: record
        for name, record in records.items()
        if record is not None and _ended(record, jobs[name])
    }


def _ended(record: Mapping[str, Any], cell: PlannedCell) -> bool:
    if record["status"] == "finished":
        return True
    diverged = cell.role in ("candidate", "sample") and bool(record.get("diverged"))
    return diverged or (cell.role == "sample" and record["status"] == "stopped")
