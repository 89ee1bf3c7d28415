"""Commands that tell what there is: ablations, presets, and whether everything is in order."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

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
from orchestrator.commands.completion import ablation_names, preset_names
from orchestrator.commands.consoles import plain_console

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["doctor", "fields", "parts", "presets", "spaces"]


@app.command()
def spaces(
    name: Annotated[
        str | None,
        typer.Argument(help="Show the axes and claims of this one.", autocompletion=ablation_names),
    ] = None,
    as_yaml: Annotated[
        bool, typer.Option("--yaml", help="Print NAME as a file that asks it, to be changed.")
    ] = False,
    scale: Annotated[
        str | None,
        typer.Option(
            metavar="SCALE", help="With --yaml: as at one scale, paper or small; default: both."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The ablations: question, figure or table, cells and cost; with NAME, one with its claims."""
    if (as_yaml and (name is None or as_json)) or (scale is not None and not as_yaml):
        text = "--yaml: takes a NAME and no --json; --scale belongs to it"
        typer.echo(text, err=True)
        raise typer.Exit(2)
    if name is not None:
        guarded(lambda: _one_space(name, as_json, as_yaml, scale), as_json=as_json)
        return

    from orchestrator.commands.about import list_spaces

    rows = list_spaces(None if as_json else plain_console())
    if as_json:
        print_json(rows)


def _one_space(name: str, as_json: bool, as_yaml: bool, scale: str | None) -> "Finished | None":
    from orchestrator.commands.one_space import describe_space, print_question

    if as_yaml:
        print_question(name, scale)
        return None
    return describe_space(name, console_for(as_json))


@app.command()
def presets(
    name: Annotated[
        str | None,
        typer.Argument(
            metavar="NAME",
            help="Print this one as YAML for --config, its fields explained.",
            autocompletion=preset_names,
        ),
    ] = None,
) -> None:
    """The base recipes; with NAME, one of them as YAML with the meaning of each field."""

    def show() -> None:
        from orchestrator.commands.about import list_presets

        list_presets(name, plain_console())

    guarded(show, as_json=False)


@app.command()
def fields(
    name: Annotated[
        str | None,
        typer.Argument(metavar="FIELD", help="Only this one, or those of a part: loss."),
    ] = None,
    as_json: Json = False,
) -> None:
    """What --set and --config take: each field with meaning, choices, default and presets."""

    def show() -> "Finished":
        from orchestrator.commands.fields import list_fields

        return list_fields(name, console_for(as_json))

    guarded(show, as_json=as_json)


@app.command()
def parts(
    name: Annotated[
        str | None, typer.Argument(help="Show this one, of --kind, as in my_net:PatchNet.")
    ] = None,
    kind: Annotated[
        str | None,
        typer.Option(
            help="encoders, losses, optimizers, datasets, operations or metrics.", metavar="KIND"
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """The parts of a run, built in and of others: where from, which version, what options."""

    def show() -> "Finished":
        from orchestrator.commands.parts import list_parts

        return list_parts(name, kind, console_for(as_json))

    guarded(show, as_json=as_json)


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
