"""Milliseconds, by a clock of the test: when a sweep is said to end, and when it does."""

import heapq
import random
from datetime import UTC, datetime, timedelta

import pytest

from orchestrator.live.remaining import Pace, seconds_left
from orchestrator.live.tally import Tally
from orchestrator.plan import Plan, build
from orchestrator.run_record import RunRecord
from search_spaces import ABLATIONS
from workloads.simclr.presets import preset

START = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
EPOCHS = 20
RUNS = 20


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now

    def today(self) -> datetime:
        return START + timedelta(seconds=self.now)


@pytest.fixture(scope="module")
def plan() -> Plan:
    return build(ABLATIONS["temperature"], preset("shapes"), seeds=3)


def simulated(
    plan: Plan, lengths: list[float], expected: list[float], at_once: int
) -> tuple[list[tuple[float, float]], float]:
    """Run cells of these lengths in their order, and note at each event the end that is foretold.

    A twentieth of each run is its start, a tenth what follows its last epoch. Returns times with
    the ends foretold at them, and the real end.
    """
    clock, names = Clock(), list(plan.jobs)[: len(lengths)]
    tally = Tally(
        [plan],
        concurrent=at_once,
        expected=dict(zip(names, expected, strict=True)),
        clock=clock,
        today=clock.today,
    )
    for name in list(plan.jobs)[len(lengths) :]:
        tally.taken_over(name, record_of(name))
    waiting = list(zip(names, lengths, strict=True))
    events: list[tuple[float, int, str, float]] = []

    def begin() -> None:
        name, length = waiting.pop(0)
        tally.began(name, name, EPOCHS, [name])
        for epoch in range(1, EPOCHS + 1):
            at = clock.now + length * (0.05 + 0.85 * epoch / EPOCHS)
            heapq.heappush(events, (at, epoch, name, length))
        heapq.heappush(events, (clock.now + length, EPOCHS + 1, name, length))

    for _ in range(at_once):
        begin()
    told = []
    while events:
        clock.now, epoch, name, _ = heapq.heappop(events)
        if epoch <= EPOCHS:
            tally.epoch(name, {"epoch": float(epoch), "loss": 1.0})
        else:
            tally.ended(name, record_of(name))
            if waiting:
                begin()
        end = tally.progress()[0].expected_end
        assert end is not None
        told.append((clock.now, (end - START).total_seconds()))
    return told, clock.now


def record_of(name: str) -> RunRecord:
    about = {"name": name, "fingerprint": name, "status": "finished", "spec": {}}
    return RunRecord.read(about | {"results": {"linear_top1": 1.0}})


def known(lengths: list[float], draws: random.Random) -> list[float]:
    """A machine three times as slow as was thought, and each length off by up to a fifth."""
    return [length / 3 * draws.uniform(0.8, 1.2) for length in lengths]


@pytest.mark.parametrize("seed", range(10))
@pytest.mark.parametrize("at_once", [1, 2, 4])
def test_from_half_time_on_the_end_is_right_within_a_fifth(
    plan: Plan, seed: int, at_once: int
) -> None:
    draws = random.Random(seed)
    lengths = [10 * 10 ** draws.uniform(0, 1) for _ in range(RUNS)]
    told, end = simulated(plan, lengths, known(lengths, draws), at_once)
    wrong = [foretold / end - 1 for at, foretold in told if at >= end / 2]
    assert max(map(abs, wrong)) <= 0.2


def test_a_length_that_nobody_knew_is_learned_from_its_epochs(plan: Plan) -> None:
    """All are thought equal, and one that is ten times as long begins last."""
    told, end = simulated(plan, [10.0] * 4 + [100.0], [10.0] * 5, 1)
    soon = next(foretold for at, foretold in told if at > 40 + 0.2 * 100)
    assert soon == pytest.approx(end, rel=0.2)


def test_what_an_earlier_process_has_trained_makes_no_run_look_fast() -> None:
    """It went on at epoch 90 of 100: a tenth of its work took a tenth of its time."""
    resumed = Pace(100.0, running_for=10.0, ended=True, epochs=100, done=10, at=10.0, an_epoch=1.0)
    assert seconds_left([resumed, Pace(100.0)], 1) == pytest.approx(100.0)


def test_nothing_is_foretold_where_nothing_is_known() -> None:
    assert seconds_left([Pace(0.0), Pace(0.0)], 2) is None
    assert seconds_left([], 2) == 0.0
    assert seconds_left([Pace(5.0), Pace(7.0), Pace(1.0)], 2) == 7.0
