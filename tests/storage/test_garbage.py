"""What can go from a storage and what never: in a folder, by fsspec and in a bucket; seconds."""

import time
from datetime import UTC, datetime

import pytest

from orchestrator.storage import Storage
from orchestrator.storage.garbage import KINDS, Facts, Garbage, garbage_in
from orchestrator.storage.in_use import InUseNow
from orchestrator.storage.leases import Claim, Lease, Observer, run_lease
from orchestrator.storage.progress import CellProgress, SweepProgress, keep_progress
from orchestrator.storage.rows import run_rows
from workloads.simclr.presets import preset

PLANNED, LENT, SEARCHED, FAILED, STOPPED, GOING = (letter * 20 for letter in "abcdef")


def leave(storage: Storage, run: str, status: str | None, **more: object) -> None:
    """A run with an older and a newest checkpoint, and a record where it has a status."""
    folder, spec = f"runs/{run}", preset("shapes").tree()
    storage.write_bytes(f"{folder}/checkpoint.pt", b"newest")
    storage.write_bytes(f"{folder}/checkpoint-1.pt", b"older")
    storage.write_bytes(f"{folder}/spec.yaml", b"seed: 0")
    if status is not None:
        record = {"name": run[:3], "fingerprint": run, "status": status, "spec": spec}
        ended = "2026-01-01T00:00:00+00:00"
        storage.write_json(f"{folder}/run.json", record | {"ended": ended} | more)


def plan(storage: Storage, sweep: str, *runs: str) -> None:
    cells = [
        {"at": [], "seed": 0, "role": "cell", "name": run[:3], "fingerprint": run} for run in runs
    ]
    tree = {"sweep": sweep.partition("/")[2], "base": {}, "cells": cells, "started": "2026"}
    storage.write_json(f"sweeps/{sweep}/plan.json", tree)


@pytest.fixture
def full(storage: Storage) -> Storage:
    """One of each kind of run, and what killed processes leave."""
    leave(storage, PLANNED, "finished")
    leave(storage, LENT, "finished")
    leave(storage, "0" * 20, "finished", trained_by=LENT)
    leave(storage, SEARCHED, "finished")
    leave(storage, FAILED, "failed", error="it broke")
    leave(storage, STOPPED, None)
    leave(storage, GOING, None)
    plan(storage, "temperature/1", PLANNED, LENT, "0" * 20)
    plan(storage, "tune/2", SEARCHED)
    plan(storage, "losses/3", GOING)
    for name in (
        f"runs/{PLANNED}/run.json.damaged",
        f"runs/{PLANNED}/.log.txt.1234.partial",
        f"ray-train/{PLANNED}/checkpoint/x",
        f"ray-train/{GOING}/checkpoint/x",
        "sweeps/temperature/1/running/one",
        "sweeps/losses/3/running/one",
        "artifacts/mine.partial",
    ):
        storage.write_bytes(name, b"12345")
    now = datetime.now(UTC)
    keep_progress(
        storage,
        SweepProgress(
            name="losses", sweep="3", started=now, updated=now, cells={GOING: CellProgress(name="")}
        ),
    )
    return storage


def facts(storage: Storage) -> Facts:
    rows = {row.fingerprint: row for row in run_rows(storage)}
    return Facts(storage.files(), rows, InUseNow(storage, rows))


def found(storage: Storage, before: float | None = None) -> dict[str, Garbage]:
    before = time.time() + 10 if before is None else before
    return {one.name: one for one in garbage_in(facts(storage), dict.fromkeys(KINDS, before))}


def test_what_nobody_needs_is_found_and_nothing_else(full: Storage) -> None:
    kinds = {name: one.kind for name, one in found(full).items()}
    finished = (PLANNED, LENT, SEARCHED, "0" * 20)
    assert kinds == {
        **{f"runs/{run}/checkpoint-1.pt": "checkpoints" for run in finished},
        f"runs/{FAILED}/checkpoint-1.pt": "checkpoints",
        f"runs/{FAILED}/checkpoint.pt": "checkpoints",
        f"runs/{STOPPED}": "runs",
        f"runs/{PLANNED}/run.json.damaged": "damaged",
        f"ray-train/{PLANNED}": "leftovers",
        "sweeps/temperature/1/running": "leftovers",
        # neither that which others have evaluated, nor that of a search
        f"runs/{PLANNED}/checkpoint.pt": "states",
        f"runs/{'0' * 20}/checkpoint.pt": "states",
        f"runs/{PLANNED}/.log.txt.1234.partial": "partial",
    }


def test_a_folder_goes_as_one_with_the_sizes_of_its_files(full: Storage) -> None:
    one = found(full)[f"runs/{STOPPED}"]
    assert (one.files, one.size) == (3, len(b"newest" + b"older" + b"seed: 0"))


def test_what_was_just_written_stays(full: Storage) -> None:
    assert found(full, before=time.time() - 3600) == {}


def test_records_and_plans_stay_and_the_storage_is_as_sound_after_each_removal(
    full: Storage,
) -> None:
    """Whoever is killed while it removes has removed some of them, in any order."""
    records = {row.fingerprint: row for row in run_rows(full) if row.ended}
    for name in sorted(found(full), reverse=True):
        full.delete(name)
        assert {row.fingerprint: row for row in run_rows(full) if row.ended} == records
    assert found(full) == {}
    assert full.exists("sweeps/losses/3/running/one")
    assert full.read_bytes(f"runs/{LENT}/checkpoint.pt") == b"newest"
    assert full.read_bytes(f"runs/{GOING}/checkpoint.pt") == b"newest"


def test_no_run_is_taken_for_one_without_a_plan_where_a_plan_is_damaged(full: Storage) -> None:
    full.write_bytes("sweeps/noise/4/plan.json.damaged", b"{")
    kinds = {one.kind for one in found(full).values()}
    assert "runs" not in kinds
    assert f"runs/{FAILED}/checkpoint.pt" not in found(full)
    assert "sweeps/noise/4/plan.json.damaged" not in found(full)


def test_what_somebody_has_the_lease_of_stays(full: Storage) -> None:
    with Lease(full) as lease:
        for run in (STOPPED, FAILED):
            assert isinstance(lease.take(run_lease(run), Observer(full)), Claim)
        there = found(full)
        assert f"runs/{PLANNED}/checkpoint-1.pt" in there
        assert not [name for name in there if STOPPED in name or FAILED in name]
    assert f"runs/{STOPPED}" in found(full)
