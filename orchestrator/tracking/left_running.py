"""Runs that MLflow shows as going on: whether somebody does them, others can tell."""

from orchestrator.tracking import tags as marks
from orchestrator.tracking.client import PatientClient

__all__ = ["runs_shown_as_running"]

PATIENCE = 10.0  # seconds


def runs_shown_as_running(uri: str) -> dict[str, list[str]]:
    """List the names of runs that are RUNNING in a store, by the ids of their sweeps.

    Those that no sweep of ours has begun are left out. Raises TrackingError.
    """
    client = PatientClient(uri, PATIENCE)
    found: dict[str, list[str]] = {}
    for name in client.experiment_names():
        experiment = client.experiment_named(name)
        if experiment is None:
            continue
        for run in client.search(experiment, "attributes.status = 'RUNNING'"):
            if sweep := run.data.tags.get(marks.SWEEP):
                found.setdefault(sweep, []).append(f"{name}: {run.info.run_name}")
    return found
