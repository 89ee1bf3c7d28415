"""What everything that a sweep is written into has in common: MLflow, and what `--log` adds."""

from collections.abc import Mapping
from typing import Literal, Protocol

from orchestrator.plan.kept import KeptPlan
from orchestrator.run_record import Metrics, RunRecord

__all__ = ["Place", "Status", "SweepLog"]

Status = Literal["FINISHED", "FAILED", "KILLED"]


class Place(Protocol):
    """Something that one sweep is written into, from one thread at a time.

    Its methods raise whatever keeps it from being written; each may then be called again, and
    writes what is missing: once, however often it is called.
    """

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


class SweepLog(Place, Protocol):
    """A place for those who run a sweep: it raises nothing, and is not waited for.

    `failure` is why it has not taken all that it was given.
    """

    failure: str | None
