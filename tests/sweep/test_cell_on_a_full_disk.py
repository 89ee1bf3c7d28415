"""Seconds, one process: what becomes of a cell whose files cannot be written."""

import errno
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cell.job import CellJob
from orchestrator.errors import StorageError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage, files
from workloads.distributed.worker import Worker
from workloads.runs.cell import run_cell, start_of
from workloads.simclr.presets import preset


@pytest.fixture(autouse=True)
def _no_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workloads.runs.pauses.SHARE", 1e9)  # states are kept at once
    monkeypatch.setattr("workloads.runs.files.WAIT", 0.0)


@pytest.fixture
def job(tiny: Callable[..., dict[str, Any]]) -> Callable[[Path], CellJob]:
    """A cell of three epochs in a storage."""

    def make(storage: Path) -> CellJob:
        often = {"checkpoint__every_minutes": 0}
        fields = tiny(schedule__epochs=3, precision="fp32", **often)
        spec = preset("shapes").with_values(fields)
        return CellJob("a cell", "simclr", spec.fingerprint(), spec.tree(), str(storage))

    return make


def run(one: CellJob, report: Callable[[dict[str, float]], None]) -> RunRecord:
    record = run_cell(one, Worker.here("cpu"), start_of(one), report)
    assert record is not None
    return record


class Disk:
    """Stands for the end of a write: refuses while it is `full`, or the next `left` files."""

    def __init__(self, number: int = errno.ENOSPC) -> None:
        self.full, self.left, self.number = False, 0, number
        self.refused: list[str] = []

    def replace(self, path: Path, data: bytes) -> None:
        """Do what the storage does for a local file, if there is room."""
        if self.full or self.left:
            self.left = max(0, self.left - 1)
            self.refused.append(path.name)
            raise OSError(self.number, "No space left on device")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)


def test_a_cell_trains_on_while_the_disk_is_full_and_has_the_same_results(
    tmp_path: Path, job: Callable[[Path], CellJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = run(job(tmp_path / "whole"), lambda _: None)
    disk, one = Disk(), job(tmp_path / "full")
    monkeypatch.setattr(files, "_replace", disk.replace)

    def full_in_the_second_epoch(metrics: dict[str, float]) -> None:
        disk.full = metrics["epoch"] == 2

    record = run(one, full_in_the_second_epoch)
    assert {"checkpoint.pt", "log.txt"} <= {*disk.refused}
    assert record.results == whole.results
    assert one.run_folder.record() == record
    kept = one.run_folder.checkpoint()
    assert kept is not None
    assert kept.state["epoch"] == 3
    log = (Storage(one.storage).read_bytes(f"runs/{one.fingerprint}/log.txt") or b"").decode()
    assert "epoch 2 not kept: " in log
    assert "there is no room: free some" in log


def test_the_end_of_a_run_waits_for_room(
    tmp_path: Path, job: Callable[[Path], CellJob], monkeypatch: pytest.MonkeyPatch
) -> None:
    disk, one = Disk(), job(tmp_path)
    monkeypatch.setattr(files, "_replace", disk.replace)

    def full_at_the_end(metrics: dict[str, float]) -> None:
        disk.left = 6 if metrics["epoch"] == 3 else 0

    record = run(one, full_at_the_end)
    assert len(disk.refused) == 6
    assert record.has_finished
    assert one.run_folder.record() == record
    kept = one.run_folder.checkpoint()
    assert kept is not None
    assert kept.state["epoch"] == 3


@pytest.mark.parametrize(("number", "patience"), [(errno.ENOSPC, 0.0), (errno.EROFS, 900.0)])
def test_where_no_room_comes_the_run_ends_and_says_so(
    number: int,
    patience: float,
    tmp_path: Path,
    job: Callable[[Path], CellJob],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("workloads.runs.files.PATIENCE", patience)
    monkeypatch.setattr("workloads.runs.files.WAIT", 1e-9)
    disk, one = Disk(number), job(tmp_path)
    monkeypatch.setattr(files, "_replace", disk.replace)

    def full_from_the_second_epoch(metrics: dict[str, float]) -> None:
        disk.full = disk.full or metrics["epoch"] == 2

    with pytest.raises(StorageError, match=r"cannot write runs/"):
        run(one, full_from_the_second_epoch)
    disk.full = False
    kept = one.run_folder.checkpoint()
    assert kept is not None
    assert kept.state["epoch"] == 1  # the older one, whole
    assert run(one, lambda _: None).has_finished  # the same command, later
