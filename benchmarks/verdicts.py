"""How often verdicts are wrong, and how soon they come, on simulated sweeps whose truth is known.

A sweep has ten cells and an effect of the seed that all share. For each kind of noise: how often
"a beats b" is called reproduced, and contradicted, where both are equal; and how often it is found
where a is better by 2, 3 and 5 standard deviations of a run. Columns: so many seeds, the sweep's
spread known ("pooled") or not ("alone"); looks planned from 3 seeds to 10; and a person who looks
at 3, 4, ... 10 seeds without a plan. Rates are percent, to be held against a level of 5. Then a
claim of 20 comparisons, and cells that lose runs.

    python benchmarks/verdicts.py [--trials 1000]
"""

import argparse
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.verdicts import ClaimVerdict, Looks, Values, judge, looks_up_to, spread_of
from search_spaces.claims import Claim, Place, beats
from workloads.quantity import percent

Draws = npt.NDArray[np.floating[Any]]
Noise = Callable[[np.random.Generator, tuple[int, int]], Draws]
CELLS = 10
MOST = 10
PLACES: Sequence[Place] = [(f"cell {number}",) for number in range(21)]
BETTER, OTHER = PLACES[:2]
CLAIM = Claim.alike("better", "simulated", beats(BETTER, OTHER))


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
    """What t-tests assume, with standard deviation 1."""
    return rng.normal(0, 1, shape)


def heavy_tailed(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
    """Student's t with 3 degrees of freedom, scaled to standard deviation 1."""
    return rng.standard_t(3, shape) / math.sqrt(3)


def unequal(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
    """Each cell with a standard deviation of its own, log-normal with 0.5."""
    return rng.normal(0, 1, shape) * np.exp(0.5 * rng.normal(0, 1, (shape[0], 1)))


def noisy(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
    """The better cell three times as noisy as the others."""
    draws = rng.normal(0, 1, shape)
    draws[0] *= 3
    return draws


def coarse(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
    """Accuracies in steps of one standard deviation."""
    return np.round(rng.normal(0, 1, shape))


def tied(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
    """Accuracies in steps of three standard deviations, most of them equal."""
    return 3 * np.round(rng.normal(0, 1, shape) / 3)


def collapsing(share: float, depth: float, *, all_cells: bool) -> Noise:
    """A share of runs so many standard deviations below; mean 0 as in the other cells."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Draws:
        fallen = rng.random(shape) < share
        if not all_cells:
            fallen[1:] = False
        draws = rng.normal(0, 1, shape) - depth * fallen
        draws[slice(None) if all_cells else 0] += share * depth
        return draws

    draw.__name__ = (
        f"{100 * share:g} % of {'all runs' if all_cells else 'the better cell'} collapse by "
        f"{depth:g} sd"
    )
    return draw


NOISES: Sequence[Noise] = (
    normal,
    heavy_tailed,
    unequal,
    noisy,
    coarse,
    tied,
    collapsing(0.05, 10, all_cells=True),
    collapsing(0.1, 30, all_cells=True),
    collapsing(0.05, 10, all_cells=False),
    collapsing(0.1, 30, all_cells=False),
)


def sweep(
    rng: np.random.Generator, noise: Noise, gain: float, seeds: int, cells: int = CELLS
) -> Draws:
    """Values of each cell and seed; the first is better by the gain."""
    values = 50 + rng.normal(0, 1, seeds) + noise(rng, (cells, seeds))
    values[0] += gain
    return values


def as_values(table: Draws) -> Values:
    """The same as what is judged."""
    return {(PLACES[row], None): dict(enumerate(table[row].tolist())) for row in range(len(table))}


def pooled(table: Draws, claim: Claim = CLAIM, looks: Looks = Looks()) -> ClaimVerdict:  # noqa: B008
    """The verdict with the spread of all cells."""
    values = as_values(table)
    return judge(claim, "small", values, looks=looks, spread=spread_of(values))


def alone(table: Draws) -> ClaimVerdict:
    """The verdict with the two cells only."""
    return judge(CLAIM, "small", as_values(table[:2]))


def planned(table: Draws) -> ClaimVerdict:
    """The verdict of looks fixed beforehand."""
    return pooled(table, looks=Looks(looks_up_to(3, table.shape[1])))


def one_at_a_time(table: Draws) -> ClaimVerdict:
    """The verdict of somebody who looks at every number of seeds from 3 on, the looks kept."""
    label = CLAIM.small[0].label
    taken: dict[str, Any] = {label: ()}
    found = None
    for seeds in range(3, table.shape[1] + 1):
        values = as_values(table[:, :seeds])
        found = judge(CLAIM, "small", values, taken=taken, spread=spread_of(values))
        if found.verdict != "undecided":
            return found
        taken = {label: found.judged[0].looks}
    assert found is not None, "there are more than three seeds"
    return found


COLUMNS: Sequence[tuple[str, int, Callable[[Draws], ClaimVerdict]]] = (
    ("3 pooled", 3, pooled),
    ("5 pooled", 5, pooled),
    ("10 pooled", 10, pooled),
    ("5 alone", 5, alone),
    ("10 alone", 10, alone),
    ("planned", MOST, planned),
    ("by hand", MOST, one_at_a_time),
)


def rates(
    noise: Noise,
    gain: float,
    seeds: int,
    verdict: Callable[[Draws], ClaimVerdict],
    trials: int,
) -> tuple[float, float]:
    """Percent reproduced and contradicted, the same for the same arguments."""
    rng = np.random.default_rng([seeds, round(10 * gain)])
    found = [verdict(sweep(rng, noise, gain, seeds)).verdict for _ in range(trials)]
    return tuple(100 * found.count(one) / trials for one in ("reproduced", "contradicted"))  # type: ignore[return-value]


def many(gain: float, seeds: int, trials: int, *, wrong: bool) -> float:
    """Percent reproduced of a claim of 20 comparisons; `wrong`: one of the others is as good."""
    claim = Claim.alike("best", "simulated", *(beats(BETTER, at) for at in PLACES[1:21]))
    rng = np.random.default_rng([seeds, wrong])
    found = 0
    for _ in range(trials):
        table = sweep(rng, normal, gain, seeds, 21)
        table[1] += gain * wrong
        found += pooled(table, claim).verdict == "reproduced"
    return 100 * found / trials


def losing(seeds: int, trials: int) -> tuple[float, float]:
    """Percent called better that survive better by 1 sd and are lost in 30 %.

    Of all sweeps, and of those in which a run was lost.
    """
    rng = np.random.default_rng(seeds)
    quantities = {(at, None): percent("accuracy") for at in PLACES}
    better = [0, 0]
    with_loss = 0
    for _ in range(trials):
        table = sweep(rng, normal, 1.0, seeds)
        lost = {seed: "diverged" for seed in range(seeds) if rng.random() < 0.3}
        values = {
            key: {seed: one for seed, one in column.items() if key[0] != BETTER or seed not in lost}
            for key, column in as_values(table).items()
        }
        found = judge(
            CLAIM,
            "small",
            values,
            lost={BETTER: lost},
            spread=spread_of(values),
            quantities=quantities,
        )
        better[bool(lost)] += found.verdict == "reproduced"
        with_loss += bool(lost)
    return 100 * sum(better) / trials, 100 * better[1] / max(1, with_loss)


def main() -> None:
    """Print tables in Markdown."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    trials = parser.parse_args().trials

    print(f"| noise | {' | '.join(name for name, _, _ in COLUMNS)} |")
    print("|---" * (1 + len(COLUMNS)) + "|")
    for noise in NOISES:
        cells = [rates(noise, 0.0, seeds, verdict, trials) for _, seeds, verdict in COLUMNS]
        texts = [f"{wrong:.1f} + {against:.1f}" for wrong, against in cells]
        print(f"| {noise.__name__.replace('_', ' ')} | {' | '.join(texts)} |", flush=True)
    for noise in (normal, heavy_tailed, unequal):
        for gain in (2.0, 3.0, 5.0):
            cells = [rates(noise, gain, seeds, verdict, trials) for _, seeds, verdict in COLUMNS]
            name = f"{noise.__name__.replace('_', ' ')}, better by {gain:g} sd"
            print(f"| {name} | {' | '.join(f'{found:.0f}' for found, _ in cells)} |", flush=True)
    for seeds in (3, 5):
        for gain in (3.0, 5.0):
            right, wrong = (many(gain, seeds, trials // 4, wrong=wrong) for wrong in (False, True))
            print(
                f"20 comparisons, {gain:g} sd, {seeds} seeds: {right:.0f} %, wrong: {wrong:.1f} %"
            )
    for seeds in (3, 5, 10):
        found, of_lost = losing(seeds, trials)
        print(f"lost in 30 %, {seeds} seeds: {found:.1f} % better, with a loss {of_lost:.1f} %")


if __name__ == "__main__":
    main()
