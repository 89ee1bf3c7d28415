"""How a command ends."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Finished"]


@dataclass(frozen=True)
class Finished:
    """The end of a command: its exit code, and what `--json` prints.

    `error` is what has ended it, where that was told and not raised.
    """

    exit_code: int
    document: dict[str, Any]
    error: Exception | None = None
