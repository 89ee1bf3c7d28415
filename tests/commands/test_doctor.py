"""`doctor` finds what must be mended, and says how; seconds, without Ray."""

import resource
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from orchestrator.commands import doctor, machine_checks
from orchestrator.commands.consoles import plain_console
from orchestrator.commands.machine_checks import Check, limits, room
from orchestrator.commands.storage_checks import storage_checks
from orchestrator.settings import Settings
from orchestrator.storage import Storage
from orchestrator.storage.progress import SweepProgress, keep_progress
from orchestrator.tracking import Tracker


def by_name(checks: Iterator[Check]) -> dict[str, Check]:
    return {check.name: check for check in checks}


def test_a_sound_storage_has_nothing_to_mend_and_is_left_as_it_was(tmp_path: Path) -> None:
    found = by_name(storage_checks(Storage(str(tmp_path))))
    assert {*found} >= {"storage", "room", "creates once", "clock", "interrupted"}
    assert all(check.is_good for check in found.values())
    assert not [
        path for path in tmp_path.rglob("*") if path.is_file() and path.name != "index.json"
    ]


def test_a_storage_that_cannot_be_written_is_told_with_its_mend(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (only,) = storage_checks(Storage(str(tmp_path / "file" / "below")))
    assert not only.is_good
    assert "--storage" in only.mend


def test_two_who_create_the_same_file_are_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def careless(self: Storage, name: str, data: bytes) -> bool:
        self.write_bytes(name, data)
        return True

    monkeypatch.setattr(Storage, "create", careless)
    assert not by_name(storage_checks(Storage(str(tmp_path))))["creates once"].is_good


def test_a_clock_that_is_apart_from_the_storages_must_be_set(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = datetime.now(UTC).timestamp()
    monkeypatch.setattr("orchestrator.commands.storage_checks.time.time", lambda: real + 120)
    clock = by_name(storage_checks(Storage(str(tmp_path))))["clock"]
    assert not clock.is_good
    assert "apart" in clock.text


def test_a_sweep_whose_driver_died_is_told_with_its_command(tmp_path: Path) -> None:
    long_ago = datetime.now(UTC) - timedelta(hours=1)
    progress = SweepProgress(
        name="losses", sweep="1", command="again", started=long_ago, updated=long_ago, host="here"
    )
    keep_progress(Storage(str(tmp_path)), progress)
    check = by_name(storage_checks(Storage(str(tmp_path))))["interrupted"]
    assert check.is_good
    assert "losses/1" in check.text
    assert check.mend == "continue with: again"


def test_few_open_files_must_be_mended(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, 4096))
    files = by_name(limits())["open files"]
    assert not files.is_good
    assert "ulimit -n" in files.mend


def test_a_driver_whose_gpu_torch_does_not_see_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine_checks, "_driver", lambda: "570.1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert not machine_checks.gpu().is_good


def test_a_full_disk_must_be_mended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Usage:
        free = 1e8

    monkeypatch.setattr("shutil.disk_usage", lambda _: Usage)
    assert not room("room", tmp_path / "not" / "yet").is_good


def test_runs_that_mlflow_shows_as_running_without_a_sweep_are_told(tmp_path: Path) -> None:
    storage = Storage(str(tmp_path))
    tracker = Tracker.open(None, storage)
    tracker.sweep("losses", "0123", name="of a dead driver", tags={}, plan={})
    check = doctor._shown_as_running(tracker.uri, storage)
    assert "of a dead driver" in check.text


def test_what_must_be_mended_is_said_at_the_end_and_is_exit_code_1(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    broken = Check("limits", False, "too few", "have more")
    monkeypatch.setattr(doctor, "_checks", lambda _: iter([Check("python", True, "3"), broken]))
    finished = doctor.examine(Settings(storage=str(tmp_path)), plain_console())
    assert finished.exit_code == 1
    assert finished.document["limits"] == {"ok": False, "detail": "too few", "mend": "have more"}
    assert "must be mended: limits" in capsys.readouterr().out
