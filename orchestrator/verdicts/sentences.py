"""Verdicts for people: what was measured, from how many seeds, and what is missing."""

import math
from collections.abc import Sequence

from orchestrator.verdicts.judged import Evidence, Judged, Verdict
from orchestrator.verdicts.lost import lost_line
from search_spaces.ablation import Scale
from search_spaces.claims import Claim

__all__ = ["pivot", "sentence"]


def sentence(
    claim: Claim,
    scale: Scale,
    verdict: Verdict,
    judged: Sequence[Judged],
    level: float,
    evidence: Evidence,
) -> str:
    """Return the verdict in words, with the comparison that it hangs on, and what was lost."""
    if verdict == "not asked":
        return claim.why_not_asked(scale)

    same = [one for one in judged if one.verdict == verdict]
    match verdict:
        case "reproduced":
            parts = _reproduced(judged)
        case "undecided":
            parts = _undecided(judged)
        case "alike":
            nearest = max(same, key=lambda one: abs(one.estimate or 0))
            found = f"no more than {nearest.margin:g} apart" if nearest.margin else "alike"
            parts = [f"{found}, not {_measured(nearest)}"]
        case _:
            parts = [f"not {_measured(same[0])}"]
            if len(judged) > 1:
                parts.append(f"{len(same)} of {len(judged)} comparisons fail")
    if len(judged) > 1 and verdict in ("undecided", "alike"):
        holding = sum(one.verdict == "reproduced" for one in judged)
        parts.append(f"{holding} of {len(judged)} hold")
    places = [term.at for one in judged for term in one.comparison.terms]
    if line := lost_line(places, evidence.values, evidence.lost):
        parts.append(line)
    return f"{verdict} at level {100 * level:g} %: " + "; ".join(parts)


def pivot(judged: Sequence[Judged]) -> Judged:
    """Return the comparison that an undecided claim hangs on.

    One that fails decides the claim, so the nearest of those that lean to it; if none does, all
    must hold, so the farthest.
    """
    left = [one for one in judged if one.verdict == "undecided"]
    failing = [one for one in left if one.leans == "contradicted" and not one.tied]
    return min(failing, key=_distance) if failing else max(left, key=_distance)


def _distance(judged: Judged) -> float:
    return math.inf if judged.more_seeds is None else judged.more_seeds


def _reproduced(judged: Sequence[Judged]) -> list[str]:
    if len(judged) == 1:
        return [_measured(judged[0])]
    counts = [len(one.seeds) for one in judged]
    parts = [f"each of {len(judged)} comparisons holds ({_seeds(min(counts), max(counts))})"]
    return [*parts, f"the least sure: {_measured(max(judged, key=lambda one: one.p or 0.0))}"]


def _undecided(judged: Sequence[Judged]) -> list[str]:
    one = pivot(judged)
    parts = [_measured(one)]
    if one.note:
        parts.append(one.note)
    if one.more_seeds is not None:
        parts.append(f"about {_seeds(one.more_seeds, more=' more')} would decide")
    return parts


def _measured(one: Judged) -> str:
    """The comparison with estimate, interval and number of seeds.

    The narrower the interval, the more decimals it deserves.
    """
    if one.estimate is None:
        return one.comparison.label

    width = abs(one.estimate) if one.low is None or one.high is None else one.high - one.low
    decimals = min(4, max(1, 1 - math.floor(math.log10(width)))) if width else 1
    interval = "" if one.low is None else f" [{one.low:z.{decimals}f}, {one.high:z.{decimals}f}]"
    paper = "" if one.paper is None else f", the paper's {one.paper:z.1f}"
    return (
        f"{one.comparison.label}, measured {one.estimate:z.{decimals}f}{interval}{paper} "
        f"({_seeds(len(one.seeds))})"
    )


def _seeds(fewest: int, most: int | None = None, *, more: str = "") -> str:
    count = f"{fewest} to {most}" if most is not None and most != fewest else f"{fewest}"
    return f"{count}{more} seed{'s' * (count != '1')}"
