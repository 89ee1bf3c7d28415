"""One comparison of means judged from its seeds: t-tests, with what the sweep knows of the spread.

A comparison has one value a seed: the weighted sum of its cells, over the seeds that all of them
finished. What a seed does to every cell alike cancels in it. The values of n seeds are judged by a
one-sample t-test. With error level alpha, for one of a claim's m comparisons:

- "above" is reproduced when the lower one-sided bound at alpha exceeds the comparison's bound, and
  contradicted when the upper one-sided bound at alpha / m is below it. If it is neither, it is
  *alike* when two one-sided tests at alpha / m put both sides within a margin of each other;
- "within" is reproduced when both one-sided tests at alpha put it inside (two one-sided tests,
  Schuirmann 1987), and contradicted when one of them at alpha / 2m puts it outside.

*Alike* takes nothing from the level of *contradicted*: of two sides that truly differ by the margin
or more, both would say that the upper bound at alpha / m lies below the margin, which happens with
probability alpha / m, whichever of the two is said then.

The variance is that of the n values, squeezed to that of the sweep's cells (Smyth 2004;
orchestrator/verdicts/spread.py): (d0 s0^2 + d s^2) / (d0 + d) on d0 + d degrees of freedom, at most
those of the sweep, with d = n - 1 and s0^2 the sweep's variance of a run times the sum of squared
weights. A comparison that is not balanced (a cell above a bound) bears what a seed does to all
cells as well: that variance is the seeds' own, on as many degrees of freedom as there are seeds
less one, added by Satterthwaite's rule. A comparison that varies more than the sweep (an F-test at
10 % / m) is judged by its own values alone, as is every one where the sweep has too few cells.

Three seeds are the fewest that are judged where the sweep knows the spread, and five where it does
not: fewer are seen, not judged. Values without any spread are no evidence of certainty, and say
nothing of a mean by themselves; with the spread of the sweep's other cells they are values like
others. What is at stake in lost runs, orchestrator/verdicts/lost.py says; looks share their level
by orchestrator/verdicts/looks.py. The interval ends where the metric ends.

The levels are those of normal differences. How far they hold for others, benchmarks/verdicts.py
measures, and docs/verdicts.md tells. What cannot be helped: a cell that now and then collapses and
has not yet done so among the seeds looks better than it is.
"""

import bisect
import math
import statistics
from dataclasses import dataclass

from orchestrator.verdicts.hypotheses import Test
from orchestrator.verdicts.judged import Evidence, Judged, Schedule, Verdict
from orchestrator.verdicts.lost import with_lost
from orchestrator.verdicts.sample import (
    FEWEST_ALONE,
    FEWEST_POOLED,
    Sample,
    paired_values,
    sample_of,
)
from search_spaces.claims import Comparison

__all__ = ["judge_mean"]

POWER = 0.8  # with which the seeds still needed should decide
MOST_SEEDS = 1000
LEAST_LEFT = 1e-9  # of the level, below which nothing can be decided any more
TIES = 3  # seeds at exactly the bound after which more are not worth running


def judge_mean(comparison: Comparison, m: int, evidence: Evidence, schedule: Schedule) -> Judged:
    """Look at one of a claim's m comparisons as often as its seeds allow, until a look decides.

    Raises ValueError for a value that is not finite.
    """
    test = Test(comparison, m, evidence.margin(comparison))
    paired, equal = paired_values(comparison, evidence)
    seeds = tuple(paired)
    pooled = evidence.spread.of(comparison) if evidence.spread else None
    fewest = FEWEST_POOLED if pooled else FEWEST_ALONE

    def sampled(n: int) -> Sample:
        before = seeds[n] if n < len(seeds) else math.inf
        known = evidence.spread.of(comparison, before) if evidence.spread else None
        return sample_of(comparison, paired, seeds[:n], known, m, equal, test.edges)

    sample = sampled(len(seeds))
    low = high = p = None
    verdict: Verdict = "undecided"
    by_survivors = False
    taken = schedule.looks.due(len(seeds), fewest=fewest)
    for look in taken:
        sample, share = sampled(look.seeds), schedule.level * look.share
        if not sample.sd or sample.n < sample.fewest or not share:
            continue
        verdict, low, high = test.decide(sample, share), *test.interval(sample, share)
        before = seeds[look.seeds] if look.seeds < len(seeds) else math.inf
        found = test.p(sample)
        if guard := _guard(test, evidence, before):
            found = max(found, guard.p(test))
            by_survivors = verdict != "undecided" and not guard.allows(test, sample, share)
            verdict = "undecided" if by_survivors else verdict
        p = min(1.0, found / look.share, *(() if p is None else (p,)))
        if verdict != "undecided":
            break

    more, note = None, ""
    if by_survivors:
        note = "the runs that were not lost would decide"
    elif verdict == "undecided":
        left = schedule.after(len(seeds), fewest)
        more, note = _outlook(test, sample, len(seeds), left, fewest)
    least, most = evidence.limits(comparison)
    return Judged(
        comparison=comparison,
        seeds=seeds[: sample.n],
        estimate=sample.mean if sample.n else None,
        low=None if low is None else max(low, min(least, sample.mean)),
        high=None if high is None else min(high, max(most, sample.mean)),
        verdict=verdict,
        leans=test.leans(sample.mean) if sample.n else "undecided",
        more_seeds=more,
        tied=sample.n >= TIES and _is_tied(test, sample),
        note=note,
        test="" if p is None else sample.test,
        df=None if p is None else sample.df,
        p=p,
        margin=test.margin,
        looks=tuple(look for look in taken if verdict == "undecided" or look.seeds <= sample.n),
    )


@dataclass(frozen=True)
class _Guard:
    """The samples with lost runs counted as the worst, for each side that they speak against."""

    samples: dict[int, Sample]

    def allows(self, test: Test, survivors: Sample, level: float) -> bool:
        """Whether what the survivors show holds with lost runs counted, too."""
        tests = test.tests(survivors.mean, level)
        if not all(survivors.shows(*one) for one in tests):
            tests = test.alike(level)
        return all(self.samples[one[1]].shows(*one) for one in tests if one[1] in self.samples)

    def p(self, test: Test) -> float:
        """The p-value of what is claimed with lost runs counted."""
        sides = (1,) if test.comparison.relation == "above" else (1, -1)
        return max(
            (
                self.samples[side].p(edge, side)
                for edge, side in zip(test.edges, sides, strict=True)
                if side in self.samples
            ),
            default=0.0,
        )


def _guard(test: Test, evidence: Evidence, before: float) -> _Guard | None:
    """What lost runs say; None if none speaks against anything. They vary as they do."""
    samples = {}
    for side in (1, -1):
        values = with_lost(test.comparison, side, before, evidence)
        if values is not None:
            sd = statistics.stdev(values) if len(values) > 1 else 0.0
            samples[side] = Sample(
                len(values), statistics.fmean(values), sd, len(values) - 1, equal=not sd
            )
    return _Guard(samples) if samples else None


def _outlook(
    test: Test, sample: Sample, available: int, schedule: Schedule, fewest: int
) -> tuple[int | None, str]:
    """How many more seeds than those available would probably decide; or None, and why."""
    if why := _hopeless(test, sample, schedule):
        return None, why

    first = next((n for n in schedule.looks.planned if n >= fewest), fewest)
    note = ""
    if available < fewest:
        alone = "" if fewest == FEWEST_POOLED else ", as the sweep does not know the spread"
        note = f"seen, not judged: fewer than {fewest} seeds{alone}"
    elif available < first:
        note = f"not judged before {first} seeds"

    def decides(n: int) -> bool:
        return test.power(sample, n, schedule.share(n, fewest)) >= POWER

    later, beyond = schedule.later(available, fewest, MOST_SEEDS)
    for n in later:
        if decides(n):
            return n - available, note
    index = bisect.bisect_left(beyond, True, key=decides)
    if index == len(beyond):
        return None, f"too near the bound: more than {MOST_SEEDS} more seeds"
    return beyond[index] - available, note


def _is_tied(test: Test, sample: Sample) -> bool:
    """Whether every seed gave exactly the bound, and more of them could not tell it to be alike."""
    return sample.equal and sample.mean in test.edges and not (sample.sd and test.margin)


def _hopeless(test: Test, sample: Sample, schedule: Schedule) -> str:
    """Why it cannot be said how many seeds would decide; nothing if it can."""
    if sample.n == 0:
        return "no seed has finished all of its cells"
    if sample.n == 1:
        return "one seed has no spread to judge by"
    if _is_tied(test, sample):
        return f"exactly {sample.mean:g} with every seed"
    if not sample.sd:
        return "the same with every seed, which says nothing of a mean"
    return "its looks have spent the level" if schedule.looks.left < LEAST_LEFT else ""
