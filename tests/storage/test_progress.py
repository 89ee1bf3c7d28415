"""Milliseconds: what a sweep leaves of its progress, and what others make of it."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.storage import Storage
from orchestrator.storage.progress import (
    Axis,
    CellProgress,
    SweepProgress,
    keep_progress,
    read_progress,
    running_sweeps,
)

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


def progress_of(sweep: str = "0123456789ab", updated: datetime = NOW) -> SweepProgress:
    cells = {
        "aaaa": CellProgress(name="0.1 · seed 0", places=(("0.1",),), state="finished", result=7.5),
        "bbbb": CellProgress(
            name="0.5 · seed 0", state="running", epoch=3, epochs=9, loss=1.5, since=NOW
        ),
        "cccc": CellProgress(name="1 · seed 0", state="failed", message="no memory"),
    }
    axes = (Axis(name="temperature", labels=("0.1", "0.5", "1")),)
    return SweepProgress(
        name="temperature", sweep=sweep, started=NOW, updated=updated, axes=axes, cells=cells
    )


def test_what_is_kept_is_read_again(storage: Storage) -> None:
    progress = progress_of()
    keep_progress(storage, progress)
    assert read_progress(storage, "temperature/0123456789ab") == progress
    assert progress.counts() == {
        "finished": 1,
        "running": 1,
        "waiting": 0,
        "failed": 1,
        "stopped": 0,
    }


def test_a_sweep_that_left_nothing_has_no_progress(storage: Storage) -> None:
    assert read_progress(storage, "temperature/0123456789ab") is None
    assert running_sweeps(storage) == []


def test_what_a_newer_version_adds_is_passed_over(storage: Storage) -> None:
    keep_progress(storage, progress_of())
    file = storage.local_path("sweeps/temperature/0123456789ab/progress.json")
    tree = json.loads(file.read_text())
    tree["weather"] = "fine"
    tree["cells"]["aaaa"]["mood"] = "good"
    file.write_text(json.dumps(tree))
    assert read_progress(storage, "temperature/0123456789ab") == progress_of()


def test_a_damaged_file_is_set_aside(storage: Storage) -> None:
    keep_progress(storage, progress_of())
    file = storage.local_path("sweeps/temperature/0123456789ab/progress.json")
    file.write_text(file.read_text()[:50])
    assert read_progress(storage, "temperature/0123456789ab") is None
    assert file.with_name("progress.json.damaged").exists()


def test_who_no_longer_writes_is_dead(storage: Storage) -> None:
    keep_progress(storage, progress_of("old", NOW - timedelta(seconds=60)))
    keep_progress(storage, progress_of("new"))
    ended = progress_of("ended").model_dump() | {"state": "finished"}
    keep_progress(storage, SweepProgress.model_validate(ended))
    soon = NOW + timedelta(seconds=10)
    assert [progress.sweep for progress in running_sweeps(storage, soon)] == ["new"]
    assert running_sweeps(storage, NOW + timedelta(seconds=31)) == []
