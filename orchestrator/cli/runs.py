"""Commands about what was trained: evaluate, compare and export it, and embed images by it."""

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
    StorageUri,
    TrackingUri,
    console_for,
    guarded,
)
from orchestrator.commands.consoles import plain_console

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["compare", "dashboard", "embed", "evaluate", "export", "runs"]

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN", help="Beginning of a fingerprint; `simclr-orch runs` lists them."
    ),
]

WeightsPrefix = Annotated[
    str | None,
    typer.Option(
        metavar="NAMES",
        help="Of weights with several encoders: what stands before the names of the one meant, "
        "such as module.encoder_q.",
    ),
]
WeightsIgnore = Annotated[
    list[str] | None,
    typer.Option(
        metavar="NAMES",
        help="How names begin in weights that are not needed, beside heads; repeatable.",
    ),
]


@app.command()
def evaluate(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN",
            help="Beginning of a fingerprint (`simclr-orch runs` lists them), a file of weights, "
            "or torchvision:NAME.",
        ),
    ],
    protocol: Annotated[
        str,
        typer.Option(
            help="linear (L-BFGS), linear-sgd (the paper's), knn, finetune, transfer, "
            "transfer-finetune, probe or inspect."
        ),
    ] = "linear",
    preset: Annotated[
        str | None,
        typer.Option(help="Of weights from elsewhere: their encoder and the data to use."),
    ] = None,
    config: Config = None,
    assignments: Assignments = None,
    weights_prefix: WeightsPrefix = None,
    weights_ignore: WeightsIgnore = None,
    download: Download = False,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Evaluate a pre-trained encoder again, by another protocol or with other settings."""

    def work() -> "Finished":
        from orchestrator.commands.evaluate import Question
        from orchestrator.commands.evaluate import evaluate as evaluated
        from orchestrator.commands.stores import stores_at

        question = Question(
            run,
            protocol,
            tuple(assignments or ()),
            preset,
            config,
            download,
            weights_prefix,
            tuple(weights_ignore or ()),
        )
        return evaluated(question, *stores_at(storage, tracking_uri), console_for(as_json))

    guarded(work, as_json=as_json)


@app.command()
def compare(
    one: Annotated[
        str,
        typer.Argument(
            metavar="RUN[,RUN...]",
            help="Beginning of a fingerprint; `simclr-orch runs` lists them. Or those of a cell's "
            "seeds, with commas between.",
        ),
    ],
    other: Annotated[
        str,
        typer.Argument(
            metavar="RUN[,RUN...]", help="The run to compare it with, or those of equal seeds."
        ),
    ],
    result: Annotated[
        str | None,
        typer.Option(help="Name of a result, such as linear_top1; default: all that both have."),
    ] = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Whether two runs, or two cells of several seeds, differ on the same test images: a paired
    test of their predictions.
    """

    def show() -> "Finished":
        from orchestrator.commands.compare import compare_runs
        from orchestrator.commands.compare_seeds import compare_seeds
        from orchestrator.commands.stores import storage_at

        there, console = storage_at(storage), console_for(as_json)
        if "," in one + other:
            return compare_seeds(one.split(","), other.split(","), result, there, console)
        return compare_runs(one, other, result, there, console)

    guarded(show, as_json=as_json)


@app.command()
def export(
    run: Run,
    to: Annotated[
        str, typer.Option("--format", help="torchvision, timm, safetensors or onnx.")
    ] = "safetensors",
    output: Annotated[
        Path | None, typer.Option(help="Folder to write; default: RUN-FORMAT here.")
    ] = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Write a run's encoder for use elsewhere, with a model card."""

    def write() -> "Finished":
        from orchestrator.commands.export import export_run
        from orchestrator.commands.stores import storage_at

        folder = output or Path(f"{run}-{to}")
        return export_run(run, to, folder, storage_at(storage), console_for(as_json))

    guarded(write, as_json=as_json)


@app.command()
def embed(
    run: Annotated[
        str,
        typer.Argument(
            metavar="RUN_OR_WEIGHTS",
            help="Beginning of a fingerprint (`simclr-orch runs` lists them), a file of weights, "
            "or torchvision:NAME.",
        ),
    ],
    folder: Annotated[
        str, typer.Argument(metavar="FOLDER", help="Images at any depth, without labels.")
    ],
    output: Annotated[
        Path,
        typer.Option("--output", "-o", help="File to write: .parquet, .csv or .npz."),
    ],
    projection: Annotated[
        bool, typer.Option("--projection", help="z of the projection head in place of h.")
    ] = False,
    preset: Annotated[
        str | None, typer.Option(help="Of weights from elsewhere: their encoder.")
    ] = None,
    config: Config = None,
    assignments: Assignments = None,
    weights_prefix: WeightsPrefix = None,
    weights_ignore: WeightsIgnore = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Features of one's own images by an encoder, a row an image, as a file."""

    def work() -> "Finished":
        from orchestrator.commands.embed import EmbedRequest
        from orchestrator.commands.embed import embed as embedded
        from orchestrator.commands.stores import storage_at

        request = EmbedRequest(
            run,
            folder,
            output,
            projection,
            tuple(assignments or ()),
            preset,
            config,
            weights_prefix,
            tuple(weights_ignore or ()),
        )
        return embedded(request, storage_at(storage), console_for(as_json))

    guarded(work, as_json=as_json)


@app.command()
def runs(
    where: Annotated[
        str | None,
        typer.Option(
            metavar="EXPRESSION",
            help='Only runs of which this is true: "loss.temperature < 0.5 and status == finished".'
            " Fields of the specification, metrics, status, seed, ablation, preset and others; "
            "docs/runs.md has the language.",
        ),
    ] = None,
    sort: Annotated[
        str | None,
        typer.Option(
            metavar="FIELDS",
            help="Order: metrics begin with the best, other fields with the smallest; FIELD:asc "
            "or FIELD:desc says otherwise.",
        ),
    ] = None,
    columns: Annotated[
        str | None,
        typer.Option(
            metavar="FIELDS", help="Columns, with commas between; default: what differs, results."
        ),
    ] = None,
    top: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Only the first N, once sorted.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print CSV with all fields.")] = False,
    parquet: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Write a Parquet file with all fields.")
    ] = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Runs in the storage, with what they differ in and their results."""

    def show() -> "Finished":
        from orchestrator.commands.runs import RunsQuestion, list_runs
        from orchestrator.commands.stores import results_at

        question = RunsQuestion(where, sort, columns, top, as_csv, as_json, parquet)
        return list_runs(question, results_at(storage), console_for(as_json))

    guarded(show, as_json=as_json)


@app.command()
def dashboard(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME", help="An ablation, `tune` or `pretrain`: opens on its answer."
        ),
    ] = None,
    host: Annotated[
        str, typer.Option(help="Where to listen; 0.0.0.0 lets other machines in.")
    ] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Where to listen.")] = 5000,
    allowed_hosts: Annotated[
        list[str] | None,
        typer.Option(
            "--allowed-host",
            help="A further name by which browsers may ask for the pages, such as a proxy's.",
        ),
    ] = None,
    tracking_uri: TrackingUri = None,
    storage: StorageUri = None,
) -> None:
    """MLflow's own pages on the database in the storage, until Ctrl-C."""

    def show() -> "Finished":
        from orchestrator.commands.runs import serve_dashboard
        from orchestrator.settings import read_settings

        settings = read_settings(
            {"tracking_uri": tracking_uri, "storage": storage}, os.environ, Path.cwd()
        )
        return serve_dashboard(settings, host, port, allowed_hosts or [], plain_console(), name)

    guarded(show, as_json=False)
