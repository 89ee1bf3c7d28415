"""What a Ray Job runs: `python -m orchestrator.cli.in_job TYPED ARGUMENTS...`.

TYPED is the command as a person typed it elsewhere, ARGUMENTS is what it means here. It has one
log for all it says, and the log is all of it that whoever follows is sure to reach: the document of
`--json` goes there, too, as marked lines short enough for every buffer on the way.
"""

import io
import json
import shlex
import signal
import sys
from contextlib import redirect_stdout

from orchestrator.environment import prepare_environment

__all__ = ["main"]


def main(typed: str, arguments: list[str]) -> int:
    """Run a command and return its exit code."""
    from orchestrator.cli import app
    from orchestrator.commands.on_cluster import print_to_log

    prepare_environment()
    # Ray blocks it in all that it starts, and it is how Tune is asked to stop its trials.
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    sys.argv = shlex.split(typed)  # what is kept and shown as the command that continues this one

    code: object = 0
    with redirect_stdout(io.StringIO()) as out:
        try:
            app(arguments)
        except SystemExit as end:
            code = end.code or 0

    if out.getvalue():
        print_to_log(json.loads(out.getvalue()))
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
