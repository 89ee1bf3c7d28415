"""How a command ends."""

from dataclasses import dataclass
from typing import Any

__all__ = ["Finished"]


@dataclass(frozen=True)
class Finished:
    """The end of a command: its exit code, and what `--json` prints."""

    exit_code: int
    document: dict[str, Any]
