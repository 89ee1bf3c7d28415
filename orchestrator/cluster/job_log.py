"""A document in the log of a Ray Job: written as marked lines, and taken out again as the log
arrives.
"""

import json
from collections.abc import Callable
from typing import Any

__all__ = ["MARK", "PIECE", "LogReader", "document_lines"]

MARK = "simclr-orch-document "
PIECE = 8000  # characters; the WebSockets that carry a log refuse messages of some megabytes


def document_lines(document: Any) -> list[str]:
    """A document as lines of a log."""
    text = json.dumps(document, allow_nan=False)
    return [MARK + text[start : start + PIECE] for start in range(0, len(text), PIECE)]


class LogReader:
    """Takes a log as it arrives, in pieces that end anywhere; lines for people go to `write`, those
    of a document are kept.
    """

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
