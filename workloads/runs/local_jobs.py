"""Runs of a folder of this machine as they are handed to a process: one, or several together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.checkpoint import decode, encode
from workloads.local_files import write_whole
from workloads.runs.folder import LocalRun, read_local
from workloads.runs.pack import PackOfRuns
from workloads.workload import State

__all__ = ["LocalJob", "LocalPack"]


@dataclass(frozen=True)
class LocalJob:
    """A run whose files lie below `root`; plain data, so that it travels to a process."""

    name: str
    workload: str
    fingerprint: str
    spec: dict[str, Any]
    root: Path
    trained_by: str | None = None
    scored: bool = False
    until: int | None = None

    @property
    def run_folder(self) -> LocalRun:
        """The folder of the run."""
        return LocalRun(self.root, self.fingerprint)


@dataclass(frozen=True)
class LocalPack(PackOfRuns[LocalJob]):
    """Runs of one process, whose state lies below the root while they run."""

    @property
    def _state(self) -> Path:
        return self.jobs[0].root / "running" / f"{self.name}.pt"

    def kept_state(self) -> State | None:
        """Read the state that an earlier process has kept; None when there is none."""
        return read_local(self._state, decode)

    def keep_state(self, state: State) -> None:
        """Replace it."""
        self._state.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._state, encode(state))

    def drop_state(self) -> None:
        """Delete it, if there is one."""
        self._state.unlink(missing_ok=True)
