"""The command line. Operations are flags; science is presets, spaces and `--set`. Heavy imports wait for the command."""

import json
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from search_spaces import ABLATIONS

if TYPE_CHECKING:
    from orchestrator.commands import Finished
    from orchestrator.request import Request

__all__ = ["app", "main"]

app = typer.Typer(
    name="simclr-orch",
    help="The ablations of the SimCLR paper as commands. Rerunning a command continues it.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)

Preset = Annotated[str, typer.Option(help="Base recipe; `simclr-orch presets` lists them.")]
Config = Annotated[Path | None, typer.Option(help="A whole specification as YAML, in place of a preset.")]
Assignments = Annotated[list[str] | None, typer.Option("--set", metavar="FIELD=VALUE", help="Set a field; may be repeated.")]
Workers = Annotated[int, typer.Option(help="Processes that share a cell; more than one use Ray Train.")]
Cpus = Annotated[int | None, typer.Option(help="CPUs of each worker; default: a fair share of the cluster.")]
Gpus = Annotated[float | None, typer.Option(help="GPUs of each worker, 0.25 for a quarter; default: 1 if there are any.")]
MaxFailures = Annotated[int, typer.Option(help="How often a cell's lost process is replaced.")]
Download = Annotated[bool, typer.Option("--download", help="Fetch a data set that is not in data.root yet.")]
LogModel = Annotated[bool, typer.Option("--log-model", help="Keep each encoder in MLflow, too.")]
Address = Annotated[str | None, typer.Option(help="Address of a running Ray; none starts a local one.")]
TrackingUri = Annotated[str | None, typer.Option(help="MLflow server; default: a database in the storage.")]
StorageUri = Annotated[str | None, typer.Option("--storage", help="Folder or URI for everything that is kept.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")]
AblationName = Annotated[str, typer.Argument(metavar="NAME", help="`simclr-orch spaces` lists them.")]


@app.command()
def spaces(as_json: Json = False) -> None:
    """The ablations: question, figure or table, cells and cost."""
    rows = [
        {
            "name": ablation.name,
            "source": ablation.source,
            "question": ablation.question,
            "cells_paper": len(ablation.paper.cells),
            "paper_tpu_core_hours": round(ablation.paper_tpu_hours),
            "cells_small": len(ablation.small.cells),
            "small_in_runs_of_the_preset": ablation.relative_cost("small"),
        }
        for ablation in ABLATIONS.values()
    ]
    if as_json:
        return _print_json(rows)
    table = Table("name", "source", "question", "cells, paper", "TPU v3 core-hours", "cells, small", "cost, small", box=None)
    for row in rows:
        table.add_row(
            str(row["name"]),
            str(row["source"]),
            str(row["question"]),
            str(row["cells_paper"]),
            f"{row['paper_tpu_core_hours']:,}",
            str(row["cells_small"]),
            f"{row['small_in_runs_of_the_preset']:g} x one run",
        )
    console = Console()
    console.print(table)
    console.print("Costs are of one seed. `simclr-orch ablate NAME --preset P --dry-run` estimates the time on your machine.")
    return None


@app.command()
def presets(name: Annotated[str | None, typer.Argument(help="Print this one as YAML for --config.")] = None) -> None:
    """The base recipes; with NAME, one of them as YAML."""

    def show() -> "Finished | None":
        import yaml

        from workloads.simclr.presets import PRESETS, preset

        if name is not None:
            print(yaml.safe_dump(preset(name).tree(), sort_keys=False), end="")
            return None
        console = Console()
        for known, build in PRESETS.items():
            console.print(known, style="bold", highlight=False)
            for line in (build.__doc__ or "").strip().splitlines():
                console.print(f"  {line.strip()}", highlight=False, soft_wrap=True)
        return None

    _guarded(show, as_json=False)


@app.command()
def pretrain(
    preset: Preset = "shapes",
    config: Config = None,
    assignments: Assignments = None,
    workers: Workers = 1,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    max_failures: MaxFailures = 2,
    download: Download = False,
    log_model: LogModel = False,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Pre-train one encoder and evaluate it."""
    from orchestrator.request import Request

    request = Request(
        ablation=None,
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        max_failures=max_failures,
        download=download,
        log_model=log_model,
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json)


@app.command()
def ablate(
    name: AblationName,
    preset: Preset = "shapes",
    config: Config = None,
    assignments: Assignments = None,
    seeds: Annotated[int, typer.Option(help="Runs of each cell, with seeds from the recipe's on.")] = 1,
    workers: Workers = 1,
    cpus_per_worker: Cpus = None,
    gpus_per_worker: Gpus = None,
    max_concurrent: Annotated[int | None, typer.Option(help="Cells at once; default: as many as fit.")] = None,
    max_failures: MaxFailures = 2,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the cells and their cost, and end.")] = False,
    download: Download = False,
    log_model: LogModel = False,
    address: Address = None,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Run the cells of an ablation that have not finished, and report."""
    from orchestrator.request import Request

    request = Request(
        ablation=name,
        preset=preset,
        config=config,
        assignments=tuple(assignments or ()),
        seeds=seeds,
        workers=workers,
        cpus_per_worker=cpus_per_worker,
        gpus_per_worker=gpus_per_worker,
        max_concurrent=max_concurrent,
        max_failures=max_failures,
        download=download,
        log_model=log_model,
        flags={"address": address, "tracking_uri": tracking_uri, "storage": storage},
    )
    _execute(request, as_json, only_plan=dry_run)


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
        from orchestrator.commands import report_on

        return report_on(name, _storage(storage), _console(as_json), sweep=sweep, output=output)

    _guarded(show, as_json=as_json)


@app.command()
def evaluate(
    run: Annotated[str, typer.Argument(metavar="RUN", help="Beginning of a fingerprint; `simclr-orch runs` lists them.")],
    protocol: Annotated[str, typer.Option(help="linear (L-BFGS), linear-sgd (the paper's) or knn.")] = "linear",
    assignments: Assignments = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Judge a pre-trained encoder again, by another protocol or with other settings."""

    def show() -> "Finished":
        from orchestrator.runs import evaluate_run

        return evaluate_run(run, protocol, tuple(assignments or ()), _storage(storage), _console(as_json))

    _guarded(show, as_json=as_json)


@app.command()
def runs(storage: StorageUri = None, as_json: Json = False) -> None:
    """Every run in the storage, with its result."""

    def show() -> "Finished":
        from orchestrator.runs import list_runs

        return list_runs(_storage(storage), _console(as_json))

    _guarded(show, as_json=as_json)


@app.command()
def dashboard(
    host: Annotated[str, typer.Option(help="Where to listen.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen.")] = 5000,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
) -> None:
    """MLflow's own pages on the database in the storage, until Ctrl-C."""

    def show() -> "Finished":
        from orchestrator.runs import serve_dashboard
        from orchestrator.settings import read_settings

        settings = read_settings({"tracking_uri": tracking_uri, "storage": storage}, os.environ, Path.cwd())
        return serve_dashboard(settings, host, port, Console())

    _guarded(show, as_json=False)


@app.command()
def doctor(
    address: Address = None, tracking_uri: TrackingUri = None, storage: StorageUri = None, as_json: Json = False
) -> None:
    """Check this machine, the storage, MLflow and Ray."""

    def show() -> "Finished":
        from orchestrator.doctor import examine
        from orchestrator.settings import read_settings

        flags = {"address": address, "tracking_uri": tracking_uri, "storage": storage}
        return examine(read_settings(flags, os.environ, Path.cwd()), _console(as_json))

    _guarded(show, as_json=as_json)


def main() -> None:
    """Run the command line and leave with its exit code."""
    app()


def _execute(request: "Request", as_json: bool, *, only_plan: bool = False) -> None:
    def work() -> "Finished":
        from orchestrator.commands import dry_run, execute
        from orchestrator.request import command_line

        out = _console(as_json)
        return dry_run(request, out) if only_plan else execute(request, out, command_line(sys.argv[1:]))

    _guarded(work, as_json=as_json)


def _storage(flag: str | None) -> Any:
    from orchestrator.settings import read_settings
    from orchestrator.storage import Storage

    return Storage(read_settings({"storage": flag}, os.environ, Path.cwd()).storage)


def _console(as_json: bool) -> Console:
    """Where people read results: stdout, or stderr when stdout is a document's."""
    return Console(stderr=as_json)


def _print_json(document: Any) -> None:
    print(json.dumps(document, indent=2, allow_nan=False))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """SIGTERM ends a command as Ctrl-C does: Tune stops its trials and returns, the rest raises KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:  # as a shell sets it for what runs in its background
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _guarded(work: Callable[[], "Finished | None"], *, as_json: bool) -> None:
    """Do the work; leave with 0 done, 1 something failed, 2 the request was wrong."""
    from orchestrator.errors import OrchestratorError
    from workloads.spec import SpecError

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        finished = work()
    except (OrchestratorError, SpecError) as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        from orchestrator.request import command_line

        typer.echo(f"interrupted; continue with: {command_line(sys.argv[1:])}", err=True)
        raise typer.Exit(1) from None
    if finished is not None:
        if as_json:
            _print_json(finished.document)
        raise typer.Exit(finished.exit_code)
