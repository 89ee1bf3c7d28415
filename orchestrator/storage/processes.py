"""A process, as other machines and later processes know it."""

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Self
from uuid import getnode

__all__ = ["Process"]


@dataclass(frozen=True)
class Process:
    """A process: its host for people, its machine since when that was booted, id and start.

    Containers of one machine are several: they do not see each other's processes. `started` is
    empty where the system does not tell.
    """

    host: str
    machine: str
    pid: int
    started: str

    @classmethod
    def this(cls) -> Self:
        """Return this one."""
        return cls(socket.gethostname(), _machine(), os.getpid(), _started(os.getpid()) or "")

    def lives_here(self) -> bool | None:
        """Tell whether the process exists, None where it is another machine's."""
        if self.machine != _machine():
            return None
        try:
            os.kill(self.pid, 0)
        except ProcessLookupError:
            return False
        except PermissionError:
            pass  # another user's
        started = _started(self.pid)
        return started is not None and started in (self.started, "")


@cache
def _machine() -> str:
    try:
        boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {Path('/proc/self/ns/pid').readlink()}"
    except OSError:
        return f"{socket.gethostname()} {getnode():x}"


def _started(pid: int) -> str | None:
    """When a process has started, in ticks since the boot; None for one that has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None if Path("/proc/self/stat").exists() else ""
    return None if fields[0] in ("Z", "X") else fields[19]
