"""Commands about data sets: write a folder of images as shards, and check shards."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import Json, console_for, guarded
from workloads.cpus import usable_cpus

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["shard", "verify"]

data = typer.Typer(
    name="data",
    help="Data sets in shards.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(data)

Threads = Annotated[int, typer.Option("--workers", help="Threads that read and write.")]
Decode = Annotated[
    bool, typer.Option("--decode", help="Decode every image, and do not look at headers only.")
]
WORKERS = min(usable_cpus(), 8)


@data.command()
def shard(
    folder: Annotated[
        Path,
        typer.Argument(metavar="FOLDER", help="Images as train/CLASS/* and test/CLASS/* (or val)."),
    ],
    output: Annotated[
        Path,
        typer.Argument(metavar="OUTPUT", help="Where train/, test/ and manifest.json are written."),
    ],
    images_per_shard: Annotated[
        int, typer.Option(help="Images of each file; the last one has the rest.")
    ] = 2000,
    to: Annotated[str, typer.Option("--format", help="tar (WebDataset) or parquet.")] = "tar",
    decode: Decode = False,
    workers: Threads = WORKERS,
    as_json: Json = False,
) -> None:
    """Write an image folder as shards for data.name=shards, and check them. Rerunning it continues
    it.
    """

    def write() -> "Finished":
        from orchestrator.commands.data import write_and_check

        return write_and_check(
            folder,
            output.resolve(),
            images_per_shard=images_per_shard,
            format=to,
            workers=workers,
            decodes=decode,
            console=console_for(as_json),
        )

    guarded(write, as_json=as_json)


@data.command()
def verify(
    shards: Annotated[
        Path, typer.Argument(metavar="SHARDS", help="What `simclr-orch data shard` wrote.")
    ],
    decode: Decode = False,
    workers: Threads = WORKERS,
    as_json: Json = False,
) -> None:
    """Check shards against their manifest: every file's bytes and number of images, and whether
    they can be read.
    """

    def check() -> "Finished":
        from orchestrator.commands.data import check_output

        return check_output(
            shards.resolve(), workers=workers, decodes=decode, console=console_for(as_json)
        )

    guarded(check, as_json=as_json)
