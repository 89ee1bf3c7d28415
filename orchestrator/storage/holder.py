"""The owner of a run or a sweep, as its lease tells of it."""

from dataclasses import dataclass
from datetime import datetime

from orchestrator.storage.processes import Process

__all__ = ["Holder", "living_here"]

living_here: set[str] = set()  # the tokens of this process's leases that were not left


@dataclass(frozen=True)
class Holder:
    """The owner of a name: its process, since when, and until when it has said to be alive.

    Times are in UTC, by its own clock. `group` is one for all processes of a command.
    """

    process: Process
    token: str
    since: datetime
    until: datetime
    group: str = ""

    @property
    def host(self) -> str:
        """The name of its machine."""
        return self.process.host

    @property
    def pid(self) -> int:
        """The id of its process there."""
        return self.process.pid

    def lives_here(self) -> bool | None:
        """Tell whether it lives, None on another machine; not what this process has left behind."""
        lives = self.process.lives_here()
        return self.token in living_here if lives and self.process == Process.this() else lives

    def __str__(self) -> str:
        return f"process {self.pid} on {self.host} since {self.since:%Y-%m-%d %H:%M} UTC"
