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
    Logs,
    MaxConcurrent,
    MaxFailures,
    MaxSeeds,
    Notify,
    On,
    Only,
    OverAxes,
    OverClaims,
    OverMetric,
    OverName,
    Placing,
    Preset,
    Seeds,
    StorageUri,
    TrackingUri,
    Tuning,
    UntilDecided,
    Vary,
    Workers,
    console_for,
    guarded,
    refuse_seeds_apart,
    refuse_without_over,
)

if TYPE_CHECKING:
    from orchestrator.commands.request import Request
    from orchestrator.commands.result import Finished

__all__ = ["ablate", "pretrain", "tune"]


@app.command(context_settings={"allow_extra_args": True})
def pretrain(
    context: typer.Context,
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
    logs: Logs = None,
    address: Address = None,
    on: On = None,
    code: Code = "ship",
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    notify: Notify = None,
    as_json: Json = False,
) -> None:
    """Pre-train one encoder and evaluate it."""
    from orchestrator.commands.request import Request, refuse_words

    guarded(lambda: refuse_words("pretrain", context.args), as_json=as_json)
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
        logs=tuple(logs or ()),
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, on, code, notify)


@app.command()
def ablate(
    names: AblationNames = None,
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
    logs: Logs = None,
    address: Address = None,
    on: On = None,
    code: Code = "ship",
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    notify: Notify = None,
    as_json: Json = False,
) -> None:
    """Run the cells of one or several ablations that have not finished, and report."""
    from orchestrator.commands.over import over_of
    from orchestrator.commands.request import Request

    refuse_seeds_apart(until_decided=until_decided, max_seeds=max_seeds)
    refuse_without_over(over, claims, metric, name)
    if not names and not over:
        typer.echo("name an ablation (`simclr-orch spaces` lists them), or give --over", err=True)
        raise typer.Exit(2)
    request = Request(
        ablations=tuple(names or ()),
        over=over_of(over, claims, metric, name),
        only=tuple(only or ()),
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
        logs=tuple(logs or ()),
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, on, code, notify, only_plan=dry_run)


@app.command(context_settings={"allow_extra_args": True})
def tune(
    context: typer.Context,
    search: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=SPACE",
            help="A field and its choices, 0.1,0.2,0.5, or a range, 0.01..1 (uniform in the "
            "logarithm) or linear:0..1; may be repeated.",
        ),
    ],
    samples: Annotated[
        int,
        typer.Option(
            help="Settings that are tried; more of them continue the same search. A space of "
            "choices is taken whole if smaller."
        ),
    ] = 16,
    sampler: Annotated[
        str,
        typer.Option(help="What asks for settings: tpe or gp, which learn from scores, or random."),
    ] = "tpe",
    pruner: Annotated[
        str,
        typer.Option(help="asha: at each rung the better third trains on; none: all to the end."),
    ] = "asha",
    generation: Annotated[
        int,
        typer.Option(help="Settings asked at once: more of them run in parallel, and learn less."),
    ] = 4,
    preset: Preset = None,
    config: Config = None,
    assignments: Assignments = None,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    gpu_type: GpuType = None,
    max_concurrent: MaxConcurrent = None,
    max_failures: MaxFailures = 2,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print space, settings and cost, and end.")
    ] = False,
    download: Download = False,
    logs: Logs = None,
    address: Address = None,
    on: On = None,
    code: Code = "ship",
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    notify: Notify = None,
    as_json: Json = False,
) -> None:
    """Search for a good setting by the validation split: a sampler learns what to try next,
    and the less promising settings are stopped early. Interrupted, the same command continues it.
    """
    from orchestrator.commands.request import Request, refuse_words

    guarded(lambda: refuse_words("tune", context.args), as_json=as_json)
    request = Request(
        ablations=(),
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        search=tuple(search),
        samples=samples,
        sampler=sampler,
        pruner=pruner,
        generation=generation,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        gpu_type=gpu_type,
        max_concurrent=max_concurrent,
        max_failures=max_failures,
        download=download,
        logs=tuple(logs or ()),
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, on, code, notify, only_plan=dry_run)


def _execute(
    request: "Request",
    as_json: bool,
    on: str | None,
    code: str,
    notify: str | None,
    *,
    only_plan: bool = False,
) -> None:
    """Run a request here, or with `--on` as a Ray Job of a cluster."""

    def work() -> "Finished":
        if only_plan and notify is None:
            return run()
        from orchestrator.commands.notify import check_url, notified
        from orchestrator.commands.request import command_line

        if notify is not None:
            check_url(notify)
        if only_plan:
            return run()
        say = console_for(as_json=True).print
        return notified(notify, run, command_line(sys.argv[1:]), say)

    def run() -> "Finished":
        if on is not None:
            from orchestrator.commands.on_cluster import run_as_ray_job
            from orchestrator.commands.request import without_notify

            return run_as_ray_job(on, code, request, without_notify(sys.argv[1:]))
        from orchestrator.commands.on_each_recipe import on_each_recipe
        from orchestrator.commands.request import command_line

        out = console_for(as_json)

        def do(one: "Request") -> "Finished":
            if only_plan:
                from orchestrator.commands.dry_run import dry_run

                return dry_run(one, out)
            from orchestrator.commands.sweep import execute

            return execute(one, out, command_line(sys.argv[1:]))

        return on_each_recipe(request, do, out)

    guarded(work, as_json=as_json)
