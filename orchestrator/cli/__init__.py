"""The command line. Operations are flags; science is presets, spaces and `--set`. Heavy imports wait for the command."""

from orchestrator.cli import asking, clusters, data, judging, running
from orchestrator.cli.app import app

__all__ = ["app", "main"]

COMMANDS = asking, clusters, data, judging, running  # imported for the commands that they add


def main() -> None:
    """Run the command line and leave with its exit code."""
    app()
