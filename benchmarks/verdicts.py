"""How often verdicts are wrong, and how soon they come, on simulated results whose truth is known.

For each kind of noise: false "reproduced" when one comparison of m is barely wrong and the others
beyond doubt, false "contradicted" when all are barely right, and how far one gets with a planned
schedule of looks when a cell is better by 1.5, 3 or 6 standard deviations of one run. Rates are
percent, to be held against a level of 5.

    python benchmarks/verdicts.py [--trials 1000] [--max-seeds 8]
"""

import argparse
import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from orchestrator.verdicts import ClaimVerdict, Looks, Values, judge, looks_up_to
from search_spaces.claims import Claim, Place, beats

Draws = npt.NDArray[np.floating[Any]]
Noise = Callable[[np.random.Generator, int], Draws]


def normal(rng: np.random.Generator, n: int) -> Draws:
    """What t-tests assume, with standard deviation 1."""
    return rng.normal(0, 1, n)


def heavy_tailed(rng: np.random.Generator, n: int) -> Draws:
    """Student's t with 3 degrees of freedom, scaled to standard deviation 1."""
    return rng.standard_t(3, n) / math.sqrt(3)


def skewed(rng: np.random.Generator, n: int) -> Draws:
    """Mostly a little above the mean and sometimes far below."""
    return 1 - rng.exponential(1, n)


def collapsing(rng: np.random.Generator, n: int) -> Draws:
    """One run in ten is 10 standard deviations of the others below them."""
    collapsed = rng.random(n) < 0.1
    return math.sqrt(0.1) * (rng.normal(1, 1, n) - 10 * collapsed)


def coarse(rng: np.random.Generator, n: int) -> Draws:
    """Accuracy whose standard deviation is less than one test image: 7.2 of 8 on average."""
    right = rng.binomial(8, 0.9, n) - 7.2
    return right / math.sqrt(0.72)


def steady(rng: np.random.Generator, n: int) -> Draws:
    """Normal with a third of the spread, so that the other cell's noise is not cancelled by its
    like.
    """
    return rng.normal(0, 1 / 3, n)


# Of the cell that should be better, and of the others.
NOISES: Sequence[tuple[Noise, Noise]] = (
    (normal, normal),
    (heavy_tailed, heavy_tailed),
    (coarse, coarse),
    (skewed, steady),
    (collapsing, steady),
)
BETTER: Place = ("better",)


def simulate(
    rng: np.random.Generator, noises: tuple[Noise, Noise], gains: Sequence[float], seeds: int
) -> tuple[Claim, Values]:
    """A cell that beats others by the gains, and results of all, with an effect of the seed that
    they share.
    """
    others: list[Place] = [(f"other {index}",) for index in range(len(gains))]
    common = rng.normal(50, 3, seeds)
    columns = {BETTER: common + noises[0](rng, seeds)}
    columns |= {
        at: common + noises[1](rng, seeds) - gain for at, gain in zip(others, gains, strict=True)
    }
    claim = Claim.alike("better", "simulated", *(beats(BETTER, at) for at in others))
    return claim, {(at, None): dict(enumerate(column.tolist())) for at, column in columns.items()}


def verdicts(
    noises: tuple[Noise, Noise],
    gains: Sequence[float],
    seeds: int,
    looks: Sequence[int],
    trials: int,
) -> list[ClaimVerdict]:
    """Verdicts on so many independent simulations, the same for the same arguments."""
    rng = np.random.default_rng([len(gains), seeds])
    found = []
    for _ in range(trials):
        claim, values = simulate(rng, noises, gains, seeds)
        found.append(judge(claim, "small", values, looks=Looks(tuple(looks))))
    return found


def percent(found: Sequence[ClaimVerdict], verdict: str) -> float:
    """How many of the verdicts are this one."""
    return 100 * sum(one.verdict == verdict for one in found) / len(found)


def main() -> None:
    """Print one line for each kind of noise, number of comparisons and number of seeds."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=1000)
    parser.add_argument("--max-seeds", type=int, default=8)
    options = parser.parse_args()
    looks = looks_up_to(3, options.max_seeds)
    plans: list[tuple[str, int, Sequence[int]]] = [
        ("2 seeds", 2, ()),
        ("3 seeds", 3, ()),
        ("5 seeds", 5, ()),
    ]
    plans.append((f"looks at {', '.join(map(str, looks))}", options.max_seeds, looks))
    for noises in NOISES:
        name = " against ".join(noise.__name__ for noise in noises)
        for m in (1, 5):
            for plan, seeds, schedule in plans:
                wrong = percent(
                    verdicts(noises, [0.0] + [1e4] * (m - 1), seeds, schedule, options.trials),
                    "reproduced",
                )
                right = percent(
                    verdicts(noises, [0.0] * m, seeds, schedule, options.trials), "contradicted"
                )
                print(
                    f"{name}, m = {m}, {plan}: {wrong:.1f} % falsely reproduced, {right:.1f} % "
                    "falsely contradicted"
                )
        for gain in (1.5, 3.0, 6.0):
            found = verdicts(noises, [gain], options.max_seeds, looks, options.trials)
            needed = statistics.fmean(one.seeds for one in found)
            reproduced = percent(found, "reproduced")
            print(
                f"{name}, better by {gain:g} sd, {plans[-1][0]}: {reproduced:.0f} % "
                f"reproduced, {needed:.1f} seeds on average"
            )


if __name__ == "__main__":
    main()
