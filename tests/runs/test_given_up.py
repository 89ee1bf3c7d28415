"""Milliseconds: a run whose process dies each time is given up, and taken in as a failed one."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.storage.foreign_runs import read_foreign_run
from workloads.__main__ import main
from workloads.catalog.simclr import SIMCLR
from workloads.runs import run_plan
from workloads.runs.folder import LocalRun
from workloads.runs.local_jobs import LocalPack
from workloads.runs.plan_file import PlanFile
from workloads.runs.processes import Event, RunProcess
from workloads.simclr.presets import preset


def test_what_is_given_up_says_when_it_ended(
    tmp_path: Path,
    plan_of: Callable[..., PlanFile],
    tiny: Callable[..., dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    class Dying(RunProcess):
        """Dies of each pack before it has done anything."""

        def begin(self, pack: LocalPack) -> None:
            self.pack = pack

        def heard(self) -> Event:
            self.pack = None
            return Event("lost", exit_code=-9)

        def kill(self) -> None:
            """There is no process."""

    monkeypatch.setattr(run_plan, "RunProcess", Dying)
    monkeypatch.setattr(run_plan, "events", lambda busy, **_: busy)
    plan = plan_of(preset("shapes").with_values(tiny()))
    plan.write(tmp_path / "plan.json")
    here = ("--device", "cpu", "--at-once", "1", "--threads", "1")
    assert main(["run", str(tmp_path / "plan.json"), "--output", str(tmp_path), *here]) == 1
    assert "and the plan is of 2.11.0" in capsys.readouterr().out
    record = LocalRun(tmp_path, plan.cells[0].fingerprint).record()
    assert record is not None
    assert record.error.startswith("its process was lost 3 times (exit code -9)")
    assert record.ended is not None
    found = read_foreign_run(tmp_path, plan.cells[0], SIMCLR)
    assert found is not None
    assert found.record.has_failed
