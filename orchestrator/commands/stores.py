"""The storage and the MLflow store that flags, environment and settings file name."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestrator.commands.next_steps import first_sweep, near
from orchestrator.errors import PlanError
from orchestrator.settings import read_settings
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker

__all__ = ["results_at", "storage_at", "stores_at"]

SHOWN_STORAGES = 5


def storage_at(flag: str | None) -> Storage:
    """Return the storage of `--storage`, or of the settings. Raises SpecError for wrong ones."""
    return Storage(read_settings({"storage": flag}, os.environ, Path.cwd()).storage)


def stores_at(
    storage: str | None, tracking_uri: str | None
) -> tuple[Storage, Callable[[], Tracker]]:
    """Return the storage, and what opens the tracker: only who writes into MLflow waits for it."""
    flags = {"storage": storage, "tracking_uri": tracking_uri}
    settings = read_settings(flags, os.environ, Path.cwd())
    kept = Storage(settings.storage)
    return kept, lambda: Tracker.open(settings.tracking_uri, kept)


def results_at(flag: str | None) -> Storage:
    """Return the storage of `--storage`, or of the settings, which has to be there.

    Raises PlanError that says what other storages are in this folder, and how to begin one, and
    SpecError for wrong settings.
    """
    storage = storage_at(flag)
    if not storage.is_local or storage.local_path().is_dir():
        return storage
    raise PlanError([f"--storage {near(storage.shown())}: no such folder{_instead()}"])


def _instead() -> str:
    """What there is in place of a storage that is not there."""
    others = sorted(
        folder.name
        for folder in Path.cwd().iterdir()
        if (folder / "mlflow.db").is_file() and (folder / "runs").is_dir()
    )
    if others:
        return "; here are results in " + ", ".join(others[:SHOWN_STORAGES])
    return f"; nothing was run here yet, this begins: {first_sweep()}"
