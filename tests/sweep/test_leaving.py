"""Several processes over gloo, and threads: at which step workers leave, and for what reason."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch.distributed as dist

from orchestrator.cell import stop_watch
from orchestrator.cell.job import CellJob, Pack
from orchestrator.cell.stop_watch import StopWatch
from orchestrator.storage import Storage
from orchestrator.storage.stop_requests import ask_to_stop
from orchestrator.sweep.watcher import PACK, TAKEN, Watcher
from workloads.distributed.agreement import agreed
from workloads.distributed.worker import Worker

WORKERS = 3
STEPS = 2000


def step_at_which_it_stops(_folder: Path) -> int:
    """Only the last worker is asked, from a step of its own on."""
    worker = Worker.here("cpu")
    now = 0
    stop = agreed(lambda: worker.rank == WORKERS - 1 and now >= 40, worker)
    while now < STEPS:
        now += 1
        dist.barrier()
        if stop():
            break
    assert stop()  # and so it stays
    return now


def test_workers_stop_at_the_same_step_whichever_of_them_is_asked(
    gloo_group: Callable[..., list[Any]], tmp_path: Path
) -> None:
    steps = gloo_group(step_at_which_it_stops, tmp_path, WORKERS, seconds=120)
    assert len({*steps}) == 1
    assert 40 <= steps[0] < STEPS - 1


def test_one_worker_asks_nobody() -> None:
    def stop() -> bool:
        return True

    assert agreed(stop, Worker.here("cpu")) is stop


@pytest.fixture
def job(tmp_path: Path) -> CellJob:
    return CellJob("a cell", "simclr", "abc", {}, str(tmp_path), stops=("sweeps/one/stop",))


def test_a_request_is_seen_and_ends_the_process_that_does_not_leave(
    job: CellJob, wait_for: Callable[..., None], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_watch, "SECONDS_BETWEEN_LOOKS", 0.05)
    ended = list[bool]()
    with StopWatch([job], grace=0.05, end=lambda: ended.append(True)) as watch:
        assert not watch.is_leaving()
        ask_to_stop(Storage(job.storage), "one", ["abc"])
        wait_for(watch.is_asked)
        assert watch.is_leaving()
        assert watch.taken is None
        wait_for(lambda: ended)


def test_a_node_that_is_drained_takes_its_worker_and_not_who_waits_for_workers(
    job: CellJob, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stop_watch, "own_node_is_draining", lambda: True)
    with StopWatch([job]) as watch:
        assert watch.is_leaving()
        assert watch.taken == "node"
        assert not watch.is_asked()
    with StopWatch([job], requests_only=True) as watch:
        assert not watch.is_leaving()


HEARD = """
import os, signal
from orchestrator.cell import ears
before = []
ears.ray.is_initialized = lambda: True
class Context:
    def get_actor_id(self): return "an actor"
ears.ray.get_runtime_context = Context
signal.signal(signal.SIGTERM, lambda *_: before.append(True))
import pickle
for _ in range(2):
    pickle.loads(pickle.dumps(ears.Ears()))
os.kill(os.getpid(), signal.SIGTERM)
assert before == [True] and not ears.is_told_to_end()
ears.hearing(1)
os.kill(os.getpid(), signal.SIGTERM)
assert before == [True] and ears.is_told_to_end()
os.kill(os.getpid(), signal.SIGTERM)
assert before == [True, True]
"""


def test_a_worker_hears_that_it_is_to_end_only_while_it_has_something_to_keep() -> None:
    subprocess.run([sys.executable, "-c", HEARD], check=True, timeout=300)


class Silent:
    """Takes what a recorder and a progress are told, and keeps only lines."""

    def __init__(self) -> None:
        self.lines = list[str]()

    def line(self, text: str) -> None:
        self.lines.append(text)

    def is_asked_to_stop(self, _: object) -> bool:
        return False


@pytest.mark.parametrize("tune_counts", [1, 0], ids=["told to end", "drained, as Tune knows"])
def test_a_process_that_was_taken_is_no_failure_and_one_that_crashes_later_is(
    tune_counts: int, job: CellJob
) -> None:
    silent: Any = Silent()
    watcher = Watcher({job.fingerprint: Pack((job,), "running")}, silent, silent)
    trial: Any = SimpleNamespace(
        config={PACK: job.fingerprint}, run_metadata=SimpleNamespace(num_failures=1)
    )
    watcher.on_trial_result(0, [], trial, {TAKEN: "signal"})
    trial.run_metadata.num_failures += tune_counts
    assert trial.run_metadata.num_failures <= 1  # as many as there may be: it is begun again
    watcher.on_trial_recover(0, [], trial)
    assert trial.run_metadata.num_failures == 1
    (line,) = silent.lines
    assert "a cell: its process was told to end; its state is kept" in line

    trial.run_metadata.num_failures += 1
    watcher.on_trial_recover(0, [], trial)
    assert trial.run_metadata.num_failures == 2
