"""Runs that are in the storage: list them, evaluate one again, show MLflow's pages on them."""

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Column, Table

from orchestrator.cell import checkpoint_of, read_record
from orchestrator.errors import PlanError
from orchestrator.outcome import Finished
from orchestrator.settings import Settings
from orchestrator.storage import Storage
from workloads.spec import digest, read_assignments
from workloads.worker import Worker
from workloads.workload import TrainedAlone, TrainedTogether, every_workload, workload_named

__all__ = ["evaluate_run", "list_runs", "serve_dashboard"]


def list_runs(storage: Storage, console: Console) -> Finished:
    """Every run of the storage that has ended, by fingerprint."""
    records = [record for name in storage.list("runs") if (record := read_record(storage, name))]
    table = Table(Column("run", no_wrap=True), "name", "status", "workload", "data", "results", "seconds", box=None)
    for record in records:
        workload, results = _workload_of(record), record.get("results", {})
        table.add_row(
            record["fingerprint"][:12],
            record["name"],
            record["status"],
            workload.name,
            record["spec"]["data"]["name"],
            ", ".join(f"{name.replace('_', ' ')} {results[name]:.4g}" for name in workload.headline if name in results),
            f"{record['total_seconds']:.1f}" if "total_seconds" in record else "",
        )
    console.print(table if records else f"no runs in {storage.uri}")
    shown = ("fingerprint", "name", "workload", "status", "results", "error", "ended", "machine")
    return Finished(0, {"runs": [{name: record[name] for name in shown if name in record} for record in records]})


def evaluate_run(run: str, protocol: str, assignments: tuple[str, ...], storage: Storage, console: Console) -> Finished:
    """Judge the last checkpoint of a run and keep the result beside it. Raises PlanError for what cannot be done."""
    known = dict.fromkeys(name for one in every_workload() if isinstance(one, TrainedAlone) for name in one.evaluations)
    if protocol not in known:
        raise PlanError([f"--protocol {protocol}: no such protocol; known are {', '.join(known)}"])
    values = read_assignments(list(assignments))
    if other := [path for path in values if not path.startswith(("eval.", "data.root"))]:
        raise PlanError([f"--set {path}: only eval.* and data.root can change after pre-training" for path in other])
    fingerprint = _named(run, storage)
    record = read_record(storage, fingerprint)
    if record is None or record["status"] != "finished":
        raise PlanError([f"{run}: has not finished in {storage.uri}"])
    workload = _workload_of(record)
    if not isinstance(workload, TrainedAlone):
        raise PlanError([f"{run}: is of {workload.name}, whose runs are tested once, at their end, and keep no network"])
    if protocol not in workload.evaluations:
        ways = ", ".join(workload.evaluations)
        raise PlanError([f"--protocol {protocol}: is not for {run} of {workload.name}, which has {ways}"])
    kept = checkpoint_of(storage, fingerprint)
    if kept is None:
        raise PlanError([f"{run}: its last state is not in {storage.uri}"])
    evaluation = workload.evaluations[protocol]
    spec = workload.read(record["spec"]).with_values({**evaluation.values, **values})
    console.print(f"{record['name']} ({fingerprint[:12]}), epoch {kept['state']['epoch']}, {protocol}", highlight=False)
    results = workload.evaluate(spec, kept["state"], Worker.here())
    results = {name: value for name, value in results.items() if name.startswith(evaluation.only)}
    for name, value in results.items():
        console.print(f"{name:<24} {value:.6g}", highlight=False)
    document: dict[str, Any] = {
        "run": fingerprint,
        "protocol": protocol,
        "eval": spec.tree()["eval"],
        "results": results,
    }
    storage.write_json(f"runs/{fingerprint}/evaluations/{protocol}-{digest(document['eval'])[:8]}.json", document)
    return Finished(0, document)


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


def _workload_of(record: Mapping[str, Any]) -> TrainedAlone | TrainedTogether:
    return workload_named(record.get("workload", "simclr"))


def _named(run: str, storage: Storage) -> str:
    fitting = [name for name in storage.list("runs") if name.startswith(run)]
    match fitting:
        case [one]:
            return one
        case []:
            raise PlanError([f"{run}: no such run in {storage.uri}; `simclr-orch runs` lists them"])
        case _:
            raise PlanError([f"{run}: fits {len(fitting)} runs ({', '.join(name[:12] for name in fitting[:5])}, ...)"])
