"""Milliseconds, in process, no Ray: the driver's loop over the steps of a search.

What runs a step is a function of the test, which leaves scores up to each rung, or a failure.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from orchestrator.commands import sweep as sweep_module
from orchestrator.commands.check import check
from orchestrator.commands.next_round import next_round
from orchestrator.commands.request import Request
from orchestrator.commands.result import Finished
from orchestrator.commands.sweep import Sweep
from orchestrator.plan import Plan, PlannedCell, jobs_of
from orchestrator.plan.rounds import Outcome
from orchestrator.plan.study import Study
from orchestrator.resources import ClusterShape
from orchestrator.run_record import SCORE, RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.runs import RunFolder, finished_records
from orchestrator.storage.sweeps import kept_search
from orchestrator.tracking import CellRun, ParentRun
from workloads.simclr.spec import RunSpec

SHAPE = ClusterShape(((2.0, 0.0),))
EPOCHS = 3


class NoTracker:
    """Takes all that a tracker is told; keeps how sweeps ended."""

    def __init__(self) -> None:
        self.sweeps: list[str] = []

    def sweep(self, experiment: str, sweep_id: str, **_: Any) -> ParentRun:
        return ParentRun(experiment, "parent", sweep_id)

    def describe(self, *_: Any, **__: Any) -> None:
        pass

    def reconcile(self, _: ParentRun) -> list[str]:
        return []

    def finished_cells(self, _: ParentRun) -> dict[str, CellRun]:
        return {}

    def stopped_cells(self, _: ParentRun) -> dict[str, CellRun]:
        return {}

    def cell(self, parent: ParentRun, fingerprint: str, **_: Any) -> CellRun:
        return CellRun(parent.experiment_id, fingerprint, fingerprint)

    def log_epochs(self, *_: Any) -> None:
        pass

    log_data = log_epochs

    def finish(self, *_: Any, **__: Any) -> None:
        pass

    def finish_sweep(self, *_: Any, status: str, **__: Any) -> None:
        self.sweeps.append(status)


class Steps:
    """Runs steps: scores up to the rung of each setting, or a failure; keeps which ones it ran."""

    def __init__(self) -> None:
        self.ran: list[list[PlannedCell]] = []
        self.failing: Callable[[PlannedCell], bool] = lambda _: False

    def __call__(
        self,
        plans: Sequence[Plan],
        storage: Storage,
        recorder: Any,
        *_: Any,
        given_up: Collection[str],
        **__: Any,
    ) -> Outcome:
        done = finished_records(plans, storage)
        cells = {
            name: cell
            for name, cell in jobs_of(plans).items()
            if name not in done and name not in given_up
        }
        self.ran.append(list(cells.values()))
        failed: dict[str, RunRecord] = {}
        for name, cell in cells.items():
            recorder.started(name)
            record = self._record(cell)
            if record.has_failed:
                failed[name] = record
            RunFolder(storage, name).write_record(record)
            recorder.ended(name, record)
        return Outcome(failed, ())

    def _record(self, cell: PlannedCell) -> RunRecord:
        about: Mapping[str, Any] = {
            "name": cell.name,
            "fingerprint": cell.fingerprint,
            "spec": cell.spec.tree(),
        }
        if self.failing(cell):
            return RunRecord(**about, status="failed", error="no", log_tail=["no"])
        score = 100 - 50 * temperature(cell)
        last = cell.until or EPOCHS
        return RunRecord(
            **about,
            status="finished" if last == EPOCHS else "stopped",
            results={SCORE: score},
            epoch=float(last),
            history=[{"epoch": float(epoch), SCORE: score} for epoch in range(1, last + 1)],
            total_seconds=1.0,
        )


def temperature(cell: PlannedCell) -> float:
    assert isinstance(cell.spec, RunSpec)
    return cell.spec.loss.temperature


@pytest.fixture
def searching(
    tmp_path: Path, tiny: Callable[..., dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> Callable[[NoTracker, Steps], Finished]:
    """Continues a search of six temperatures, three at once, in a storage of the test's own."""
    monkeypatch.setattr(sweep_module, "search_report", lambda *_, **__: Finished(0, {}))
    fields = tiny(schedule__epochs=EPOCHS).items()
    request = Request(
        (),
        preset="shapes",
        assignments=tuple(f"{field}={value}" for field, value in fields),
        search=("loss.temperature=0.1,0.2,0.3,0.4,0.5,0.6",),
        samples=6,
        sampler="random",
        generation=3,
        flags={"storage": str(tmp_path), "address": None, "tracking_uri": None},
    )

    def run(tracker: NoTracker, steps: Steps) -> Finished:
        checked = check(request)
        console = Console(file=StringIO())
        sweep = Sweep(checked, tracker, steps, console, "simclr-orch tune ...", console)  # type: ignore[arg-type]
        planned = next_round(checked, SHAPE)
        return sweep.run(planned, SHAPE if planned.left else None)

    return run


@pytest.fixture
def study(tmp_path: Path) -> Callable[[], Study]:
    """What the storage has of the only search in it."""

    def read() -> Study:
        storage = Storage(str(tmp_path))
        (sweep,) = storage.list("sweeps/tune")
        kept = kept_search(storage, "tune", sweep)
        assert kept is not None
        return kept.study

    return read


def test_a_setting_that_fails_is_worst_and_tried_again_by_the_next_call(
    searching: Callable[[NoTracker, Steps], Finished], study: Callable[[], Study]
) -> None:
    tracker, steps = NoTracker(), Steps()
    steps.failing = lambda cell: temperature(cell) == 0.1
    finished = searching(tracker, steps)
    assert finished.exit_code == 1
    assert len(finished.document["failed"]) == 1
    assert tracker.sweeps[-1] == "FAILED"
    assert sum(temperature(cell) == 0.1 for cells in steps.ran for cell in cells) == 1
    before = study()
    assert len(before.trials) == 6, "the others go on"
    assert [one.failed for one in before.trials].count("failed") == 1
    assert before.best is not None
    assert before.best.setting == {"loss.temperature": 0.2}
    assert len(before.best.scores) == len(before.rungs)

    again = Steps()
    assert searching(tracker, again).exit_code == 0
    assert tracker.sweeps[-1] == "FINISHED"
    assert {temperature(cell) for cells in again.ran for cell in cells} == {0.1}, "nothing else"
    after = study()
    assert not any(one.failed for one in after.trials)
    assert after.decisions[: len(before.decisions)] == before.decisions, "what was decided stays"
    assert after.best is not None
    assert after.best.setting == {"loss.temperature": 0.1}


def test_a_search_that_is_asked_again_runs_nothing(
    searching: Callable[[NoTracker, Steps], Finished],
    study: Callable[[], Study],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    tracker, steps = NoTracker(), Steps()
    assert searching(tracker, steps).exit_code == 0
    before = study()
    other = RunRecord(name="", fingerprint="0" * 20, status="finished", spec={"seed": 0})
    RunFolder(Storage(str(tmp_path)), other.fingerprint).write_record(other)
    opened, read = set[str](), Storage.read_bytes

    def noted(storage: Storage, name: str) -> bytes | None:
        opened.add(name)
        return read(storage, name)

    monkeypatch.setattr(Storage, "read_bytes", noted)
    again = Steps()
    assert searching(tracker, again).exit_code == 0
    assert again.ran == [[]]
    assert study() == before
    assert f"runs/{other.fingerprint}/run.json" not in opened
    assert any(name.endswith("/run.json") for name in opened)
