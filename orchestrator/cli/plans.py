"""Commands for runs on machines without this program: write a plan down, take in what was run."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import (
    Assignments,
    Config,
    Download,
    Json,
    MaxSeeds,
    Only,
    OverAxes,
    OverClaims,
    OverMetric,
    OverName,
    Preset,
    Seeds,
    StorageUri,
    TrackingUri,
    Tuning,
    UntilDecided,
    Vary,
    console_for,
    guarded,
    refuse_seeds_apart,
    refuse_without_over,
)

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["import_", "plan"]


@app.command()
def plan(
    output: Annotated[
        Path, typer.Option("--output", "-o", metavar="FILE", help="Where the plan is written.")
    ],
    names: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="NAME...",
            help="Ablations, as `ablate` takes them; none is one run, as `pretrain` does it.",
        ),
    ] = None,
    only: Only = None,
    over: OverAxes = None,
    claims: OverClaims = None,
    metric: OverMetric = None,
    name: OverName = None,
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    seeds: Seeds = 1,
    until_decided: UntilDecided = False,
    max_seeds: MaxSeeds = None,
    tune: Tuning = "per-seed",
    vary: Vary = None,
    with_finished: Annotated[
        bool,
        typer.Option("--with-finished", help="Write runs, too, that have finished in the storage."),
    ] = False,
    download: Download = False,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Write down the runs that are missing, for `python -m workloads run` on any machine."""
    refuse_seeds_apart(until_decided=until_decided, max_seeds=max_seeds)
    refuse_without_over(over, claims, metric, name)
    given = {
        "--only": bool(only),
        "--seeds": seeds != 1,
        "--until-decided, --max-seeds": until_decided,
        "--tune": tune != "per-seed",
        "--vary": vary is not None,
    }
    of_ablations = [option for option, there in given.items() if there]
    if of_ablations and not (names or over):
        text = f"{', '.join(of_ablations)}: needs an ablation; without a name one run is planned"
        typer.echo(text, err=True)
        raise typer.Exit(2)

    def work() -> "Finished":
        from orchestrator.commands.over import over_of
        from orchestrator.commands.request import Request
        from orchestrator.commands.write_plan import write_plan

        request = Request(
            ablations=tuple(names or ()),
            only=tuple(only or ()),
            over=over_of(over, claims, metric, name),
            preset=preset,
            config=config,
            assignments=tuple(assignments or ()),
            seeds=seeds,
            max_seeds=max_seeds,
            tuning=tune,
            vary=vary,
            download=download,
            flags={"storage": storage},
        )
        return write_plan(request, output, with_finished=with_finished, out=console_for(as_json))

    guarded(work, as_json=as_json)


@app.command("import")
def import_(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="The --output of `python -m workloads run`.")
    ],
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Take in runs that were done elsewhere, as if run here, and report on complete sweeps."""

    def work() -> "Finished":
        from orchestrator.commands.import_runs import import_runs
        from orchestrator.settings import read_settings

        flags = {"tracking_uri": tracking_uri, "storage": storage}
        settings = read_settings(flags, os.environ, Path.cwd())
        return import_runs(folder, settings, console_for(as_json))

    guarded(work, as_json=as_json)
