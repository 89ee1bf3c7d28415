"""Commands that look: what can be asked, what was found, what runs and services there are."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from orchestrator.cli.app import app
from orchestrator.cli.options import (
    Address,
    Json,
    StorageUri,
    TrackingUri,
    console_for,
    guarded,
    print_json,
)
from search_spaces import Ablation, every_ablation

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["doctor", "presets", "spaces"]


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
        for ablation in every_ablation().values()
    ]
    if as_json:
        return print_json(rows)
    console = Console()
    for row in rows:
        source = "extension, not in the paper" if row["extension"] else row["source"]
        console.print(f"[bold]{row['name']}[/bold]  {source}", highlight=False)
        console.print(f"  {row['question']}", highlight=False)
        console.print(
            f"  {row['cells_small']} cells on a small preset "
            f"({row['small_in_runs_of_the_preset']:g} x one run); "
            f"{row['cells_paper']} at the paper's scale{_tpu_hours(row['paper_tpu_core_hours'])}; "
            f"{row['claims']} claims",
            style="dim",
            highlight=False,
        )
    console.print(
        "Costs are of one seed. `simclr-orch ablate NAME --preset P --dry-run` estimates the "
        "time on your machine."
    )
    return None


def _on_tpus(ablation: Ablation) -> bool:
    return ablation.is_of_imagenet


def _tpu_hours(hours: int | None) -> str:
    """What the paper's runs cost there, where it says what one costs."""
    return f" ({hours:,} TPU v3 core-hours)" if hours is not None else ""


@app.command()
def presets(
    name: Annotated[str | None, typer.Argument(help="Print this one as YAML for --config.")] = None,
) -> None:
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
def doctor(
    address: Address = None,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Check this machine, the storage, MLflow and Ray."""

    def show() -> "Finished":
        from orchestrator.commands.doctor import examine
        from orchestrator.settings import read_settings

        flags = {"address": address, "tracking_uri": tracking_uri, "storage": storage}
        return examine(read_settings(flags, os.environ, Path.cwd()), console_for(as_json))

    guarded(show, as_json=as_json)
