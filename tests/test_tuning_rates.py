"""A second: how often one of two equal tuned cells is called better, on simulated sweeps."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest


@pytest.fixture(scope="module")
def simulation(repository: Path) -> Iterator[ModuleType]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(repository / "benchmarks"))
        import tuning

        yield tuning


def rates(simulation: ModuleType, way: str, **cell: float) -> tuple[float, float]:
    cells = (simulation.Cell(**cell), simulation.Cell())
    return simulation.wrong(cells, way, 5, trials=2000)


def test_choosing_anew_on_splits_of_their_own_keeps_the_level_of_equal_cells(
    simulation: ModuleType,
) -> None:
    for rate in rates(simulation, "per seed"):
        assert rate < 7.5
    for rate in rates(simulation, "once"):
        assert rate > 12
    for rate in rates(simulation, "per seed, one split"):
        assert rate > 8, "a common split brings its luck into every seed"


def test_reporting_the_run_that_was_chosen_would_favour_cells_whose_runs_vary(
    simulation: ModuleType,
) -> None:
    varies, steady = rates(simulation, "per seed, own run", run=1.4)
    assert varies > 20
    assert steady < 2
    assert rates(simulation, "per seed", run=1.4)[0] < 7.5


def test_more_candidates_do_not_make_a_cell_better(simulation: ModuleType) -> None:
    assert (
        simulation.wrong(
            (simulation.Cell(), simulation.Cell(candidates=4)), "per seed", 5, trials=2000
        )[0]
        < 5
    )


def test_what_is_reported_is_of_the_candidate_that_was_chosen(simulation: ModuleType) -> None:
    """Without any luck that is the best one, and all spread is that of runs."""
    rng = np.random.default_rng(0)
    cell = simulation.Cell(run=0.0, split=0.0)
    for way in simulation.WAYS:
        assert not simulation.values(rng, cell, way, 3, 50).any()
