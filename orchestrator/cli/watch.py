"""Commands about a sweep that runs elsewhere: watch it, and stop it."""

from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import Json, StorageUri, console_for, guarded

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["stop", "watch"]

SweepId = Annotated[
    str | None,
    typer.Option(metavar="ID", help="Beginning of the sweep's id, where several have the name."),
]


@app.command()
def watch(
    name: Annotated[
        str | None,
        typer.Argument(metavar="NAME", help="The ablation, tune or pretrain; default: what runs."),
    ] = None,
    sweep: SweepId = None,
    once: Annotated[bool, typer.Option("--once", help="Show it as it is now, and end.")] = False,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Show a sweep that runs in another terminal or on another machine, until it ends."""

    def work() -> "Finished":
        from orchestrator.commands.stores import storage_at
        from orchestrator.commands.watch import watch as show

        return show(name, storage_at(storage), console_for(as_json), sweep=sweep, once=once)

    guarded(work, as_json=as_json)


@app.command()
def stop(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The ablation, tune or pretrain.")],
    cells: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="CELL...",
            help='Cells by their labels, "crop · blur · seed 0", or by the beginning of a '
            "fingerprint; without any the whole sweep ends.",
        ),
    ] = None,
    sweep: SweepId = None,
    storage: StorageUri = None,
    as_json: Json = False,
) -> None:
    """Stop a running sweep or cells of it, with a checkpoint; the sweep's command goes on later."""

    def work() -> "Finished":
        from orchestrator.commands.stop import stop as ask
        from orchestrator.commands.stores import storage_at

        return ask(name, cells or (), storage_at(storage), console_for(as_json), sweep=sweep)

    guarded(work, as_json=as_json)
