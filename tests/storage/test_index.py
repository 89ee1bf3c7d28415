"""The index of runs: milliseconds, and a local S3 server."""

import json
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest

from orchestrator.errors import StorageError
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.index import INDEX
from orchestrator.storage.leases import Claim, Lease, Observer, sweep_lease
from orchestrator.storage.rows import RunRow, run_rows
from orchestrator.storage.runs import RunFolder

LONG_AGO = 1_600_000_000  # seconds since 1970: before whatever reads now


@pytest.fixture
def local(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path / "results"))


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names of the files that were read since, of any storage."""
    names: list[str] = []
    read = Storage.read_bytes

    def told(self: Storage, name: str) -> bytes | None:
        names.append(name)
        return read(self, name)

    monkeypatch.setattr(Storage, "read_bytes", told)
    return names


def record(number: int, **more: Any) -> RunRecord:
    values: dict[str, Any] = {
        "name": f"cell {number} · seed 0",
        "fingerprint": f"{number:020x}",
        "status": "finished",
        "spec": {"loss": {"temperature": number / 10}, "seed": 0, "data": {"name": "shapes"}},
        "results": {"linear_top1": 50.0 + number},
        "history": [{"loss": 2.0, "epoch": 1.0}],
        "ended": "2026-11-28T10:00:00+00:00",
        "total_seconds": 90.0,
    }
    return RunRecord(**(values | more))


def write(storage: Storage, *records: RunRecord, at: float = LONG_AGO) -> None:
    for one in records:
        RunFolder(storage, one.fingerprint).write_record(one)
        if storage.is_local:
            path = storage.local_path("runs", one.fingerprint, "run.json")
            os.utime(path, (at, at))


def keep_plan(storage: Storage, ablation: str, sweep: str, *fingerprints: str) -> None:
    place = {"at": [], "seed": 0, "role": "cell"}
    cells = [place | {"fingerprint": name, "name": f"cell of {ablation}"} for name in fingerprints]
    storage.write_json(
        f"sweeps/{ablation}/{sweep}/plan.json",
        {
            "sweep": sweep,
            "base": {},
            "cells": cells,
            "started": "2026-11-28T09:00:00+00:00",
            "preset": "shapes loss.temperature=0.1",
        },
    )


def by_number(rows: list[RunRow]) -> dict[int, RunRow]:
    return {int(row.fingerprint, 16): row for row in rows}


def test_a_row_has_what_the_record_the_plans_and_the_specification_tell(storage: Storage) -> None:
    write(storage, record(1), record(2, status="failed", error="Trace\nDiverged: nan"))
    RunFolder(storage, f"{3:020x}").write_spec({"loss": {"temperature": 0.3}, "seed": 4})
    keep_plan(storage, "temperature", "aaaa", f"{1:020x}", f"{3:020x}")
    keep_plan(storage, "losses", "bbbb", f"{1:020x}")

    for _ in range(2):  # read from the records, and again from the index
        rows = by_number(run_rows(storage))
        assert list(rows) == [1, 2, 3]
        assert {*rows[1].ablations} == {"temperature", "losses"}
        assert rows[1].preset == "shapes"
        assert rows[1].spec == {"loss.temperature": 0.1, "seed": 0, "data.name": "shapes"}
        assert rows[1].metrics == {"linear_top1": 51.0, "loss": 2.0, "epoch": 1.0}
        assert rows[1].started == "2026-11-28T09:58:30+00:00"
        assert rows[1].duration == 90
        assert (rows[2].status, rows[2].error, rows[2].ablations) == ("failed", "Diverged: nan", ())
        assert (rows[3].status, rows[3].seed) == ("unfinished", 4)
        assert rows[3].name == "cell of temperature"
        assert rows[3].value("loss.temperature") == 0.3
        assert rows[3].value("linear_top1") is None


def test_no_record_is_opened_when_nothing_has_changed(local: Storage, opened: list[str]) -> None:
    write(local, *(record(number) for number in range(20)))
    before = run_rows(local)
    opened.clear()
    assert run_rows(local) == before
    assert opened == [INDEX]


def test_only_what_changed_is_opened(local: Storage, opened: list[str]) -> None:
    write(local, *(record(number) for number in range(20)))
    run_rows(local)
    opened.clear()
    write(local, record(7, results={"linear_top1": 9.0}), record(20), at=LONG_AGO + 60)
    local.delete(f"runs/{3:020x}")
    rows = by_number(run_rows(local))
    assert opened == [INDEX, f"runs/{7:020x}/run.json", f"runs/{20:020x}/run.json"]
    assert rows[7].results == {"linear_top1": 9.0}
    assert rows.keys() == {*range(21)} - {3}
    opened.clear()
    run_rows(local)
    assert opened == [INDEX]


def _damaged(good: bytes, damage: str) -> bytes:
    match damage:
        case "cut off":
            return good[: len(good) // 2]
        case "of another version":
            return good.replace(b'index": 1', b'index": 0')
        case "edited":
            return good.replace(b"finished", b"finnishe")
        case "binary":
            return b"\x00\xff" * 50
        case "deep":
            return b"[" * 100_000
    return {"empty": b"", "lists": b"[]\n[]", "a mapping": b"{}"}[damage]


@pytest.mark.parametrize(
    "damage",
    ["cut off", "of another version", "edited", "binary", "deep", "empty", "lists", "a mapping"],
)
def test_a_damaged_index_is_made_anew(local: Storage, damage: str) -> None:
    write(local, *(record(number) for number in range(3)))
    before = run_rows(local)
    good = local.read_bytes(INDEX)
    assert good is not None
    local.write_bytes(INDEX, _damaged(good, damage))
    assert run_rows(local) == before
    assert local.read_bytes(INDEX) == good


def test_an_index_of_another_storage_is_not_believed(tmp_path: Path) -> None:
    one, other = Storage(str(tmp_path / "one")), Storage(str(tmp_path / "other"))
    write(one, record(1), record(2))
    write(other, record(1, results={"linear_top1": 1.0}), at=LONG_AGO + 1)
    run_rows(one)
    data = one.read_bytes(INDEX)
    assert data is not None
    other.write_bytes(INDEX, data)
    (row,) = run_rows(other)
    assert row.results == {"linear_top1": 1.0}


def test_a_record_that_was_written_just_now_is_read_again(storage: Storage) -> None:
    """Its time may stay the same when it is replaced at once by one of equal length."""
    for number in range(10, 15):
        RunFolder(storage, f"{1:020x}").write_record(record(1, results={"linear_top1": number}))
        (row,) = run_rows(storage)
        assert row.results == {"linear_top1": number}


def test_a_storage_that_may_only_be_read_is_listed(
    local: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(local, record(1))

    monkeypatch.setattr(Storage, "write_bytes", Mock(side_effect=StorageError("read only")))
    assert len(run_rows(local)) == 1
    assert not local.exists(INDEX)


def test_a_damaged_record_is_set_aside_and_the_run_is_unfinished(local: Storage) -> None:
    write(local, record(1))
    folder = RunFolder(local, f"{1:020x}")
    folder.write_spec({"seed": 3})
    local.write_bytes(folder.name_of("run.json"), b'{"half"')
    for _ in range(2):
        (row,) = run_rows(local)
        assert (row.status, row.seed) == ("unfinished", 3)
    assert "run.json.damaged" in local.list(folder.name_of())


def test_a_folder_where_a_specification_should_lie_is_no_end_of_the_list(local: Storage) -> None:
    write(local, record(1))
    local.write_bytes("runs/ffff/spec.yaml/file", b"")
    rows = {row.fingerprint: row for row in run_rows(local)}
    assert rows["ffff"].status == "unfinished"
    assert rows["ffff"].seed is None
    assert len(rows) == 2


def test_numbers_that_json_does_not_have_are_left_out(local: Storage) -> None:
    write(local, record(1))
    tree = record(1).tree() | {"results": {"a": 1.0, "b": 2.0}}
    text = json.dumps(tree).replace("2.0", "NaN")
    local.write_bytes(f"runs/{1:020x}/run.json", text.encode())
    (row,) = run_rows(local)
    assert row.results == {"a": 1.0}


def test_there_are_no_rows_where_there_is_no_run(storage: Storage) -> None:
    assert run_rows(storage) == []


def test_runs_of_a_sweep_that_goes_on_are_running(local: Storage) -> None:
    write(local, record(1))
    for number in (2, 3):
        RunFolder(local, f"{number:020x}").write_spec({"seed": 0})
    keep_plan(local, "temperature", "aaaa", f"{1:020x}", f"{2:020x}")
    keep_plan(local, "losses", "bbbb", f"{3:020x}")
    with Lease(local) as lease:
        assert isinstance(lease.take(sweep_lease("temperature/aaaa"), Observer(local)), Claim)
        status = {number: row.status for number, row in by_number(run_rows(local)).items()}
        assert status == {1: "finished", 2: "running", 3: "unfinished"}
    assert by_number(run_rows(local))[2].status == "unfinished"
