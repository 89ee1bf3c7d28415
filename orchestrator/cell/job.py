"""What travels to a worker: a cell to run, and cells that share a process."""

from dataclasses import dataclass, field
from typing import Any

from orchestrator.resources import Resources
from orchestrator.storage import Storage
from orchestrator.storage.damaged import read_sound
from orchestrator.storage.leases import Claim
from orchestrator.storage.runs import RunFolder
from workloads.checkpoint import decode, encode
from workloads.runs.pack import PackOfRuns
from workloads.workload import State, WorkloadName

__all__ = ["CellJob", "Pack"]


@dataclass(frozen=True)
class CellJob:
    """A cell as it is handed to a worker; plain data, so that it travels to any node."""

    name: str
    workload: WorkloadName
    fingerprint: str
    spec: dict[str, Any]
    storage: str
    resources: Resources = field(default_factory=Resources)
    max_failures: int = 2
    # whether each epoch is scored on the validation split, for a search to compare
    scored: bool = False
    trained_by: str | None = None  # the run whose state this one only evaluates
    until: int | None = None  # the epoch at which a search stops it for now
    stops: tuple[str, ...] = ()  # folders, in the storage, of requests to stop it
    group: str = ""  # the command that asks for it, among those that may own it
    dead: tuple[str, ...] = ()  # owners that were seen to be dead
    claim: Claim | None = None  # of the process that runs it

    @property
    def run_folder(self) -> RunFolder:
        """The folder of the run in the storage."""
        return RunFolder(Storage(self.storage), self.fingerprint, self.claim)


@dataclass(frozen=True)
class Pack(PackOfRuns[CellJob]):
    """Cells of one process and where their state lies while they run; plain data that travels."""

    folder: str

    @property
    def checkpoint(self) -> str:
        """The name, in the storage, of the file with its state."""
        return f"{self.folder}/{self.name}.pt"

    def kept_state(self) -> State | None:
        """Read the state that an earlier process has kept; None when there is none."""
        return read_sound(self._storage, self.checkpoint, decode)

    def keep_state(self, state: State) -> None:
        """Replace it."""
        self._storage.write_bytes(self.checkpoint, encode(state))

    def drop_state(self) -> None:
        """Delete it, if there is one."""
        self._storage.delete(self.checkpoint)

    @property
    def _storage(self) -> Storage:
        return Storage(self.jobs[0].storage)
