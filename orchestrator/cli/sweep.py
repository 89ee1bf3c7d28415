"""Commands that run: one encoder, the cells of ablations, a search."""

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import (
    AblationNames,
    Address,
    Assignments,
    Code,
    Config,
    Cpus,
    Download,
    Gpus,
    GpuType,
    Json,
    LogModel,
    MaxConcurrent,
    MaxFailures,
    On,
    Placing,
    Preset,
    StorageUri,
    TrackingUri,
    Workers,
    console_for,
    guarded,
)

if TYPE_CHECKING:
    from orchestrator.commands.request import Request
    from orchestrator.commands.result import Finished

__all__ = ["ablate", "pretrain", "tune"]


@app.command()
def pretrain(
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    workers: Workers = 1,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    gpu_type: GpuType = None,
    placement: Placing = "pack",
    max_failures: MaxFailures = 2,
    download: Download = False,
    log_model: LogModel = False,
    address: Address = None,
    on: On = None,
    code: Code = "ship",
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Pre-train one encoder and evaluate it."""
    from orchestrator.commands.request import Request

    request = Request(
        ablations=(),
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        gpu_type=gpu_type,
        placement=placement,
        max_failures=max_failures,
        download=download,
        log_model=log_model,
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, on, code)


@app.command()
def ablate(
    names: AblationNames,
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    seeds: Annotated[
        int, typer.Option(help="Runs of each cell, with seeds from the recipe's on.")
    ] = 1,
    until_decided: Annotated[
        bool,
        typer.Option(
            "--until-decided",
            help="Add seeds to the cells that undecided claims need, up to --max-seeds.",
        ),
    ] = False,
    max_seeds: Annotated[
        int | None,
        typer.Option(
            help="Most seeds of a cell, with --until-decided; lost ones are replaced, as long as "
            "they are no more than half as many."
        ),
    ] = None,
    tune: Annotated[
        str,
        typer.Option(
            "--tune",
            help="Tuned cells choose their setting anew for each seed (per-seed), or once for all, "
            "which is cheaper and makes verdicts too sure of themselves (once).",
        ),
    ] = "per-seed",
    vary: Annotated[
        str | None,
        typer.Option(
            help="What each seed draws anew: seed (weights, order, views), subset (the labelled "
            "images), split (validation and training images); default: the ablation's, mostly seed."
        ),
    ] = None,
    workers: Workers = 1,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    gpu_type: GpuType = None,
    placement: Placing = "pack",
    max_concurrent: MaxConcurrent = None,
    max_failures: MaxFailures = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the cells and their cost, and end.")
    ] = False,
    download: Download = False,
    log_model: LogModel = False,
    address: Address = None,
    on: On = None,
    code: Code = "ship",
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Run the cells of one or several ablations that have not finished, and report."""
    from orchestrator.commands.request import Request

    if until_decided != (max_seeds is not None):
        typer.echo(
            "--until-decided and --max-seeds: belong together, the second says where the first "
            "must end",
            err=True,
        )
        raise typer.Exit(2)
    request = Request(
        ablations=tuple(names),
        max_seeds=max_seeds,
        tuning=tune,
        vary=vary,
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        seeds=seeds,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        gpu_type=gpu_type,
        placement=placement,
        max_concurrent=max_concurrent,
        max_failures=max_failures,
        download=download,
        log_model=log_model,
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, on, code, only_plan=dry_run)


@app.command()
def tune(
    search: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=SPACE",
            help="A field and its choices, 0.1,0.2,0.5, or a range, 0.01..1; may be repeated.",
        ),
    ],
    samples: Annotated[
        int,
        typer.Option(
            help="Settings drawn from the space; a space of choices is taken whole if smaller."
        ),
    ] = 16,
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    gpu_type: GpuType = None,
    max_concurrent: MaxConcurrent = None,
    max_failures: MaxFailures = 2,
    download: Download = False,
    address: Address = None,
    on: On = None,
    code: Code = "ship",
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Search for a good setting with ASHA, which stops the less promising ones early. Judged on the
    validation split.
    """
    from orchestrator.commands.request import Request

    request = Request(
        ablations=(),
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        search=tuple(search),
        samples=samples,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        gpu_type=gpu_type,
        max_concurrent=max_concurrent,
        max_failures=max_failures,
        download=download,
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, on, code)


def _execute(
    request: "Request", as_json: bool, on: str | None, code: str, *, only_plan: bool = False
) -> None:
    """Run a request here, or with `--on` as a Ray Job of a cluster."""

    def work() -> "Finished":
        if on is not None:
            from orchestrator.commands.on_cluster import run_as_ray_job

            return run_as_ray_job(on, code, request, sys.argv[1:])
        from orchestrator.commands.dry_run import dry_run
        from orchestrator.commands.request import command_line
        from orchestrator.commands.sweep import execute

        out = console_for(as_json)
        return (
            dry_run(request, out)
            if only_plan
            else execute(request, out, command_line(sys.argv[1:]))
        )

    guarded(work, as_json=as_json)
