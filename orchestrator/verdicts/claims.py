"""Verdicts on claims from the seeds that were run: reproduced, contradicted, undecided, not asked.

Each of a claim's m comparisons is judged by itself (orchestrator/verdicts/t_test.py), at error
level alpha:

- the claim is reproduced when every comparison is. No correction is needed: a wrong claim has a
  comparison that is wrong, and that one would have to pass, too (intersection-union test, Berger
  1982);
- the claim is contradicted when some comparison is; alpha / m each (Bonferroni) leaves alpha for
  any of them.

So a wrong claim is called reproduced, and a right one contradicted, with probability alpha at most,
each, whatever m and however many looks. Over many claims a share of up to alpha may still be wrong.
"""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.verdicts.looks import Look, Looks
from orchestrator.verdicts.spread import Spread
from orchestrator.verdicts.t_test import Judged, Lost, Schedule, Values, Verdict, judge_comparison
from search_spaces.ablation import Scale
from search_spaces.claims import Claim, Comparison, Place

__all__ = ["ClaimVerdict", "cells_needed", "judge"]

NO_LOOKS = Looks()


@dataclass(frozen=True, kw_only=True)
class ClaimVerdict:
    """A claim, its verdict, and the comparisons behind it.

    `seeds` is the fewest that a comparison rests on. `more_seeds` would probably decide the claim;
    None when nothing is left to decide or it cannot be said. `p` is that of the comparison with the
    largest (an intersection-union test), and `q` the same, adjusted over a set of claims.
    `holding` of the comparisons hold.
    """

    claim: Claim
    verdict: Verdict
    judged: tuple[Judged, ...]
    seeds: int
    more_seeds: int | None
    level: float
    looks: tuple[int, ...]
    sentence: str
    p: float | None = None
    q: float | None = None
    holding: int = 0


def judge(
    claim: Claim,
    scale: Scale,
    values: Values,
    *,
    lost: Lost | None = None,
    looks: Looks = NO_LOOKS,
    taken: Mapping[str, tuple[Look, ...]] | None = None,
    level: float = 0.05,
    spread: Spread | None = None,  # noqa: ARG001
    paper: Mapping[Place, float] | None = None,
) -> ClaimVerdict:
    """Return the verdict on a claim at one scale.

    `taken` are the looks that a storage has kept, by the labels of comparisons: then one that goes
    beyond them counts, planned or not. `lost` are the seeds that a cell has no value for, `spread`
    that of the whole sweep, and `paper` the paper's own values of the cells. Raises ValueError for
    a level without sense, and for a value that is not finite.
    """
    comparisons = claim.comparisons(scale)

    def schedule(comparison: Comparison) -> Schedule:
        if taken is None:
            return Schedule(looks, level)
        return Schedule(Looks(looks.planned, taken.get(comparison.label, ()), is_kept=True), level)

    judged = tuple(
        replace(
            judge_comparison(comparison, len(comparisons), values, schedule(comparison)),
            lost=_lost_of(comparison, lost or {}),
            paper=_paper_value(comparison, paper or {}),
        )
        for comparison in comparisons
    )
    verdict = _claim_verdict(judged)
    return ClaimVerdict(
        claim=claim,
        verdict=verdict,
        judged=judged,
        seeds=min((len(one.seeds) for one in judged), default=0),
        more_seeds=_pivot(judged).more_seeds if verdict == "undecided" else None,
        level=level,
        looks=looks.planned,
        sentence=_sentence(claim, scale, verdict, judged, level),
        holding=sum(one.verdict == "reproduced" for one in judged),
    )


def cells_needed(verdicts: Iterable[ClaimVerdict]) -> set[Place]:
    """Return the cells of which further seeds can decide a claim.

    They are those of undecided comparisons in undecided claims. Comparisons that tie at their
    bound are left out, and so are those that the last look did not decide.
    """
    cells: set[Place] = set()
    for verdict in verdicts:
        if verdict.verdict != "undecided":
            continue
        last = max(verdict.looks, default=math.inf)
        for one in verdict.judged:
            if one.verdict == "undecided" and not one.tied and len(one.seeds) < last:
                cells.update(term.at for term in one.comparison.terms)
    return cells


def _lost_of(comparison: Comparison, lost: Lost) -> Lost:
    return {term.at: lost[term.at] for term in comparison.terms if lost.get(term.at)}


def _paper_value(comparison: Comparison, paper: Mapping[Place, float]) -> float | None:
    """The paper's own value, if it has one for each term and the metric is that of the cells."""
    if any(term.metric or term.at not in paper for term in comparison.terms):
        return None
    return math.fsum(term.weight * paper[term.at] for term in comparison.terms)


def _claim_verdict(judged: Sequence[Judged]) -> Verdict:
    found = {one.verdict for one in judged}
    if not found:
        return "not asked"
    if "contradicted" in found:
        return "contradicted"
    return "undecided" if "undecided" in found else "reproduced"


def _pivot(judged: Sequence[Judged]) -> Judged:
    """The comparison that an undecided claim hangs on.

    One that fails decides the claim, so the nearest of those that lean to it; if none does, all
    must hold, so the farthest.
    """
    left = [one for one in judged if one.verdict == "undecided"]
    failing = [one for one in left if one.leans == "contradicted" and not one.tied]
    return min(failing, key=_distance) if failing else max(left, key=_distance)


def _distance(judged: Judged) -> float:
    return math.inf if judged.more_seeds is None else judged.more_seeds


def _sentence(
    claim: Claim, scale: Scale, verdict: Verdict, judged: Sequence[Judged], level: float
) -> str:
    """The verdict for people, with the comparison that it hangs on."""
    if verdict == "not asked":
        return claim.why_not_asked(scale)

    m, same = len(judged), [one for one in judged if one.verdict == verdict]
    opening = f"{verdict} at level {100 * level:g} %"
    if verdict == "reproduced" and m > 1:
        counts = [len(one.seeds) for one in judged]
        return f"{opening}: each of {m} comparisons holds ({_seeds(min(counts), max(counts))})"
    if verdict == "reproduced":
        return f"{opening}: {_measured(same[0])}"
    if verdict == "contradicted":
        others = f"; {len(same)} of {m} comparisons fail" if m > 1 else ""
        return f"{opening}: not {_measured(same[0])}{others}"

    pivot = _pivot(judged)
    parts = [_measured(pivot)]
    if pivot.note:
        parts.append(pivot.note)
    if pivot.more_seeds is not None:
        parts.append(f"about {_seeds(pivot.more_seeds, more=' more')} would decide")
    if m > 1:
        parts.append(f"{sum(one.verdict == 'reproduced' for one in judged)} of {m} hold")
    return f"{opening}: " + "; ".join(parts)


def _measured(one: Judged) -> str:
    """The comparison with estimate, interval and number of seeds.

    The narrower the interval, the more decimals it deserves.
    """
    if one.estimate is None:
        return one.comparison.label

    width = abs(one.estimate) if one.low is None or one.high is None else one.high - one.low
    decimals = min(4, max(1, 1 - math.floor(math.log10(width)))) if width else 1
    interval = "" if one.low is None else f" [{one.low:z.{decimals}f}, {one.high:z.{decimals}f}]"
    return (
        f"{one.comparison.label}, measured {one.estimate:z.{decimals}f}{interval} "
        f"({_seeds(len(one.seeds))})"
    )


def _seeds(fewest: int, most: int | None = None, *, more: str = "") -> str:
    count = f"{fewest} to {most}" if most is not None and most != fewest else f"{fewest}"
    return f"{count}{more} seed{'s' * (count != '1')}"
