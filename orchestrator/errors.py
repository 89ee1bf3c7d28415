"""What the orchestrator raises for the outside's faults: wrong requests, unreachable stores."""

__all__ = ["ClusterError", "OrchestratorError", "PlanError", "StorageError", "TrackingError"]


class OrchestratorError(Exception):
    """Anything the orchestrator refuses or could not do, in words for the person at the command
    line.
    """


class PlanError(OrchestratorError):
    """A request that cannot be carried out; `problems` lists everything wrong with it, one line
    each.
    """

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class StorageError(OrchestratorError):
    """The place of `--storage` could not be read or written."""


class TrackingError(OrchestratorError):
    """The MLflow store of `--tracking-uri` could not be reached, or refused a request."""


class ClusterError(OrchestratorError):
    """The Ray of `--address` could not be reached, or no local one could be started."""
