"""The application that the modules of commands add theirs to."""

import inspect
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from typing import Annotated

import typer
from typer.models import CommandInfo, TyperInfo

from orchestrator.cli.examples import FIRST_SCREEN

__all__ = ["app", "in_order_of_work"]

app = typer.Typer(
    name="simclr-orch",
    help="The ablations of the SimCLR paper as commands. Rerunning a command continues it.",
    context_settings={"help_option_names": ["-h", "--help"]},
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _version(*, wanted: bool) -> None:
    if wanted:
        typer.echo(f"simclr-orch {version('simclr-orch')}")
        raise typer.Exit(0)


@app.callback(invoke_without_command=True)
def _whole(
    context: typer.Context,
    is_version: Annotated[
        bool,
        typer.Option(
            "--version",
            callback=lambda wanted: _version(wanted=wanted),
            is_eager=True,
            help="Print the version and end.",
        ),
    ] = False,
    debug: Annotated[
        bool,
        typer.Option(
            "--debug",
            help="Show the traceback of what goes wrong; may stand anywhere in the command.",
        ),
    ] = False,
) -> None:
    """Begin: `--debug` is read before, wherever it stands."""
    del is_version, debug
    if context.invoked_subcommand is None:
        typer.echo(FIRST_SCREEN)


def in_order_of_work(whole: typer.Typer, examples: Mapping[str, Sequence[str]], of: str) -> None:
    """Put commands into the order of the examples, each with these and its whole first sentence.

    `of` are the words before the names of a group's commands.
    """
    places = {name: place for place, name in enumerate(examples)}
    whole.registered_commands.sort(key=lambda one: places.get(of + _name(one), len(places)))
    whole.registered_groups.sort(
        key=lambda one: places.get(_name(one.typer_instance.info) if one.typer_instance else "", 0)
    )
    for command in whole.registered_commands:
        command.epilog = _shown(examples.get(of + _name(command), ()))
        text = command.help or inspect.getdoc(command.callback) or ""
        command.short_help = " ".join(text.partition("\n\n")[0].split()).partition(". ")[0]
    for group in whole.registered_groups:
        if group.typer_instance is not None:
            inner = group.typer_instance
            inner.info.short_help = str(inner.info.help)
            inner.info.epilog = _shown(examples.get(_name(inner.info), ()))
            in_order_of_work(inner, examples, f"{_name(inner.info)} ")


def _name(one: CommandInfo | TyperInfo) -> str:
    if isinstance(one.name, str):
        return one.name
    return (one.callback.__name__ if one.callback else "").replace("_", "-")


def _shown(examples: Sequence[str]) -> str | None:
    lines = [f"  simclr-orch {one}" for one in examples]
    return "\n".join(["\b", "Examples:", *lines]) if lines else None
