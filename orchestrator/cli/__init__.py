"""The command line. Operations are flags; science is presets, spaces and `--set`.

Heavy imports wait for the command.
"""

import sys
from contextlib import nullcontext

from orchestrator.cli import about, cluster, data, plans, report, runs, show, sweep, watch
from orchestrator.cli.app import app
from orchestrator.environment import prepare_environment
from orchestrator.stages import told

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
    watch,
)  # imported for the commands that they add


# What is said at once of a command that takes seconds, before it imports what it needs.
FIRST_WORDS = {
    "ablate": "checking the request",
    "dashboard": "starting MLflow",
    "evaluate": "checking the request",
    "pretrain": "checking the request",
    "report": "reading the runs",
    "tune": "checking the request",
    "verdicts": "reading the runs",
}


def main() -> None:
    """Run the command line and leave with its exit code."""
    words = sys.argv[1:]
    first = FIRST_WORDS.get(words[0]) if words and not {"--help", "-h"} & {*words} else None
    with told(first) if first else nullcontext():
        prepare_environment()
        app()
