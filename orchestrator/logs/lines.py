"""JSON lines, which are the ledger itself: there is nothing to write beside it."""

from collections.abc import Mapping

from orchestrator.logs.sink import LoggedRun
from orchestrator.logs.sweep_log import Status
from orchestrator.run_record import Metrics, RunRecord

__all__ = ["OnlyLines"]


class OnlyLines:
    """Writes nothing."""

    def opened(self, run: LoggedRun) -> None:
        """Do nothing."""

    def epoch(self, run: LoggedRun, epoch: int, metrics: Metrics) -> None:
        """Do nothing."""

    def ended(self, run: LoggedRun, record: RunRecord, results: Metrics) -> None:
        """Do nothing."""

    def left(self, run: LoggedRun, *, failed: bool) -> None:
        """Do nothing."""

    def close(self, status: Status, files: Mapping[str, str | bytes]) -> None:
        """Do nothing."""
