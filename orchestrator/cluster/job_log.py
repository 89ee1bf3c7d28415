"""A document in the log of a Ray Job: marked lines, taken out again as the log arrives."""

import json
from collections.abc import Callable
from typing import Any

__all__ = ["MARK", "PIECE", "LogReader", "document_lines"]

MARK = "simclr-orch-document "
PIECE = 8000  # characters; the WebSockets that carry a log refuse messages of some megabytes


def document_lines(document: Any) -> list[str]:
    """Return a document as lines of a log."""
    text = json.dumps(document, allow_nan=False)
    return [MARK + text[start : start + PIECE] for start in range(0, len(text), PIECE)]


class LogReader:
    """A log as it arrives, in pieces that end anywhere.

    Lines for people go to `write`, those of a document are kept.
    """

    def __init__(self, write: Callable[[str], object]) -> None:
        self._write, self._rest, self._pieces = write, "", list[str]()

    def feed(self, text: str) -> None:
        """Take the next piece, and hand on the lines that it ends."""
        *lines, self._rest = (self._rest + text).split("\n")
        for line in lines:
            self._take(line)

    def close(self) -> None:
        """Take the last line, which no newline may have ended."""
        if self._rest:
            self._take(self._rest)
        self._rest = ""

    @property
    def document(self) -> dict[str, Any] | None:
        """Return the document; None where the log has none, or not all of it."""
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
