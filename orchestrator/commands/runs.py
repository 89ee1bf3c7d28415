"""Runs that are in the storage: list them, and show MLflow's pages on them."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Column, Table

from orchestrator.commands.result import Finished
from orchestrator.settings import Settings
from orchestrator.storage.files import Storage
from orchestrator.storage.runs import all_records
from workloads.catalog import workload_named

__all__ = ["list_runs", "serve_dashboard"]


def list_runs(storage: Storage, console: Console) -> Finished:
    """List every run of the storage that has ended, by fingerprint."""
    records = all_records(storage)
    table = Table(
        Column("run", no_wrap=True),
        "name",
        "status",
        "workload",
        "data",
        "results",
        "seconds",
        box=None,
    )
    for record in records:
        workload, results = workload_named(record.workload), record.results
        table.add_row(
            record.fingerprint[:12],
            record.name,
            record.status,
            workload.name,
            workload.data_name(record.spec),
            ", ".join(
                f"{name.replace('_', ' ')} {results[name]:.4g}"
                for name in workload.headline
                if name in results
            ),
            "" if record.total_seconds is None else f"{record.total_seconds:.1f}",
        )

    console.print(table if records else f"no runs in {storage.shown()}")
    shown = ("fingerprint", "name", "workload", "status", "results", "error", "ended", "machine")
    runs = []
    for record in records:
        tree = record.tree()
        runs.append({name: tree[name] for name in shown if name in tree})
    return Finished(0, {"runs": runs})


def serve_dashboard(
    settings: Settings, host: str, port: int, allowed_hosts: Sequence[str], console: Console
) -> Finished:
    """Start MLflow's pages, print their addresses, and serve until interrupted."""
    from orchestrator.tracking import start_dashboard

    board = start_dashboard(
        settings.tracking_uri,
        Storage(settings.storage),
        host=host,
        port=port,
        allowed_hosts=allowed_hosts,
    )
    try:
        console.print(f"MLflow: {board.address}  (Ctrl-C ends it)", highlight=False, soft_wrap=True)
        if others := board.addresses[1:]:
            shown = ", ".join(others)
            text = f"from other machines: {shown}; any other name needs --allowed-host NAME"
            console.print(text, highlight=False, soft_wrap=True)
        code = board.wait()
    except KeyboardInterrupt:
        code = 0
    finally:
        board.stop()
    return Finished(1 if code else 0, {"address": board.address})
