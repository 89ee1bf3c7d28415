"""The options that commands share, each with its help, and how every command ends."""

import json
import signal
import sys
import traceback
from collections.abc import Callable
from contextlib import nullcontext, redirect_stdout
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.console import Console

from orchestrator.commands.completion import ablation_names, field_names, preset_names
from orchestrator.commands.consoles import plain_console
from orchestrator.environment import is_debugging
from orchestrator.resources import Placement
from orchestrator.stages import over

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = [
    "AblationNames",
    "Address",
    "Assignments",
    "Code",
    "Config",
    "Cpus",
    "Download",
    "GpuType",
    "Gpus",
    "Json",
    "LogModel",
    "Logs",
    "MaxConcurrent",
    "MaxFailures",
    "MaxSeeds",
    "Notify",
    "On",
    "Only",
    "OverAxes",
    "OverClaims",
    "OverMetric",
    "OverName",
    "Placing",
    "Preset",
    "Seeds",
    "StorageUri",
    "TrackingUri",
    "Tuning",
    "UntilDecided",
    "Vary",
    "Workers",
    "console_for",
    "guarded",
    "print_json",
    "refuse_seeds_apart",
    "refuse_without_over",
]

Preset = Annotated[
    str | None,
    typer.Option(
        help="Base recipe; `simclr-orch presets` lists them. Default: shapes.",
        autocompletion=preset_names,
    ),
]
Config = Annotated[
    Path | None, typer.Option(help="A whole specification as YAML, in place of a preset.")
]
Assignments = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="FIELD=VALUE",
        help="Set a field; may be repeated.",
        autocompletion=field_names,
    ),
]
Workers = Annotated[
    int, typer.Option(help="Processes that share a cell; more than one use Ray Train.")
]
Cpus = Annotated[
    int | None, typer.Option(help="CPUs of each worker; default: a fair share of the cluster.")
]
Gpus = Annotated[
    float | None,
    typer.Option(help="GPUs of each worker, 0.25 for a quarter; default: 1 if there are any."),
]
GpuType = Annotated[
    str | None, typer.Option(help="Type of the GPUs, such as A100; default: any of the cluster.")
]
Placing = Annotated[
    Placement,
    typer.Option(
        "--placement",
        help="Workers of a cell together on a node, if they fit, or on different ones.",
    ),
]
MaxConcurrent = Annotated[int | None, typer.Option(help="Cells at once; default: as many as fit.")]
MaxFailures = Annotated[int, typer.Option(help="How often a cell's lost process is replaced.")]
Download = Annotated[
    bool, typer.Option("--download", help="Fetch a data set that is not in data.root yet.")
]
LogModel = Annotated[bool, typer.Option("--log-model", help="Keep each encoder in MLflow, too.")]
Logs = Annotated[
    list[str] | None,
    typer.Option(
        "--log",
        metavar="KIND[=WHERE]",
        help="Write the same records elsewhere, too: jsonl (=FILE), tensorboard (=FOLDER), wandb "
        "(=PROJECT); may be repeated. Default: below the storage.",
    ),
]
Address = Annotated[
    str | None, typer.Option(help="Address of a running Ray; none starts a local one.")
]
On = Annotated[
    str | None,
    typer.Option(
        metavar="FILE_OR_URL",
        help="Run as a job of this cluster: its file, or its job server, http://HOST:8265.",
    ),
]
Code = Annotated[
    str,
    typer.Option(
        help="With --on: ship this code to the cluster, or use that of its image (ship, image)."
    ),
]
TrackingUri = Annotated[
    str | None, typer.Option(help="MLflow server; default: a database in the storage.")
]
Seeds = Annotated[int, typer.Option(help="Runs of each cell, with seeds from the recipe's on.")]
UntilDecided = Annotated[
    bool,
    typer.Option(
        "--until-decided",
        help="Add seeds to the cells that undecided claims need, up to --max-seeds.",
    ),
]
MaxSeeds = Annotated[
    int | None,
    typer.Option(
        help="Most seeds of a cell, with --until-decided; lost ones are replaced, as long as "
        "they are no more than half as many."
    ),
]
Tuning = Annotated[
    str,
    typer.Option(
        "--tune",
        help="Tuned cells choose their setting anew for each seed (per-seed), or once for all, "
        "which is cheaper and makes verdicts too sure of themselves (once).",
    ),
]
Vary = Annotated[
    str | None,
    typer.Option(
        help="What each seed draws anew: seed (weights, order, views), subset (the labelled "
        "images), split (validation and training images); default: the ablation's, mostly seed."
    ),
]
StorageUri = Annotated[
    str | None,
    typer.Option(
        "--storage", help="Folder or URI for everything that is kept; default: simclr-orch-results."
    ),
]
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout and nothing else there.")
]
Notify = Annotated[
    str | None,
    typer.Option(
        metavar="URL",
        envvar="SIMCLR_ORCH_NOTIFY",
        help="POST a line there when it ends or fails, as Slack and Discord take it.",
    ),
]
Only = Annotated[
    list[str] | None,
    typer.Option(
        metavar="[AXIS=]LABELS",
        help="The part of the ablation at these labels of its axes: crop,color; may be repeated.",
    ),
]
OverAxes = Annotated[
    list[str] | None,
    typer.Option(
        "--over",
        metavar="FIELD=VALUES",
        help="An axis of a question of your own, 0.05,0.1,0.5 or 0.05..0.5:3; up to three times.",
    ),
]
OverClaims = Annotated[
    list[str] | None,
    typer.Option(
        "--claim",
        metavar="TEXT",
        help='With --over: what is to be judged, "0.1 > 0.5"; may be repeated.',
    ),
]
OverMetric = Annotated[
    str | None,
    typer.Option(
        "--metric", help="With --over: what cells are compared by; default: the workload's first."
    ),
]
OverName = Annotated[
    str | None,
    typer.Option("--name", help="With --over: the question's name; default: that of its fields."),
]
AblationNames = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="NAME...",
        help="`simclr-orch spaces` lists them; `all` is all of the paper, without extensions; "
        "PATH.yaml or PATH.py is a question of your own.",
        autocompletion=ablation_names,
    ),
]


def console_for(as_json: bool) -> Console:
    """Return where people read results: stdout, or stderr when stdout is a document's."""
    return plain_console(stderr=as_json)


def refuse_seeds_apart(*, until_decided: bool, max_seeds: int | None) -> None:
    """Leave with 2 where one of two options is given that belong together."""
    if until_decided != (max_seeds is not None):
        typer.echo(
            "--until-decided and --max-seeds: belong together, the second says where the first "
            "must end",
            err=True,
        )
        raise typer.Exit(2)


def refuse_without_over(
    over: list[str] | None, claims: list[str] | None, metric: str | None, name: str | None
) -> None:
    """Leave with 2 where options are given that belong to --over, and it is not."""
    given = {"--claim": claims, "--metric": metric, "--name": name}
    lone = [option for option, value in given.items() if value]
    if lone and not over:
        typer.echo(f"{', '.join(lone)}: needs --over, to which it belongs", err=True)
        raise typer.Exit(2)


def print_json(document: Any) -> None:
    """Print a document. Raises ValueError for infinite and undefined numbers: JSON has none."""
    print(json.dumps(document, indent=2, allow_nan=False))


def _interrupt(_number: int, _frame: FrameType | None) -> None:
    """Let SIGTERM end a command as Ctrl-C does.

    Tune then stops its trials and returns, the rest raises KeyboardInterrupt.
    """
    # as a shell sets it for what runs in its background
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        raise KeyboardInterrupt
    signal.raise_signal(signal.SIGINT)


def _say(text: str) -> None:
    """Tell an error, in which there may be names that a stranger has chosen."""
    from orchestrator.commands.consoles import spelled_out

    typer.echo(spelled_out(text), err=True)


def guarded(work: Callable[[], "Finished | None"], *, as_json: bool) -> None:
    """Do the work; leave with 0 done, 1 something failed, 2 the request was wrong.

    Tracebacks are shown to who asks for them.
    """
    from orchestrator.errors import OrchestratorError
    from workloads.spec import SpecError

    signal.signal(signal.SIGTERM, _interrupt)
    try:
        # Ray says on stdout that a process has died, where a document has to stay alone.
        with redirect_stdout(sys.stderr) if as_json else nullcontext():
            finished = work()
    except (OrchestratorError, SpecError) as error:
        over()
        if is_debugging():
            traceback.print_exc()
        _say(str(error))
        raise typer.Exit(2) from None
    except KeyboardInterrupt:
        over()
        from orchestrator.commands.request import command_line

        typer.echo(f"interrupted; continue with: {command_line(sys.argv[1:])}", err=True)
        raise typer.Exit(1) from None
    except Exception as error:
        over()
        if is_debugging():
            raise
        told = f"{type(error).__name__}: {error}".strip().removesuffix(":")
        _say(f"{told}\nthis is a fault of simclr-orch; --debug shows where")
        raise typer.Exit(1) from None

    over()
    if finished is not None:
        if as_json:
            print_json(finished.document)
        raise typer.Exit(finished.exit_code)
