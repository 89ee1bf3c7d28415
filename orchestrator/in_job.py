"""What a Ray Job runs: `python -m orchestrator.in_job TYPED ARGUMENTS...`.

TYPED is the command as a person typed it elsewhere, ARGUMENTS is what it means here. A job has one log for all it says,
and the log is all of it that whoever follows is sure to reach: the document of `--json` goes there, too, as marked lines
short enough for every buffer on the way.
"""

import io
import json
import shlex
import signal
import sys
from collections.abc import Callable
from contextlib import redirect_stdout
from typing import Any

__all__ = ["LogReader", "document_lines", "main"]

MARK = "simclr-orch-document "
PIECE = 8000  # characters; the WebSockets that carry a log refuse messages of some megabytes


def document_lines(document: Any) -> list[str]:
    """A document as lines of a log."""
    text = json.dumps(document, allow_nan=False)
    return [MARK + text[start : start + PIECE] for start in range(0, len(text), PIECE)]


class LogReader:
    """Takes a log as it arrives, in pieces that end anywhere; lines for people go to `write`, those of a document are kept."""

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._rest, self._pieces = write, "", list[str]()

    def feed(self, text: str) -> None:
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """The last line, when no newline ended it."""
        if self._rest:
            self._take(self._rest)
        self._rest = ""

    @property
    def document(self) -> dict[str, Any] | None:
        """None when the log has none, or not all of it."""
        try:
            found = json.loads("".join(self._pieces))
        except ValueError:
            return None
        return found if isinstance(found, dict) else None

    def _take(self, line: str) -> None:
        if line.startswith(MARK):
            self._pieces.append(line.removeprefix(MARK))
        else:
            self._write(line + "\n")


def main(typed: str, arguments: list[str]) -> int:
    """Run a command; its exit code."""
    from orchestrator.cli import app

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
        print("\n".join(document_lines(json.loads(out.getvalue()))), flush=True)
    return code if isinstance(code, int) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], sys.argv[2:]))
