"""Milliseconds: what a sweep says where there is no terminal, and leaves for those elsewhere."""

import io
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from orchestrator.live import live_sweep
from orchestrator.live.live_sweep import LiveSweep
from orchestrator.plan import Plan, build
from orchestrator.run_record import RunRecord
from orchestrator.storage import Storage
from orchestrator.storage.progress import read_progress
from search_spaces import ABLATIONS
from workloads.simclr.presets import preset

EPOCH = {"epoch": 46.0, "loss": 5.4571, "images_per_second": 16179.2}
Open = Callable[[Console], LiveSweep]


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The time that the lines see."""
    clock = Clock()
    monkeypatch.setattr(live_sweep.time, "monotonic", clock)
    return clock


@pytest.fixture(scope="module")
def plan() -> Plan:
    """Seven runs: six temperatures and the untrained encoder."""
    return build(ABLATIONS["temperature"], preset("shapes"))


@pytest.fixture
def storage(tmp_path: Path) -> Storage:
    return Storage(str(tmp_path))


@pytest.fixture
def opened(plan: Plan, storage: Storage) -> Open:
    return lambda console: LiveSweep(console, [plan], storage, command="simclr-orch ablate x")


def record_of(plan: Plan, fingerprint: str, status: str = "finished") -> RunRecord:
    tree = {"name": plan.jobs[fingerprint].name, "fingerprint": fingerprint, "status": status}
    more = {"results": {"linear_top1": 75.6}} if status == "finished" else {"error": "oh\nno"}
    return RunRecord.read(tree | {"spec": {}} | more)


def test_a_long_cell_says_once_a_minute_where_it_is(clock: Clock, plan: Plan, opened: Open) -> None:
    written, name = io.StringIO(), list(plan.jobs)[1]
    title = plan.jobs[name].name
    with opened(Console(file=written)) as shown:
        shown.started(name, title, 150, [name])
        for seconds in (30, 61, 90, 122):
            clock.now = 1000.0 + seconds
            shown.epoch(name, EPOCH | {"epoch": float(seconds)})
        shown.ended(name, record_of(plan, name), "linear top1 75.6 in 122 s")
        shown.epoch(name, EPOCH)
    assert written.getvalue().splitlines() == [
        f"{title}: epoch 61 of 150, loss 5.457, 16,179 images/s",
        f"{title}: epoch 122 of 150, loss 5.457, 16,179 images/s",
        f"[1/7] {title}: linear top1 75.6 in 122 s",
    ]


def test_cells_that_had_finished_before_are_counted(plan: Plan, opened: Open) -> None:
    written, names = io.StringIO(), list(plan.jobs)
    with opened(Console(file=written)) as shown:
        shown.taken_over({name: record_of(plan, name) for name in names[:5]})
        shown.taken_over({})
        shown.started(names[5], plan.jobs[names[5]].name, 1, [names[5]])
        shown.ended(names[5], record_of(plan, names[5]), "done")
    assert written.getvalue().splitlines() == [
        "temperature: 5 of 7 cells were finished before",
        f"[6/7] {plan.jobs[names[5]].name}: done",
    ]


def test_a_short_cell_says_only_how_it_ended(plan: Plan, opened: Open) -> None:
    written, name = io.StringIO(), list(plan.jobs)[1]
    title = plan.jobs[name].name
    with opened(Console(file=written)) as shown:
        shown.started(name, title, 7, [name])
        shown.epoch(name, EPOCH)
        shown.ended(name, record_of(plan, name), "linear top1 36.4 in 3 s")
    assert written.getvalue().splitlines() == [f"[1/7] {title}: linear top1 36.4 in 3 s"]


def test_others_read_how_far_each_run_is(plan: Plan, storage: Storage, opened: Open) -> None:
    before, runs, fails, ends, *_ = plan.jobs
    with opened(Console(file=io.StringIO())) as shown:
        shown.taken_over({before: record_of(plan, before)})
        for name in (runs, fails, ends):
            shown.started(name, plan.jobs[name].name, 150, [name])
        shown.epoch(runs, EPOCH)
        shown.ended(fails, record_of(plan, fails, "failed"), "no")
        shown.ended(ends, record_of(plan, ends), "linear top1 75.6 in 3 s")

    progress = read_progress(storage, f"temperature/{plan.sweep_id}")
    assert progress is not None
    assert progress.is_alive()
    assert (progress.metric, progress.unit) == ("linear_top1", "%")
    assert progress.axes[0].labels == plan.ablation.layout(plan.scale).axes[0].labels  # type: ignore[union-attr]
    assert list(progress.cells) == list(plan.jobs)
    cells = progress.cells
    assert (cells[before].state, cells[before].result) == ("finished", 75.6)
    assert (cells[ends].state, cells[ends].result) == ("finished", 75.6)
    assert (cells[fails].state, cells[fails].message) == ("failed", "no")
    assert (cells[runs].epoch, cells[runs].epochs, cells[runs].loss) == (46, 150, 5.4571)
    assert cells[runs].since is not None
    assert progress.counts()["waiting"] == 3
