"""Runs that are in the storage: list them, find one by name, show MLflow's pages on them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from orchestrator.errors import PlanError
from orchestrator.outcome import Finished
from orchestrator.settings import Settings
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
    "has_trained_state",
    "last_state",
    "later_evaluations",
    "list_runs",
    "own_checkpoint",
    "read_record",
    "run_named",
    "serve_dashboard",
    "workload_of",
]

RECORD, CHECKPOINT, LOG, SPEC = "run.json", "checkpoint.pt", "log.txt", "spec.yaml"
PREDICTIONS = "predictions.npz"

EVALUATIONS = "evaluations"


def list_runs(storage: Storage, console: Console) -> Finished:
    """Every run of the storage that has ended, by fingerprint."""
    records = all_records(storage)
    table = Table(Column("run", no_wrap=True), "name", "status", "workload", "data", "results", "seconds", box=None)
    for record in records:
        workload, results = workload_of(record), record.get("results", {})
        table.add_row(
            record["fingerprint"][:12],
            record["name"],
            record["status"],
            workload.name,
            record["spec"]["data"]["name"],
            ", ".join(f"{name.replace('_', ' ')} {results[name]:.4g}" for name in workload.headline if name in results),
            f"{record['total_seconds']:.1f}" if "total_seconds" in record else "",
        )
    console.print(table if records else f"no runs in {storage.shown()}")
    shown = ("fingerprint", "name", "workload", "status", "results", "error", "ended", "machine")
    return Finished(0, {"runs": [{name: record[name] for name in shown if name in record} for record in records]})


def serve_dashboard(settings: Settings, host: str, port: int, console: Console) -> Finished:
    """Start MLflow's pages, print their address, and serve until interrupted."""
    from orchestrator.tracking import start_dashboard

    board = start_dashboard(settings.tracking_uri, Storage(settings.storage), host=host, port=port)
    try:
        console.print(f"MLflow: {board.address}  (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        code = board.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        board.stop()
    return Finished(1 if code else 0, {"address": board.address})


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
            raise PlanError([f"{run}: no such run in {storage.shown()}; `simclr-orch runs` lists them"])
        case _:
            raise PlanError([f"{run}: fits {len(fitting)} runs ({', '.join(name[:12] for name in fitting[:5])}, ...)"])


def finished_record(run: str, storage: Storage) -> tuple[str, dict[str, Any]]:
    """Fingerprint and record of the finished run that begins so. Raises PlanError when there is none."""
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
    """`state`, `history` and `elapsed` seconds of a cell's last checkpoint; None when there is none.

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
