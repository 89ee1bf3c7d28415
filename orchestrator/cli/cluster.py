"""Commands about clusters: bring one up and down, see what it does, follow and stop Ray Jobs."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from orchestrator.cli.app import app
from orchestrator.cli.options import Json, console_for, guarded
from orchestrator.commands.consoles import plain_console

if TYPE_CHECKING:
    from orchestrator.commands.result import Finished

__all__ = ["attach", "dashboard", "down", "jobs", "logs", "status", "stop", "up"]

cluster = typer.Typer(
    name="cluster",
    help="A cluster by its file for Ray's launcher, and the jobs that `--on` submits to it.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(cluster)

FILE = "cluster.yaml"
File = Annotated[Path, typer.Argument(metavar="FILE", help="A file for Ray's cluster launcher.")]
Cluster = Annotated[
    str,
    typer.Argument(
        metavar="FILE_OR_URL", help="A cluster's file, or its job server: http://HOST:8265."
    ),
]
On = Annotated[
    str,
    typer.Option(
        "--on", metavar="FILE_OR_URL", help="A cluster's file, or its job server: http://HOST:8265."
    ),
]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Name = Annotated[str, typer.Argument(metavar="JOB", help="`simclr-orch cluster jobs` lists them.")]


@cluster.command()
def up(
    file: File = Path(FILE),
    restart: Annotated[
        bool,
        typer.Option(
            "--restart", help="Restart Ray on a head that is up, which ends what runs there."
        ),
    ] = False,
    yes: Yes = False,
) -> None:
    """Bring a cluster up, or bring one that is up in line with its file. Every problem of the file
    is said first.
    """
    options = ([] if restart else ["--no-restart"]) + (["--yes"] if yes else [])
    _launched("up", file, *options)


@cluster.command()
def down(file: File = Path(FILE), yes: Yes = False) -> None:
    """End a cluster: its jobs, its nodes and their cost."""
    if not yes and not typer.confirm(
        f"End the cluster of {file} and everything that runs on it?", err=True
    ):
        typer.echo("nothing was done", err=True)
        raise typer.Exit(1)
    _launched("down", file, "--yes")


@cluster.command()
def attach(file: File = Path(FILE)) -> None:
    """A shell on the cluster's head."""
    _launched("attach", file)


@cluster.command()
def dashboard(
    file: File = Path(FILE),
    port: Annotated[int, typer.Option(help="Where to listen on this machine.")] = 8265,
) -> None:
    """Ray's own pages and job server of a cluster's head, on this machine until Ctrl-C."""

    def show() -> "Finished":
        from orchestrator.commands.cluster import show_dashboard

        return show_dashboard(file, port, plain_console())

    guarded(show, as_json=False)


@cluster.command()
def status(on: Cluster = FILE, as_json: Json = False) -> None:
    """Nodes, what is in use, what waits for resources, and the jobs that run."""

    def show() -> "Finished":
        from orchestrator.commands.cluster import show_status

        return show_status(on, console_for(as_json))

    guarded(show, as_json=as_json)


@cluster.command()
def jobs(on: Cluster = FILE, as_json: Json = False) -> None:
    """The jobs that the cluster remembers, with the commands that continue them."""

    def show() -> "Finished":
        from orchestrator.commands.cluster import list_jobs

        return list_jobs(on, console_for(as_json))

    guarded(show, as_json=as_json)


@cluster.command()
def logs(
    name: Name,
    on: On = FILE,
    follow: Annotated[
        bool,
        typer.Option(
            "--follow", help="Go on until the job ends, or Ctrl-C, which leaves it running."
        ),
    ] = False,
) -> None:
    """What a job has said."""

    def show() -> "Finished":
        from orchestrator.commands.cluster import show_log

        return show_log(name, on, plain_console(), follow=follow)

    guarded(show, as_json=False)


@cluster.command()
def stop(name: Name, on: On = FILE, as_json: Json = False) -> None:
    """End a job as Ctrl-C would: its cells keep their checkpoints, and the same command continues
    it.
    """

    def show() -> "Finished":
        from orchestrator.commands.cluster import stop_job

        return stop_job(name, on, console_for(as_json))

    guarded(show, as_json=as_json)


def _launched(verb: str, file: Path, *options: str) -> None:
    """Run a command of Ray's launcher."""

    def run() -> "Finished":
        from orchestrator.commands.cluster import launched

        return launched(verb, file, *options)

    guarded(run, as_json=False)
