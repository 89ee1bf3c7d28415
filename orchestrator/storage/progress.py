"""How far a sweep is: one small file in its folder, which the process that drives it keeps up.

Others only read it, on this machine or on another: `watch`, `runs`, `stop`. It is written at most
once a second, at every change and else every few seconds; so a file that grows old tells that
nobody drives the sweep any more.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from orchestrator.storage.damaged import read_sound
from orchestrator.storage.files import Storage

__all__ = [
    "DEAD_AFTER",
    "PROGRESS",
    "Axis",
    "CellProgress",
    "CellState",
    "MachineUse",
    "SweepProgress",
    "SweepState",
    "keep_progress",
    "read_progress",
    "running_sweeps",
]

PROGRESS = "progress.json"
DEAD_AFTER = 30.0  # seconds without a word from a sweep that has not ended

CellState = Literal["waiting", "running", "finished", "failed", "stopped"]
SweepState = Literal["running", "finished", "failed", "stopped"]


class _Kept(BaseModel):
    """Frozen; what another version adds is passed over."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class Axis(_Kept):
    """One direction of the sweep's figure, with its labels in order."""

    name: str
    labels: tuple[str, ...]


class CellProgress(_Kept):
    """One run of a sweep: how far it is.

    `places` are those of the cells that it is the run of. `epoch` counts those that have ended, of
    `epochs`; `since` is when this process began it. `result` is the sweep's metric, once it has
    ended, and `message` the error of a failure. Cells that share a process have its `pack`.
    """

    name: str
    places: tuple[tuple[str, ...], ...] = ()
    seed: int = 0
    role: str = "cell"
    state: CellState = "waiting"
    epoch: int = 0
    epochs: int | None = None
    loss: float | None = None
    images_per_second: float | None = None
    since: datetime | None = None
    seconds_left: float | None = None
    result: float | None = None
    message: str = ""
    pack: str | None = None


class MachineUse(_Kept):
    """How busy the driver's machine is: shares from 0 to 1, memory in GB; a share for each GPU."""

    cpu: float | None = None
    memory: float | None = None
    memory_total: float | None = None
    gpus: tuple[float, ...] = ()
    gpu_memory: tuple[float, ...] = ()


class SweepProgress(_Kept):
    """A sweep while it runs, and how it ended: times in UTC, cells by their fingerprints.

    `command` continues it. `expected_end` is corrected as epochs are measured; None as long as
    nothing is known. `state` says how the driver left it; one that died leaves `running`, which
    `is_alive` sees through.
    """

    name: str
    sweep: str
    command: str = ""
    state: SweepState = "running"
    started: datetime
    updated: datetime
    host: str = ""
    pid: int = 0
    expected_end: datetime | None = None
    concurrent: int = 1
    metric: str = ""
    unit: str = ""
    digits: int = 1
    axes: tuple[Axis, ...] = ()
    machine: MachineUse | None = None
    note: str = ""
    cells: Mapping[str, CellProgress] = Field(default_factory=dict)

    @property
    def folder(self) -> str:
        """The name of the sweep's folder below `sweeps/`."""
        return f"{self.name}/{self.sweep}"

    def is_alive(self, now: datetime | None = None) -> bool:
        """Tell whether a process drives the sweep now.

        Clocks of machines are taken to agree within a few seconds.
        """
        if self.state != "running":
            return False
        return ((now or datetime.now(UTC)) - self.updated).total_seconds() < DEAD_AFTER

    def counts(self) -> dict[CellState, int]:
        """Return how many distinct runs are in each state."""
        found: dict[CellState, int] = dict.fromkeys(
            ("finished", "running", "waiting", "failed", "stopped"), 0
        )
        for cell in self.cells.values():
            found[cell.state] += 1
        return found


def keep_progress(storage: Storage, progress: SweepProgress) -> None:
    """Replace what is kept of a sweep's progress. Raises StorageError."""
    text = progress.model_dump_json(exclude_defaults=True)
    storage.write_bytes(_name(progress.folder), text.encode())


def read_progress(storage: Storage, sweep: str) -> SweepProgress | None:
    """Read how far a sweep is, by the name of its folder (`temperature/0123456789ab`).

    None where it has left nothing; a damaged file is set aside. Raises StorageError.
    """
    return read_sound(storage, _name(sweep), SweepProgress.model_validate_json)


def running_sweeps(storage: Storage, now: datetime | None = None) -> list[SweepProgress]:
    """Read the progress of all sweeps of a storage that somebody drives now, the latest last."""
    found = [
        read_progress(storage, f"{name}/{sweep}")
        for name in storage.list("sweeps")
        for sweep in storage.list(f"sweeps/{name}")
    ]
    alive = [progress for progress in found if progress is not None and progress.is_alive(now)]
    return sorted(alive, key=lambda progress: progress.started)


def _name(sweep: str) -> str:
    return f"sweeps/{sweep}/{PROGRESS}"
