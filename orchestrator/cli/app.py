"""The application that the modules of commands add theirs to."""

import typer

__all__ = ["app"]

app = typer.Typer(
    name="simclr-orch",
    help="The ablations of the SimCLR paper as commands. Rerunning a command continues it.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
