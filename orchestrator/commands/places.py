"""Where a request's sweeps are recorded: whether MLflow and the rest can be written."""

from collections.abc import Sequence

from orchestrator.errors import TrackingError, UnreachableError
from orchestrator.logs import log_problems
from orchestrator.settings import Settings
from orchestrator.storage import Storage

__all__ = ["places_problems"]


def places_problems(settings: Settings, storage: Storage, logs: Sequence[str]) -> list[str]:
    """Say why a sweep cannot be recorded, a line each, naming the option.

    An MLflow that does not answer now is no such reason: it is handed later what it is owed.
    """
    tracking = _tracking_problem(settings, storage)
    return [*([tracking] if tracking else []), *log_problems(logs, storage)]


def _tracking_problem(settings: Settings, storage: Storage) -> str | None:
    if settings.tracking_uri is None:
        if storage.is_local:
            return None
        return (
            f"--tracking-uri: is needed, for MLflow cannot keep its database in {storage.shown()}"
        )
    from orchestrator.tracking import Tracker

    try:
        Tracker.open(settings.tracking_uri, storage).reach()
    except UnreachableError:
        return None  # the sweep says so once it begins
    except TrackingError as error:
        return str(error)
    return None
