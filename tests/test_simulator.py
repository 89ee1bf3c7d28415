"""Milliseconds to seconds, one process: the simulated sweep against closed forms and bounds, and
the document against it.
"""

import math
import random
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import fmean
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def simulator(repository: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "benchmarks"))
        import simulator

        yield simulator


@pytest.mark.parametrize(("cells", "gpus"), [(1, 1), (7, 3), (12, 4), (3, 8), (245, 64)])
def test_equal_cells_run_in_rounds(simulator: ModuleType, cells: int, gpus: int) -> None:
    work = [simulator.Cell(train=100.0)] * cells
    result = simulator.simulate(work, simulator.Gpus(count=gpus), simulator.Driver())
    assert result.wall_seconds == math.ceil(cells / gpus) * 100
    assert result.useful == pytest.approx(cells * 100 / 3600)
    assert result.useful + result.idle == pytest.approx(
        min(cells, gpus) * result.wall_seconds / 3600
    )


def test_any_cells_stay_within_grahams_bound(simulator: ModuleType) -> None:
    """List scheduling: at most sum / m + (1 - 1 / m) max (Graham 1969), and never less than either
    lower bound.
    """
    chance = random.Random(0)
    for _ in range(200):
        durations = [chance.expovariate(1) for _ in range(chance.randint(1, 40))]
        groups = min(chance.randint(1, 8), len(durations))
        cells = [simulator.Cell(train=each) for each in durations]
        wall = simulator.simulate(
            cells, simulator.Gpus(count=2 * groups, per_cell=2), simulator.Driver()
        ).wall_seconds
        most = sum(durations) / groups + (1 - 1 / groups) * max(durations)
        assert max(sum(durations) / groups, max(durations)) - 1e-9 <= wall <= most + 1e-9


def test_the_mean_time_under_preemption_is_dalys(simulator: ModuleType) -> None:
    """Of n segments with their checkpoints: n (M + R) (exp((interval + C) / M) - 1), exact for a
    Poisson process.
    """
    between, restart, checkpoint, interval, segments = 1000.0, 40.0, 20.0, 300.0, 3000
    gpus = simulator.Gpus(
        count=4, per_cell=4, preemptions=3600 / between / 4, node_start=30.0, first_start=10.0
    )
    cell = simulator.Cell(train=segments * interval, interval=interval, checkpoint=checkpoint)
    results = [simulator.simulate([cell], gpus, simulator.Driver(), seed) for seed in range(20)]
    expected = (
        segments * (between + restart) * math.expm1((interval + checkpoint) / between) + restart
    )
    assert fmean(result.wall_seconds for result in results) == pytest.approx(expected, rel=0.01)
    for result in results:
        assert result.useful == pytest.approx(4 * cell.train / 3600)
        assert result.gpu_hours == pytest.approx(4 * result.wall_seconds / 3600)
    assert fmean(result.preemptions[0] for result in results) == pytest.approx(
        expected / (between + restart), rel=0.15
    )


def test_a_preempted_evaluation_begins_again_and_training_does_not(simulator: ModuleType) -> None:
    between, evaluate = 1000.0, 1500.0
    gpus = simulator.Gpus(count=1, preemptions=3600 / between)
    cells = [simulator.Cell(train=10.0, evaluate=evaluate, interval=10.0)] * 4000
    result = simulator.simulate(cells, gpus, simulator.Driver())
    alone = between * math.expm1(evaluate / between)
    assert result.wall_seconds / len(cells) == pytest.approx(
        alone + between * math.expm1(10 / between), rel=0.05
    )


def test_the_best_checkpoint_interval_is_youngs(simulator: ModuleType) -> None:
    checkpoint, between = 10.0, 5000.0
    best = simulator.poisson_interval(checkpoint, between)
    assert best == pytest.approx(316.2, abs=0.1)
    gpus = simulator.Gpus(count=1, preemptions=3600 / between)

    def hours(interval: float) -> float:
        cell = simulator.Cell(train=20 * best, interval=interval, checkpoint=checkpoint)
        return float(simulator.simulate([cell] * 3000, gpus, simulator.Driver()).gpu_hours)

    taken = {factor: hours(factor * best) for factor in (0.25, 0.5, 1.0, 2.0, 4.0)}
    assert min(taken, key=taken.__getitem__) == 1.0
    work = 3000 * 20 * best / 3600
    assert taken[1.0] / work - 1 == pytest.approx(math.sqrt(2 * checkpoint / between), rel=0.1)


@pytest.mark.parametrize(
    ("gpus", "rate", "load"),
    [(5, 5 / 5.5, 5 / 11), (10, 10 / 5.5, 10 / 11), (11, 2.0, 1.0), (40, 2.0, 1.0)],
)
def test_the_driver_is_full_where_cells_end_as_fast_as_it_serves_them(
    simulator: ModuleType, gpus: int, rate: float, load: float
) -> None:
    """Half a second of it for a cell: no more than two cells a second, however many GPUs there
    are.
    """
    cells = [simulator.Cell(train=5.0)] * 2000
    result = simulator.simulate(cells, simulator.Gpus(count=gpus), simulator.Driver(start=0.5))
    assert len(cells) / result.wall_seconds == pytest.approx(rate, rel=0.02)
    assert result.driver_utilisation == pytest.approx(load, rel=0.02)


def test_writes_to_mlflow_are_the_drivers_time(simulator: ModuleType) -> None:
    driver = simulator.Driver(start=1.0, write=0.5, between_writes=10.0)
    result = simulator.simulate([simulator.Cell(train=100.0)] * 3, simulator.Gpus(count=1), driver)
    assert result.wall_seconds == 303
    assert result.driver_utilisation == pytest.approx(3 * (1 + 9 * 0.5) / 303)


def test_groups_that_wait_are_given_back(simulator: ModuleType) -> None:
    cells = [simulator.Cell(train=1000.0), simulator.Cell(train=100.0)]
    result = simulator.simulate(
        cells, simulator.Gpus(count=2, idle_kept=60.0, price=2.0), simulator.Driver()
    )
    assert result.wall_seconds == 1000
    assert result.gpu_hours == pytest.approx((1000 + 100 + 60) / 3600)
    assert result.cost == pytest.approx(2 * result.gpu_hours)


def test_a_lost_cell_moves_to_a_group_that_waits(simulator: ModuleType) -> None:
    """Two groups, one cell, preempted often: the other group takes over without waiting for a new
    node.
    """
    cells = [simulator.Cell(train=1.0), simulator.Cell(train=1000.0, interval=1.0)]
    gpus = simulator.Gpus(count=2, preemptions=3600 / 500, node_start=1e6)
    results = [simulator.simulate(cells, gpus, simulator.Driver(), seed) for seed in range(40)]
    lost_once = [result.wall_seconds for result in results if result.preemptions == (0, 1)]
    assert lost_once
    assert max(lost_once) < 1e6 + 1002


def test_too_few_gpus_are_refused(simulator: ModuleType) -> None:
    with pytest.raises(ValueError, match="4 GPUs do not serve a cell of 8"):
        simulator.simulate(
            [simulator.Cell(train=1.0)], simulator.Gpus(count=4, per_cell=8), simulator.Driver()
        )


def test_the_document_shows_what_the_simulation_prints(repository: Path) -> None:
    printed = subprocess.run(
        [sys.executable, str(repository / "benchmarks" / "simulate.py")],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    document = (repository / "docs" / "scaling.md").read_text()
    tables = printed.strip().split("\n\n**")
    assert len(tables) == 5
    for table in tables:
        assert table.removeprefix("**") in document, table
