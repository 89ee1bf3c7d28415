"""The command line. Operations are flags; science is presets, spaces and `--set`.

Heavy imports wait for the command.
"""

import io
import os
import sys
from contextlib import nullcontext

from orchestrator.cli import (
    about,
    cluster,
    data,
    housekeeping,
    plans,
    report,
    runs,
    show,
    sweep,
    watch,
)
from orchestrator.cli.app import app, in_order_of_work
from orchestrator.cli.examples import EXAMPLES
from orchestrator.environment import DEBUGGING, prepare_environment
from orchestrator.stages import told

__all__ = ["app", "main"]

DEBUG = "--debug"
COMMANDS = (
    about,
    cluster,
    data,
    housekeeping,
    plans,
    report,
    runs,
    show,
    sweep,
    watch,
)  # imported for the commands that they add
in_order_of_work(app, EXAMPLES, "")


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
    if DEBUG in sys.argv:  # anywhere: people add it to the end of what they have just typed
        sys.argv.remove(DEBUG)
        os.environ[DEBUGGING] = "1"
    for stream in (sys.stdout, sys.stderr):  # a file's name may be no text in any encoding
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    words = sys.argv[1:]
    first = FIRST_WORDS.get(words[0]) if words and not {"--help", "-h"} & {*words} else None
    with told(first) if first else nullcontext():
        prepare_environment()
        app()
