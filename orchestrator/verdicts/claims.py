"""Verdicts on claims from the seeds that were run: reproduced, contradicted, alike, undecided.

Each of a claim's m comparisons is judged by itself, one of means in orchestrator/verdicts/means.py
and one of rates in orchestrator/verdicts/rates.py, at error level alpha:

- the claim is reproduced when every comparison is. No correction is needed: a wrong claim has a
  comparison that is wrong, and that one would have to pass, too (intersection-union test, Berger
  1982). So its p-value is the largest of theirs;
- the claim is contradicted when some comparison is; alpha / m each (Bonferroni) leaves alpha for
  any of them;
- the claim is alike when some comparison is, and none contradicted: two sides of which one was
  claimed to be better differ by no more than a stated margin. That has alpha / m each, too, which
  a comparison spends on being contradicted or alike together (orchestrator/verdicts/means.py).

So a wrong claim is called reproduced, and a right one contradicted, or alike although all its
differences exceed the margin, with probability alpha at most, each, whatever m and however many
looks. Over many claims a share of up to alpha may still be wrong: for that there are q-values
(orchestrator/verdicts/q_values.py). Where variances are squeezed to those of the sweep, the level
is that over comparisons of a sweep, not of each of its cells by itself.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from orchestrator.verdicts.judged import (
    Evidence,
    Judged,
    Lost,
    Quantities,
    Schedule,
    Values,
    Verdict,
)
from orchestrator.verdicts.looks import Look, Looks
from orchestrator.verdicts.means import judge_mean
from orchestrator.verdicts.rates import judge_rate
from orchestrator.verdicts.sentences import pivot, sentence
from orchestrator.verdicts.spread import Pooled, Spread
from search_spaces.ablation import Scale
from search_spaces.claims import Claim, Comparison, Place

__all__ = ["ClaimVerdict", "judge"]

NO_LOOKS = Looks()


@dataclass(frozen=True, kw_only=True)
class ClaimVerdict:
    """A claim, its verdict, and the comparisons behind it.

    `seeds` is the fewest that a comparison rests on. `more_seeds` would probably decide the claim;
    None when nothing is left to decide or it cannot be said. `p` is that of the comparison with the
    largest (an intersection-union test), None if one was not judged, and `q` the same, adjusted
    over a set of claims. `holding` of the comparisons hold. `spread` is what the sweep's cells say
    together, if that was used.
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
    spread: Pooled | None = None


def judge(
    claim: Claim,
    scale: Scale,
    values: Values,
    *,
    lost: Lost | None = None,
    looks: Looks = NO_LOOKS,
    taken: Mapping[str, tuple[Look, ...]] | None = None,
    level: float = 0.05,
    spread: Spread | None = None,
    paper: Mapping[Place, float] | None = None,
    quantities: Quantities | None = None,
) -> ClaimVerdict:
    """Return the verdict on a claim at one scale.

    `taken` are the looks that a storage has kept, by the labels of comparisons: then one that goes
    beyond them counts, planned or not. `lost` are the seeds that a cell has no value for, `spread`
    that of the whole sweep, and `paper` the paper's own values of the cells. `quantities` say of
    terms what they measure: where that ends, and which way is better. Raises ValueError for a level
    without sense, and for a value that is not finite.
    """
    evidence = Evidence(values, lost or {}, spread, quantities or {})
    comparisons = claim.comparisons(scale)

    def schedule(comparison: Comparison) -> Schedule:
        if taken is None:
            return Schedule(looks, level)
        return Schedule(Looks(looks.planned, taken.get(comparison.label, ()), is_kept=True), level)

    judged = tuple(
        replace(
            (judge_mean if one.event is None else judge_rate)(
                one, len(comparisons), evidence, schedule(one)
            ),
            lost=evidence.lost_of(one),
            paper=_paper_value(one, paper or {}),
        )
        for one in comparisons
    )
    verdict = _claim_verdict(judged)
    known = [one.p for one in judged if one.p is not None]
    return ClaimVerdict(
        claim=claim,
        verdict=verdict,
        judged=judged,
        seeds=min((len(one.seeds) for one in judged), default=0),
        more_seeds=pivot(judged).more_seeds if verdict == "undecided" else None,
        level=level,
        looks=looks.planned,
        sentence=sentence(claim, scale, verdict, judged, level, evidence),
        p=max(known) if known and len(known) == len(judged) else None,
        holding=sum(one.verdict == "reproduced" for one in judged),
        spread=_spread(comparisons, spread),
    )


def _paper_value(comparison: Comparison, paper: Mapping[Place, float]) -> float | None:
    """The paper's own value, if it has one for each term and the metric is that of the cells."""
    if comparison.event or any(term.metric or term.at not in paper for term in comparison.terms):
        return None
    return math.fsum(term.weight * paper[term.at] for term in comparison.terms)


def _spread(comparisons: Sequence[Comparison], spread: Spread | None) -> Pooled | None:
    """What was pooled for the first comparison for which it was."""
    if spread is None:
        return None
    found = (spread.of(one) for one in comparisons if one.event is None)
    return next((one for one in found if one is not None), None)


def _claim_verdict(judged: Sequence[Judged]) -> Verdict:
    found = {one.verdict for one in judged}
    if not found:
        return "not asked"
    for verdict in ("contradicted", "alike", "undecided"):
        if verdict in found:
            return verdict
    return "reproduced"
