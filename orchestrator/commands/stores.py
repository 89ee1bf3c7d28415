"""The storage and the MLflow store that flags, environment and settings file name."""

import os
from collections.abc import Callable
from pathlib import Path

from orchestrator.settings import read_settings
from orchestrator.storage import Storage
from orchestrator.tracking import Tracker

__all__ = ["storage_at", "stores_at"]


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
