"""Runs of a folder of this machine as they are handed to a process: one, or several together."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from workloads.catalog import workload_named
from workloads.checkpoint import decode, encode
from workloads.local_files import write_whole
from workloads.runs.folder import LocalRun, read_local
from workloads.spec import digest
from workloads.workload import State, TrainedTogether

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

    @property
    def run_folder(self) -> LocalRun:
        """The folder of the run."""
        return LocalRun(self.root, self.fingerprint)


@dataclass(frozen=True)
class LocalPack:
    """Runs of one process, and where their state lies while they run."""

    jobs: tuple[LocalJob, ...]

    @property
    def together(self) -> bool:
        """True where the workload trains several at once."""
        return isinstance(workload_named(self.jobs[0].workload), TrainedTogether)

    @property
    def title(self) -> str:
        """The title for people."""
        first = self.jobs[0].name
        return first if len(self.jobs) == 1 else f"{len(self.jobs)} cells from {first} on"

    @property
    def name(self) -> str:
        """The fingerprint of its only run, or one of all."""
        names = [job.fingerprint for job in self.jobs]
        return names[0] if len(names) == 1 else digest({"pack": names})

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
