"""What one kind of log has to do: take points of curves and endings; when, others decide."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from orchestrator.logs.sweep_log import Status
from orchestrator.run_record import Metrics, RunRecord
from workloads.spec import digest

__all__ = ["LoggedRun", "Sink"]


@dataclass(frozen=True)
class LoggedRun:
    """A run as logs know it: whose it is, its labels, and all fields of its specification.

    `differing` are the fields that are not the same in all runs of its sweep.
    """

    ablation: str
    sweep: str
    fingerprint: str
    name: str
    cell: str
    seed: int
    role: str
    params: Mapping[str, Any]
    differing: frozenset[str]
    about: Mapping[str, str | None]

    @property
    def id(self) -> str:
        """A name that no other run has, and the same one each time the sweep is driven."""
        return digest({"sweep": self.sweep, "run": self.fingerprint})[:16]


class Sink(Protocol):
    """A kind of log. After whatever it raises it is closed, and its runs are opened again."""

    def opened(self, run: LoggedRun) -> None:
        """Take what a run is, once for each driver, before anything else of it."""

    def epoch(self, run: LoggedRun, epoch: int, metrics: Metrics) -> None:
        """Take a point of a run's curve. Those of a resumed run may come out of order."""

    def ended(self, run: LoggedRun, record: RunRecord, results: Metrics) -> None:
        """Take how a run ended, and its results."""

    def left(self, run: LoggedRun, *, failed: bool) -> None:
        """Let go of a run that has ended: nothing more comes."""

    def close(self, status: Status, files: Mapping[str, str | bytes]) -> None:
        """Take the end of the sweep; runs that have not ended were interrupted."""
