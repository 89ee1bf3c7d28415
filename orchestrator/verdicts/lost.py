"""Runs that are lost: they diverge, do not converge, or fail, and have no value.

Those that survive are no fair sample of a cell that loses runs. So whatever survivors show has to
hold with the lost ones counted as well, each as the worst that the metric can be, or the worst that
the sweep has seen where the metric has no end. Counted are the losses that speak against what is to
be shown: those of the better side. A cell that loses runs is worse for it and never better, so a
loss of the other side is left out, and the verdict is on the survivors there.

That protects against losses that are seen. Of a cell that loses 3 runs in 10 the first three
survive in 34 % of the cases, and nobody can know.
"""

import math
from collections import Counter
from collections.abc import Iterable
from statistics import fmean

from orchestrator.verdicts.judged import Evidence, Lost, Values
from search_spaces.claims import Comparison, Place, Term

__all__ = ["lost_line", "with_lost"]

SHOWN_CELLS = 3


def with_lost(
    comparison: Comparison, side: int, before: float, evidence: Evidence
) -> list[float] | None:
    """Return the comparison's values for seeds below `before`, with those of lost runs.

    `side` 1: it is to be shown that the sum is above something, -1: below. A cell that lacks the
    seed counts with its mean. None if no loss speaks against what is to be shown.
    """
    columns = [evidence.column(term) for term in comparison.terms]
    against = [
        {} if worst is None else dict.fromkeys(evidence.lost.get(term.at, ()), worst)
        for term in comparison.terms
        for worst in [_worst(term, side, evidence)]
    ]
    harmful = {seed for one in against for seed in one if seed < before}
    if not harmful or not all(columns):
        return None
    paired = set.intersection(*({seed for seed in one if seed < before} for one in columns))
    return [
        math.fsum(
            term.weight * column.get(seed, worst.get(seed, fmean(column.values())))
            for term, column, worst in zip(comparison.terms, columns, against, strict=True)
        )
        for seed in sorted(paired | harmful)
    ]


def lost_line(places: Iterable[Place], values: Values, lost: Lost) -> str:
    """Return how many runs of which cells were lost, and why; nothing if none was."""
    parts = []
    for at in dict.fromkeys(places):
        if not (gone := lost.get(at)):
            continue
        ended = {seed for (place, _), column in values.items() if place == at for seed in column}
        why = ", ".join(
            word if count == len(gone) else f"{count} {word}"
            for word, count in Counter(gone.values()).most_common()
        )
        asked = len(ended | set(gone))
        parts.append(f"{len(gone)} of {asked} runs of {' · '.join(at)} were lost ({why})")
    shown = parts[:SHOWN_CELLS]
    if len(parts) > SHOWN_CELLS:
        shown.append(f"{len(parts) - SHOWN_CELLS} more cells lost runs")
    return "; ".join(shown)


def _worst(term: Term, side: int, evidence: Evidence) -> float | None:
    """What a lost run of this term counts as; None if its loss cannot speak against the side."""
    lower = evidence.quantity(term).better == "lower"
    if term.weight * side * (-1 if lower else 1) < 0:
        return None
    end = evidence.quantity(term).ends[lower]
    if math.isfinite(end):
        return end
    seen = [*evidence.column(term).values()]
    if evidence.spread is not None:
        seen += evidence.spread.every_value(evidence.spread.metric(term.at, term.metric))
    return (max(seen) if lower else min(seen)) if seen else None
