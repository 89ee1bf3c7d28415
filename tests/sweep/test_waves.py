"""Milliseconds, in process, no Ray: which runs start once others have been trained."""

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.commands.check import check
from orchestrator.commands.request import Request
from orchestrator.plan import Plan, PlannedCell, jobs_of
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder
from orchestrator.sweep.run import run
from orchestrator.sweep.watcher import Watcher


class Silent:
    """Takes what a recorder and a progress are told, and keeps nothing."""

    def taken_over(self, *_: Any) -> None:
        pass

    def ended(self, *_: Any) -> None:
        pass


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


@pytest.fixture
def plan(storage: Storage, tiny: Callable[..., dict[str, Any]]) -> Plan:
    """Candidates of one training, which differ in how its encoder is fine-tuned."""
    request = Request(
        ("few-labels",),
        preset="shapes",
        assignments=tuple(f"{name}={value}" for name, value in tiny(schedule__epochs=1).items()),
        flags={"storage": storage.uri, "address": None, "tracking_uri": None},
    )
    (plan,) = check(request).plans
    return plan


def test_what_waits_takes_the_state_of_what_was_trained_and_no_other_record_is_opened(
    plan: Plan, storage: Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    cells: dict[str, PlannedCell] = jobs_of([plan])
    waves: list[dict[str, str | None]] = []

    def tune(_: object, watcher: Watcher, *__: Any) -> None:
        jobs = [job for pack in watcher.packs.values() for job in pack.jobs]
        waves.append({job.fingerprint: job.trained_by for job in jobs})
        for job in jobs:
            record = RunRecord(
                name=job.name,
                fingerprint=job.fingerprint,
                status="finished",
                spec=cells[job.fingerprint].spec.tree(),
                trained_by=job.trained_by,
            )
            RunFolder(storage, job.fingerprint).write_record(record)
            watcher.ended.add(job.fingerprint)

    other = RunRecord(name="", fingerprint="0" * 20, status="finished", spec={"seed": 0})
    RunFolder(storage, other.fingerprint).write_record(other)
    opened, read = set[str](), Storage.read_bytes

    def noted(there: Storage, name: str) -> bytes | None:
        opened.add(name)
        return read(there, name)

    monkeypatch.setattr(Storage, "read_bytes", noted)
    run_module = sys.modules[run.__module__]  # the package has a function of this name
    monkeypatch.setattr(run_module, "_tune", tune)
    monkeypatch.setattr(run_module, "has_trained_state", lambda *_: True)
    silent: Any = Silent()
    outcome = run(
        [plan],
        storage,
        silent,
        silent,
        records=(),
        given_up=(),
        concurrent=2,
        max_failures=0,
        shared_storage=False,
    )
    assert outcome.complete
    first, second = waves
    assert not any(first.values())
    assert first.keys() | second.keys() == cells.keys()
    assert second
    assert {*second.values()} <= first.keys()
    assert f"runs/{other.fingerprint}/run.json" not in opened
