"""What the orchestrator raises for faults outside of it: wrong requests, unreachable stores."""

__all__ = [
    "ClusterError",
    "LeaseLostError",
    "OrchestratorError",
    "PlanError",
    "QueryError",
    "RunError",
    "StorageError",
    "TrackingError",
    "UnreachableError",
]


class OrchestratorError(Exception):
    """Anything that was refused or could not be done, in words for a person at a terminal."""


class PlanError(OrchestratorError):
    """A request that cannot be carried out; `problems` lists all that is wrong, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(problems)
        self.problems = problems

    def __str__(self) -> str:
        return "\n".join(self.problems)


class QueryError(PlanError):
    """A question about runs that cannot be answered: an expression, or fields that none has."""


class StorageError(OrchestratorError, OSError):
    """A storage that could not be read or written; `--storage` says where it is."""


class LeaseLostError(OrchestratorError):
    """What this process had was taken over by another one: it was suspended for too long."""


class TrackingError(OrchestratorError):
    """An MLflow store that could not be reached or refused a request; see `--tracking-uri`."""


class UnreachableError(TrackingError):
    """An MLflow store that does not answer now: it may take the same request later."""


class ClusterError(OrchestratorError):
    """A Ray that could not be reached, by `--address` or `--on`, or not be started here."""


class RunError(OrchestratorError):
    """A run that has ended without results; its log says why."""
