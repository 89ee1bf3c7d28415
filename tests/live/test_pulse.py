"""Milliseconds: the thread that keeps a sweep's progress up outlives what goes wrong in it."""

import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import StorageError
from orchestrator.live import pulse
from orchestrator.live.pulse import Pulse, keep_end
from orchestrator.storage import Storage
from orchestrator.storage.progress import SweepProgress, keep_progress, read_progress
from orchestrator.storage.stop_requests import ALL, ask_to_stop, stop_folder, stops_asked

NOW = datetime(2026, 1, 1, tzinfo=UTC)
SWEEP = SweepProgress(name="losses", sweep="0123", started=NOW, updated=NOW)


def test_a_beat_or_a_look_that_fails_ends_no_pulse(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A sweep whose thread died would seem dead, and hear no request to stop."""
    monkeypatch.setattr(pulse, "SECONDS_BETWEEN_WRITES", 0.001)
    storage, said = Storage(str(tmp_path)), list[str]()
    beats, looks = list[int](), list[int]()
    again = threading.Event()

    def beat() -> None:
        beats.append(1)
        if len(beats) > 3:
            again.set()
        watched.changed()
        raise RuntimeError("no such counter")

    def look() -> Sequence[SweepProgress]:
        looks.append(1)
        if len(looks) == 2:
            raise OverflowError("too far")
        return [SWEEP]

    watched = Pulse(storage, look, beat=beat, warn=said.append)
    with watched:
        assert again.wait(60)

    assert said == ["nobody can watch this sweep: no such counter"]
    assert read_progress(storage, SWEEP.folder) == SWEEP


def test_an_end_is_kept_and_requests_to_stop_are_forgotten(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    keep_progress(storage, SWEEP)
    ask_to_stop(storage, SWEEP.folder, [ALL])

    keep_end(storage, SWEEP.folder, "stopped")

    kept = read_progress(storage, SWEEP.folder)
    assert kept is not None
    assert kept.state == "stopped"
    assert not stops_asked(storage, [stop_folder(SWEEP.folder)])


def test_a_storage_that_fails_at_the_end_hides_nothing_that_ended_the_sweep(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told after the error of the sweep, which must not be lost for it."""

    def fail(_: Storage, name: str) -> None:
        raise StorageError(f"{name}: cannot delete")

    monkeypatch.setattr(Storage, "delete", fail)
    storage = Storage(str(tmp_path))
    keep_progress(storage, SWEEP)

    keep_end(storage, SWEEP.folder, "failed")

    kept = read_progress(storage, SWEEP.folder)
    assert kept is not None
    assert kept.state == "failed"
