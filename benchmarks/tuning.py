"""How often one of two equal tuned cells is called better, by how its setting was chosen.

Simulated: each cell has candidates up to `spread` points below its best one, and the best ones of
both cells are equally good. Runs have a spread of their own (0.7 points), and a validation split
adds its luck to each candidate (1.2 points: about 1,000 images). The test is the paired one-sided
t-test at 5 %, on each seed's run of the setting that was chosen. The ways to choose:

- once: on one seed, for all seeds.
- per seed, one split: each seed has candidates with seeds of their own, on the common split.
- per seed: the same, on a split of each seed's own. This is what sweeps do by default.
- per seed, own run: the run that was chosen is the one that is reported, on splits as before.

    python benchmarks/tuning.py [--trials 4000]
"""

import argparse
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
from scipy import stats

Values = npt.NDArray[np.floating[Any]]
Way = Literal["once", "per seed, one split", "per seed", "per seed, own run"]
WAYS: tuple[Way, ...] = ("once", "per seed, one split", "per seed", "per seed, own run")
LEVEL = 0.05


@dataclass(frozen=True)
class Cell:
    """A cell that is tuned: how many candidates, and how far they and equal runs lie apart.

    In points of accuracy. `split` is the spread of the luck that a validation split adds.
    """

    candidates: int = 12
    spread: float = 3.0
    run: float = 0.7
    split: float = 1.2


def values(rng: np.random.Generator, cell: Cell, way: Way, seeds: int, trials: int) -> Values:
    """Return what is reported of a cell, above its best candidate: points [T, seeds].

    Each of T trials is a sweep with candidates of its own.
    """
    shape = (trials, seeds, cell.candidates)
    true = -rng.uniform(0, cell.spread, (trials, 1, cell.candidates))
    true[:, :, 0] = 0
    luck = rng.normal(0, cell.split, shape)
    if way in ("once", "per seed, one split"):
        luck = luck[:, :1]
    runs = rng.normal(0, cell.run, shape)
    if way == "once":
        runs = runs[:, :1]
    chosen = np.argmax(true + runs + luck, axis=2)[:, :, None]
    reported = rng.normal(0, cell.run, (trials, seeds))
    if way == "per seed, own run":
        reported = np.take_along_axis(runs, chosen, 2)[:, :, 0]
    taken: Values = np.take_along_axis(
        np.broadcast_to(true, chosen.shape[:2] + true.shape[2:]), chosen, 2
    )
    return taken[:, :, 0] + reported


def called_better(first: Values, second: Values) -> float:
    """Return in how many of the trials the first is called better than the second, in percent."""
    difference = first - second
    seeds = difference.shape[1]
    error = difference.std(axis=1, ddof=1) / np.sqrt(seeds)
    t = difference.mean(axis=1) / error
    return 100 * float((t > stats.t.ppf(1 - LEVEL, seeds - 1)).mean())


def wrong(
    cells: tuple[Cell, Cell], way: Way, seeds: int, *, trials: int, seed: int = 0
) -> tuple[float, float]:
    """Return in percent how often each of two cells is called better than the other."""
    rng = np.random.default_rng([seed, seeds])
    first, second = (values(rng, cell, way, seeds, trials) for cell in cells)
    return called_better(first, second), called_better(second, first)


CASES: dict[str, tuple[Cell, Cell]] = {
    "alike": (Cell(), Cell()),
    "candidates within 1 point": (Cell(spread=1), Cell(spread=1)),
    "candidates within 6 points, 250 images": (
        Cell(spread=6, split=2.4),
        Cell(spread=6, split=2.4),
    ),
    "12 candidates against 4": (Cell(), Cell(candidates=4)),
    "runs of the first vary twice as much": (Cell(run=1.4), Cell()),
}


def main() -> None:
    """Print a line for each case and way to choose, with the percentage at 3, 5 and 10 seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=4000)
    options = parser.parse_args()
    for name, cells in CASES.items():
        for way in WAYS:
            found = [
                f"{seeds} seeds {first:.1f} and {second:.1f} %"
                for seeds in (3, 5, 10)
                for first, second in [wrong(cells, way, seeds, trials=options.trials)]
            ]
            print(f"{name}, {way}: first and second called better: {', '.join(found)}")


if __name__ == "__main__":
    main()
