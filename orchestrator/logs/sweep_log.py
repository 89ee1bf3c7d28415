"""What everything that a sweep is written into has in common: MLflow, and what `--log` adds."""

from collections.abc import Mapping
from typing import Literal, Protocol

from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Metrics, RunRecord

__all__ = ["Status", "SweepLog"]

Status = Literal["FINISHED", "FAILED", "KILLED"]


class SweepLog(Protocol):
    """A place that one sweep is written into, from the driver, and never from two threads at once.

    A place that fails ends no sweep: it says so once, keeps the reason as `failure`, and is not
    written again. A rerun of the sweep writes what is missing.
    """

    failure: str | None
    label: str  # what people call the place

    def begin(self, kept: KeptPlan) -> None:
        """Begin with the sweep's plan, or go on where an earlier driver has ended."""

    def has(self, fingerprint: str) -> bool:
        """Tell whether the cell is one of this sweep's."""

    def started(self, fingerprint: str) -> None:
        """Take that a cell has started."""

    def epoch(self, fingerprint: str, metrics: Metrics) -> None:
        """Take an epoch's metrics of a running cell."""

    def ended(self, fingerprint: str, record: RunRecord) -> None:
        """Take how a cell has ended, with its whole curve and its results."""

    def taken_over(self, fingerprint: str, record: RunRecord) -> None:
        """Take a cell that ended before, perhaps in another sweep: what is missing is written."""

    def finish(self, status: Status, files: Mapping[str, str | bytes]) -> None:
        """End with the report's files; cells that are still open were interrupted."""
