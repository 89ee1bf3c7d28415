"""One comparison of rates: how often something happens in a cell's runs, by exact tests.

- One cell against a bound ("in 9 of 10 runs or more"): the exact binomial test. The rate is shown
  to be the bound or more when so many runs or more of n would have probability alpha at most at the
  bound, and to be below it when so few or fewer would have alpha / m. 29 of 29 show 0.9 at 5 %, and
  5 of 5 do not. The interval is that of Clopper and Pearson (1934).
- Two cells: the exact test on the discordant pairs (McNemar). The runs of a seed share what the
  seed decides, so pairs in which both do the same say nothing, and in those left either is as
  likely to be the one, if the rates are equal. An unconditional test gains power from few pairs,
  but takes the runs of a seed as unrelated.

Every run counts. One that is lost did not do it, whatever it is.
"""

from collections.abc import Sequence

import numpy as np
from scipy.special import bdtr, bdtrc, betaincinv

from orchestrator.verdicts.judged import Evidence, Judged, Schedule, Verdict
from search_spaces.claims import Comparison, Event

__all__ = ["judge_rate"]

POWER = 0.8
MOST_SEEDS = 1000
Happened = Sequence[bool]


def judge_rate(comparison: Comparison, m: int, evidence: Evidence, schedule: Schedule) -> Judged:
    """Look at one of a claim's m comparisons, which has an event, until a look decides.

    The estimate is the rate, or the difference of two.
    """
    assert comparison.event is not None, "a comparison of rates has an event"
    cells = _happened(comparison, comparison.event, evidence)
    seeds = sorted(set.intersection(*(set(one) for one in cells)))
    edge = comparison.bound if len(cells) == 1 else 0.5
    n = len(seeds)
    p = low = high = None
    verdict: Verdict = "undecided"
    taken = schedule.looks.due(len(seeds))
    for look in taken:
        n, share = look.seeds, schedule.level * look.share
        k, of = _counts(cells, seeds[:n])
        p = min(1.0, _at_least(k, of, edge) / (look.share or 1.0), 1.0 if p is None else p)
        low, high = _interval(k, of, share, share / m) if len(cells) == 1 else (None, None)
        if of and _at_least(k, of, edge) <= share:
            verdict = "reproduced"
        elif of and bdtr(k, of, edge) <= share / m:
            verdict = "contradicted"
        if verdict != "undecided":
            break

    k, of = _counts(cells, seeds[:n])
    leans: Verdict = "reproduced" if of and k / of >= edge else "contradicted"
    more, note = None, ""
    if verdict == "undecided":
        more, note = _outlook(k, of, edge, m, n, len(seeds), schedule.after(len(seeds)))
    return Judged(
        comparison=comparison,
        seeds=tuple(seeds[:n]),
        estimate=_estimate(cells, seeds[:n]) if n else None,
        low=low,
        high=high,
        verdict=verdict,
        leans=leans if n else "undecided",
        more_seeds=more,
        tied=False,
        note=note,
        test="exact binomial" if len(cells) == 1 else "exact, discordant pairs",
        p=p,
        looks=tuple(look for look in taken if verdict == "undecided" or look.seeds <= n),
    )


def _happened(comparison: Comparison, event: Event, evidence: Evidence) -> list[dict[int, bool]]:
    """Of each cell whether it happened, seed by seed."""
    return [
        dict.fromkeys(evidence.lost.get(term.at, ()), False)
        | {seed: event.happened(value) for seed, value in evidence.column(term).items()}
        for term in comparison.terms
    ]


def _counts(cells: Sequence[dict[int, bool]], seeds: Sequence[int]) -> tuple[int, int]:
    """How often the claim's side has it, of how many runs that say something."""
    if len(cells) == 1:
        return sum(cells[0][seed] for seed in seeds), len(seeds)
    apart = [cells[0][seed] for seed in seeds if cells[0][seed] != cells[1][seed]]
    return sum(apart), len(apart)


def _estimate(cells: Sequence[dict[int, bool]], seeds: Sequence[int]) -> float:
    rates = [sum(one[seed] for seed in seeds) / len(seeds) for one in cells]
    return rates[0] if len(rates) == 1 else rates[0] - rates[1]


def _at_least(k: int, of: int, rate: float) -> float:
    """The probability of k or more of so many at a rate."""
    return float(bdtrc(k - 1, of, rate)) if k > 0 else 1.0


def _interval(k: int, n: int, below: float, over: float) -> tuple[float, float]:
    """The exact one-sided bounds of a rate at two levels."""
    low = float(betaincinv(k, n - k + 1, below)) if k else 0.0
    high = float(betaincinv(k + 1, n - k, 1 - over)) if k < n else 1.0
    return low, high


def _outlook(
    k: int, of: int, edge: float, m: int, n: int, available: int, schedule: Schedule
) -> tuple[int | None, str]:
    """How many more seeds would probably decide, if the rate is as seen; or None, and why."""
    if not n:
        return None, "no seed has finished all of its cells"
    if not of:
        return None, "the same with every seed"

    def decides(seeds: int) -> bool:
        level, runs = schedule.share(seeds), round(of * seeds / n)
        counts = np.arange(runs + 1)
        upwards = k / of >= edge
        chance = bdtrc(counts - 1, runs, edge) if upwards else bdtr(counts, runs, edge)
        chance = np.where(counts == 0, 1.0, chance) if upwards else chance
        enough = counts[chance <= (level if upwards else level / m)]
        if not len(enough):
            return False
        if upwards:
            return _at_least(int(enough[0]), runs, k / of) >= POWER
        return float(bdtr(enough[-1], runs, k / of)) >= POWER

    planned, beyond = schedule.later(available, 2, MOST_SEEDS)
    for seeds in (*planned, *beyond):
        if decides(seeds):
            return seeds - available, ""
    return None, f"too near the bound: more than {MOST_SEEDS} more seeds"
