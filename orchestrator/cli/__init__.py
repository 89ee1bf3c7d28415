"""The command line. Operations are flags; science is presets, spaces and `--set`.

Heavy imports wait for the command.
"""

from orchestrator.cli import about, cluster, data, plans, report, runs, show, sweep
from orchestrator.cli.app import app
from orchestrator.environment import prepare_environment

__all__ = ["app", "main"]

COMMANDS = (
    about,
    cluster,
    data,
    plans,
    report,
    runs,
    show,
    sweep,
)  # imported for the commands that they add


def main() -> None:
    """Run the command line and leave with its exit code."""
    prepare_environment()
    app()
