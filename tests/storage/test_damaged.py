"""Milliseconds: files that cannot be what their names say are set aside, said once, and missing."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.errors import PlanError, StorageError
from orchestrator.run_record import EvaluationRecord, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import Checkpoint, RunFolder, all_records
from orchestrator.storage.sweeps import latest_sweep
from workloads.checkpoint import encode

GOOD, BAD = "a" * 20, "b" * 20


def record(fingerprint: str) -> RunRecord:
    return RunRecord(name="a cell", fingerprint=fingerprint, status="finished", spec={})


def nothing_of(_: bytes) -> bytes:
    return b""


def half_of(data: bytes) -> bytes:
    return data[: len(data) // 2]


def zeros_of(data: bytes) -> bytes:
    return bytes(len(data))


def another(_: bytes) -> bytes:
    return b'{"of": "another program"}'


def a_list(_: bytes) -> bytes:
    return b"[1, 2]"


def not_text(_: bytes) -> bytes:
    return b"\xff\xfe\x00{"


DAMAGES = [nothing_of, half_of, zeros_of, another, a_list, not_text]


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    """Two runs with records and checkpoints."""
    found = Storage(str(tmp_path / "results"))
    for name in (GOOD, BAD):
        folder = RunFolder(found, name)
        folder.write_record(record(name))
        folder.write_checkpoint(Checkpoint({"epoch": 2}, [{"epoch": 1.0}], elapsed=3.0))
    return found


def damage(storage: Storage, name: str, by: Callable[[bytes], bytes]) -> bytes:
    data = storage.read_bytes(name)
    assert data is not None
    storage.write_bytes(name, by(data))
    return by(data)


@pytest.mark.parametrize("by", DAMAGES)
def test_a_damaged_record_is_set_aside_and_no_other_run_is_touched(
    storage: Storage, by: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    left = damage(storage, f"runs/{BAD}/run.json", by)
    assert [each.fingerprint for each in all_records(storage)] == [GOOD]
    assert storage.list(f"runs/{BAD}") == ["checkpoint.pt", "run.json.damaged"]
    assert storage.read_bytes(f"runs/{BAD}/run.json.damaged") == left
    assert storage.list(f"runs/{GOOD}") == ["checkpoint.pt", "run.json"]
    kept = RunFolder(storage, BAD).own_checkpoint()
    assert kept is not None  # from which the run continues
    assert kept.state == {"epoch": 2}

    (said,) = caplog.messages
    assert said.startswith(f"{storage.shown('runs', BAD, 'run.json')}: ")
    assert said.endswith("; set aside as run.json.damaged, and taken as missing")
    caplog.clear()
    assert len(all_records(storage)) == 1
    assert caplog.messages == []  # said once


def test_the_record_of_another_run_is_no_record_of_this_one(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.write_json(f"runs/{BAD}/run.json", record(GOOD).tree())
    assert RunFolder(storage, BAD).record() is None
    assert f"is the record of another run, {GOOD}" in caplog.text


@pytest.mark.parametrize("by", DAMAGES)
def test_a_damaged_checkpoint_is_set_aside(
    storage: Storage, by: Callable[[bytes], bytes], caplog: pytest.LogCaptureFixture
) -> None:
    damage(storage, f"runs/{BAD}/checkpoint.pt", by)
    assert RunFolder(storage, BAD).own_checkpoint() is None
    assert storage.list(f"runs/{BAD}") == ["checkpoint.pt.damaged", "run.json"]
    assert RunFolder(storage, GOOD).own_checkpoint() is not None
    assert len(caplog.messages) == 1


@pytest.mark.parametrize(
    "tree",
    [
        {"history": [], "elapsed": 1.0},
        {"state": [1], "history": [], "elapsed": 1.0},
        {"state": {"weights": 1}, "history": [], "elapsed": 1.0},
        {"state": {"epoch": 1}, "history": 3, "elapsed": 1.0},
        {"state": {"epoch": 1}, "history": []},
    ],
    ids=str,
)
def test_a_checkpoint_without_a_state_is_none(
    storage: Storage, tree: dict[str, object], caplog: pytest.LogCaptureFixture
) -> None:
    storage.write_bytes(f"runs/{BAD}/checkpoint.pt", encode(tree))
    assert RunFolder(storage, BAD).own_checkpoint() is None
    assert "set aside as checkpoint.pt.damaged" in caplog.text


def test_a_folder_in_the_place_of_a_file_is_set_aside(
    storage: Storage, caplog: pytest.LogCaptureFixture
) -> None:
    storage.delete(f"runs/{BAD}/checkpoint.pt")
    storage.write_bytes(f"runs/{BAD}/checkpoint.pt/file", b"")
    assert RunFolder(storage, BAD).own_checkpoint() is None
    assert "is a folder; set aside as checkpoint.pt.damaged" in caplog.text


def test_what_was_set_aside_before_stays(storage: Storage) -> None:
    for name in ("run.json.damaged", "run.json.damaged-2", "run.json.damaged-3"):
        storage.write_bytes(f"runs/{BAD}/run.json", name.encode())
        assert RunFolder(storage, BAD).record() is None
        assert storage.read_bytes(f"runs/{BAD}/{name}") == name.encode()


def test_a_damaged_evaluation_does_not_hide_the_others(storage: Storage) -> None:
    folder = RunFolder(storage, GOOD)
    for name in ("knn-1", "linear-1"):
        done = EvaluationRecord(run=GOOD, protocol="knn", settings={}, results={}, intervals={})
        folder.write_evaluation(name, done, {}, {})
    damage(storage, f"runs/{GOOD}/evaluations/knn-1.json", half_of)
    assert list(folder.evaluations()) == ["linear-1"]
    assert storage.exists(f"runs/{GOOD}/evaluations/knn-1.json.damaged")


@pytest.mark.parametrize("by", DAMAGES)
def test_a_damaged_plan_does_not_hide_other_sweeps(
    storage: Storage, by: Callable[[bytes], bytes]
) -> None:
    plan = {"sweep": "1", "ablation": "head", "base": {}, "seeds": [0], "cells": [], "data": {}}
    for sweep in ("1", "2"):
        tree = plan | {"sweep": sweep, "started": f"2026-01-0{sweep}"}
        storage.write_json(f"sweeps/head/{sweep}/plan.json", tree)
    damage(storage, "sweeps/head/2/plan.json", by)
    assert latest_sweep(storage, "head")["sweep"] == "1"
    with pytest.raises(PlanError, match="no sweep 2"):
        latest_sweep(storage, "head", "2")
    assert storage.list("sweeps/head/2") == ["plan.json.damaged"]


def test_what_cannot_be_renamed_is_taken_as_missing(
    storage: Storage, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """As on a storage that may only be read."""

    def refuse(_: Storage, name: str) -> str:
        raise StorageError(f"{name}: is read-only")

    storage.write_bytes(f"runs/{BAD}/run.json", b"{")
    monkeypatch.setattr(Storage, "set_aside", refuse)
    assert [each.fingerprint for each in all_records(storage)] == [GOOD]
    assert "left where it is, and taken as missing" in caplog.text


def test_json_that_is_sound_is_left_alone(storage: Storage, tmp_path: Path) -> None:
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert len(all_records(storage)) == 2
    assert RunFolder(storage, GOOD).own_checkpoint() is not None
    assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before
    assert json.loads(before[tmp_path / "results" / "runs" / GOOD / "run.json"])
