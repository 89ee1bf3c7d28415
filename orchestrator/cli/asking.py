"""Commands that look: what can be asked, what was found, what runs and services there are."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from orchestrator.cli.app import app
from orchestrator.cli.options import (
    AblationName,
    Address,
    Json,
    StorageUri,
    TrackingUri,
    console_for,
    guarded,
    print_json,
    storage_at,
)
from search_spaces import ABLATIONS, Ablation

if TYPE_CHECKING:
    from orchestrator.outcome import Finished

__all__ = ["dashboard", "doctor", "presets", "report", "runs", "spaces", "verdicts"]


@app.command()
def spaces(as_json: Json = False) -> None:
    """The ablations: question, figure or table, cells and cost."""
    rows: list[dict[str, Any]] = [
        {
            "name": ablation.name,
            "source": ablation.source,
            "question": ablation.question,
            "cells_paper": len(ablation.paper.cells),
            "paper_tpu_core_hours": round(ablation.paper_tpu_hours) if _on_tpus(ablation) else None,
            "cells_small": len(ablation.small.cells),
            "claims": len(ablation.claims),
            "extension": ablation.extension,
            "small_in_runs_of_the_preset": ablation.relative_cost("small"),
        }
        for ablation in ABLATIONS.values()
    ]
    if as_json:
        return print_json(rows)
    console = Console()
    for row in rows:
        source = "extension, not in the paper" if row["extension"] else row["source"]
        console.print(f"[bold]{row['name']}[/bold]  {source}", highlight=False)
        console.print(f"  {row['question']}", highlight=False)
        console.print(
            f"  {row['cells_small']} cells on a small preset ({row['small_in_runs_of_the_preset']:g} x one run); "
            f"{row['cells_paper']} at the paper's scale{_tpu_hours(row['paper_tpu_core_hours'])}; "
            f"{row['claims']} claims",
            style="dim",
            highlight=False,
        )
    console.print("Costs are of one seed. `simclr-orch ablate NAME --preset P --dry-run` estimates the time on your machine.")
    return None


def _on_tpus(ablation: Ablation) -> bool:
    return ablation.workload == "simclr" and ablation.setting == "imagenet-paper"


def _tpu_hours(hours: int | None) -> str:
    """What the paper's runs cost there, where it says what one costs."""
    return f" ({hours:,} TPU v3 core-hours)" if hours is not None else ""


@app.command()
def presets(name: Annotated[str | None, typer.Argument(help="Print this one as YAML for --config.")] = None) -> None:
    """The base recipes; with NAME, one of them as YAML."""

    def show() -> "Finished | None":
        import yaml

        from workloads.catalog import every_preset, preset_named

        if name is not None:
            print(yaml.safe_dump(preset_named(name).tree(), sort_keys=False), end="")
            return None
        console = Console()
        for known, build in every_preset().items():
            console.print(known, style="bold", highlight=False)
            for line in (build.__doc__ or "").strip().splitlines():
                console.print(f"  {line.strip()}", highlight=False, soft_wrap=True)
        return None

    guarded(show, as_json=False)


@app.command()
def report(
    name: AblationName,
    sweep: Annotated[str | None, typer.Option(help="Beginning of a sweep's id; default: the latest sweep.")] = None,
    output: Annotated[Path | None, typer.Option(help="Write the files here and not into the storage.")] = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Table, figure beside the paper's, Markdown and JSON of an ablation."""

    def show() -> "Finished":
        from orchestrator.reporting import report_on

        return report_on(name, storage_at(storage), console_for(as_json), sweep=sweep, output=output)

    guarded(show, as_json=as_json)


@app.command()
def verdicts(
    names: Annotated[
        list[str] | None, typer.Argument(metavar="[NAME...]", help="Default: every ablation that was run.")
    ] = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Claim by claim: what was reproduced here, with what certainty."""

    def show() -> "Finished":
        from orchestrator.reporting import verdicts_on

        return verdicts_on(names or [], storage_at(storage), console_for(as_json))

    guarded(show, as_json=as_json)


@app.command()
def runs(storage: StorageUri = None, as_json: Json = False) -> None:
    """Every run in the storage, with its result."""

    def show() -> "Finished":
        from orchestrator.storage.runs import list_runs

        return list_runs(storage_at(storage), console_for(as_json))

    guarded(show, as_json=as_json)


@app.command()
def dashboard(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen.")] = 5000,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
) -> None:
    """MLflow's own pages on the database in the storage, until Ctrl-C."""

    def show() -> "Finished":
        from orchestrator.settings import read_settings
        from orchestrator.storage.runs import serve_dashboard

        settings = read_settings({"tracking_uri": tracking_uri, "storage": storage}, os.environ, Path.cwd())
        return serve_dashboard(settings, host, port, Console())

    guarded(show, as_json=False)


@app.command()
def doctor(
    address: Address = None, tracking_uri: TrackingUri = None, storage: StorageUri = None, as_json: Json = False
) -> None:
    """Check this machine, the storage, MLflow and Ray."""

    def show() -> "Finished":
        from orchestrator.doctor import examine
        from orchestrator.settings import read_settings

        flags = {"address": address, "tracking_uri": tracking_uri, "storage": storage}
        return examine(read_settings(flags, os.environ, Path.cwd()), console_for(as_json))

    guarded(show, as_json=as_json)
