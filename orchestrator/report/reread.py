"""A report made again from its `report.json` alone, its claims judged anew by the present code.

Reports that were written before they kept the number of each seed are read as far as they can be:
a cell's values are those of the plan's seeds in their order, unless runs of it were lost. Then its
seeds are known where the comparisons that name it say all of them. Claims that ask for what a
report has not kept have the verdict that it gives.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.kept_looks import looks_in, looks_of
from orchestrator.plan.rounds import Key, TakenLooks, swept_keys, values_of, verdicts
from orchestrator.report.brief import NOT_KEPT
from orchestrator.report.collect import Report
from orchestrator.report.cost import Cost
from orchestrator.report.differences import Difference
from orchestrator.report.measured import values_in
from orchestrator.report.quantities import quantity
from orchestrator.report.summary import Summary, listed
from orchestrator.report.tuned import Tuned, edges_of
from orchestrator.verdicts import ClaimVerdict, Judged, Values, with_q_values
from orchestrator.verdicts.judged import limits_of
from orchestrator.verdicts.rank_correlation import rank_correlation
from search_spaces import UNTRAINED, Ablation, Layout
from search_spaces.ablation import Scale
from search_spaces.claims import Claim, Comparison, Place, Term
from workloads.quantity import Quantity
from workloads.spec import flatten

__all__ = ["ablation_in", "report_in"]

Document = Mapping[str, Any]
Lacking = Collection[Key]
SHOWN_CELLS = 6
AT_THE_TIME = " (as it was judged at the time)"
_NEEDED = ("ablation", "metric", "cells", "machines", "failed", "plan")


def ablation_in(document: object) -> str:
    """Return the name of the ablation that a report is of.

    Raises ValueError, which says what is wrong, for what is no report.
    """
    if not isinstance(document, dict):
        raise ValueError("is not a mapping")
    if missing := [key for key in _NEEDED if key not in document]:
        raise ValueError(f"is no report: has no {', '.join(missing)}")
    return str(document["ablation"])


def report_in(document: Document, ablation: Ablation) -> Report:
    """Make a report again from its document, with claims as the present code asks and judges them.

    Raises ValueError for a document that is no report of this ablation.
    """
    if ablation_in(document) != ablation.name:
        raise ValueError(f"is a report of {document['ablation']}, not of {ablation.name}")
    plan = _plan(document)
    scale, ablation = plan["scale"], ablation.asked_of(flatten(plan["base"]))
    layout = ablation.layout(scale)
    kept = _Kept(document, ablation, layout)
    cells = tuple(kept.cell(planned.at, planned.paper) for planned in layout.cells)
    untrained = kept.cell(UNTRAINED, None)

    values = values_in(ablation, layout, values_of(ablation, scale, (), {}), [*cells, untrained])
    lost = {cell.at: cell.lost for cell in [*cells, untrained] if cell.lost}
    swept = values_in(ablation, layout, swept_keys(ablation, scale), [*cells, untrained])
    looks = plan.get("looks", [])
    taken = _looks(document)
    found = verdicts(ablation, scale, values, looks, lost=lost, swept=swept, taken=taken)
    judged = with_q_values(found)
    lacking = _not_kept(values, [*cells, untrained])
    shown = [kept.verdict(one, scale, lacking) for one in judged]
    paper = {cell.at: cell.paper for cell in cells if cell.paper is not None}
    ours = {cell.at: cell.values for cell in cells}
    return Report(
        ablation=ablation,
        layout=layout,
        plan=plan,
        cells=cells,
        more={tuple(cell["at"]): cell.get("more", {}) for cell in document["cells"]},
        reference=untrained if untrained.values else None,
        machines=tuple(document["machines"]),
        data_read=tuple(document.get("data_read", ())),
        problems=tuple(document["failed"]),
        verdicts=tuple(one for one, _ in shown),
        similarity=rank_correlation(ours, paper) if paper else None,
        tuned=tuple(_tuned(layout, plan, document)),
        differences=tuple(Difference(**one) for one in document.get("differences", ())),
        histories={},
        not_kept=tuple(_lines(lacking)),
        judged_before={one.claim.statement: rules for one, rules in shown if rules},
        cost=Cost(**document["cost"]) if document.get("cost") else None,
    )


class _Kept:
    """A document, and what of it is known for sure."""

    def __init__(self, document: Document, ablation: Ablation, layout: Layout) -> None:
        self._document, self._ablation = document, ablation
        self._seeds: list[int] = document["plan"]["seeds"]
        self._verdicts: Sequence[Document] = document.get("verdicts", ())
        self._cells = {tuple(cell["at"]): cell for cell in document["cells"]}
        if document.get("untrained"):
            self._cells[UNTRAINED] = document["untrained"]
        self._own = {cell.at: ablation.metric_of(cell) for cell in layout.cells}
        self._judged = self._judged_seeds(document["plan"]["scale"])

    def cell(self, at: Place, paper: float | None) -> Summary:
        """Return a cell's summary as it was kept, missing where it was not."""
        kept = self._cells.get(at)
        if kept is None:
            return Summary(at, (), 0, 0 if at == UNTRAINED else 1, paper)
        values, against = kept["values"], kept.get("against", [])
        seeds = kept.get("seeds", self._seeds_of_old(at, kept))
        if "measured" in kept:
            measured = {
                metric: {int(seed): value for seed, value in found.items()}
                for metric, found in kept["measured"].items()
            }
        else:
            measured = {self._own_metric(at): dict(zip(seeds, values, strict=False))}
            if self._document.get("against"):
                measured[self._document["against"]] = dict(zip(seeds, against, strict=False))
        return Summary(
            at=at,
            values=tuple(values),
            failed=kept["failed"],
            missing=kept["missing"],
            paper=paper,
            uncounted=kept.get("uncounted", 0),
            against=tuple(against),
            seeds=tuple(seeds),
            measured=measured,
            lost={int(seed): why for seed, why in kept.get("lost", {}).items()},
        )

    def verdict(
        self, judged: ClaimVerdict, scale: Scale, lacking: Lacking
    ) -> tuple[ClaimVerdict, int | None]:
        """Return the new verdict, and None.

        Where the report lacks what the claim asks for, the kept one with the rules it was made by.
        """
        asked = judged.claim.comparisons(scale)
        if not any((term.at, term.metric) in lacking for one in asked for term in one.terms):
            return judged, None
        kept = self._kept_verdict(judged.claim, scale)
        if kept and kept["sentence"].startswith(NOT_KEPT):  # by an earlier re-reading
            kept = None
        of_label = {one["comparison"]: one for one in kept["comparisons"]} if kept else {}
        if kept is None or [*of_label] != [one.label for one in asked]:
            if judged.verdict == "contradicted":  # whatever the others would say
                return judged, None
            why = f"{NOT_KEPT}: the report has not kept every value that it asks for"
            return replace(judged, sentence=why), None
        before = replace(
            judged,
            verdict=kept["verdict"],
            judged=tuple(self._before(of_label[one.label], one) for one in asked),
            seeds=kept["seeds"],
            more_seeds=kept["more_seeds"],
            level=kept["level"],
            sentence=f"{kept['sentence'].removesuffix(AT_THE_TIME)}{AT_THE_TIME}",
            holding=sum(one["verdict"] == "reproduced" for one in kept["comparisons"]),
            p=kept.get("p"),
            q=kept.get("q"),
        )
        return before, kept.get("rules", 1)

    def _before(self, kept: Document, comparison: Comparison) -> Judged:
        """A comparison as it was judged at the time, its interval within what can be measured."""
        found = _judged(kept, comparison)
        if found.estimate is None or comparison.event is not None:
            return found
        least, most = limits_of(comparison, self._quantity)
        least, most = min(least, found.estimate), max(most, found.estimate)
        return replace(
            found,
            low=None if found.low is None else max(found.low, least),
            high=None if found.high is None else min(found.high, most),
        )

    def _quantity(self, term: Term) -> Quantity:
        return quantity(term.metric or self._own.get(term.at, self._ablation.metric))

    def _kept_verdict(self, claim: Claim, scale: Scale) -> Document | None:
        """The verdict on a claim: of its words, or of its comparisons in other words."""
        labels = [one.label for one in claim.comparisons(scale)]
        found = [one for one in self._verdicts if one["claim"] == claim.statement]
        found += [
            one for one in self._verdicts if [c["comparison"] for c in one["comparisons"]] == labels
        ]
        return next(iter(found), None)

    def _own_metric(self, at: Place) -> str:
        """The metric of a cell's values: a report of before kept that of the ablation only."""
        metric = str(self._document["metric"])
        return self._own.get(at, metric) if metric == self._ablation.metric else metric

    def _seeds_of_old(self, at: Place, kept: Document) -> Sequence[int]:
        """The seeds of a cell's values where they were not kept; none where they are not sure."""
        n = len(kept["values"])
        if not (kept["failed"] or kept["missing"] or kept.get("uncounted", 0)):
            return self._seeds[:n]
        judged = sorted(self._judged.get(at, ()))
        return judged if len(judged) == n else ()

    def _judged_seeds(self, scale: Scale) -> dict[Place, set[int]]:
        """The seeds that a comparison was judged from, for each cell that it names."""
        found: dict[Place, set[int]] = {}
        for claim in self._ablation.claims:
            kept = self._kept_verdict(claim, scale) or {"comparisons": ()}
            seeds = {one["comparison"]: one["seeds"] for one in kept["comparisons"]}
            for comparison in claim.comparisons(scale):
                # of rates, lost runs are among the seeds
                for term in () if comparison.event else comparison.terms:
                    found.setdefault(term.at, set()).update(seeds.get(comparison.label, ()))
        return found


def _looks(document: Document) -> TakenLooks | None:
    """The looks that the report rests on; None where it is of before they were kept."""
    found = [
        {**look, "claim": one["claim"], "comparison": each["comparison"]}
        for one in document.get("verdicts", ())
        for each in one["comparisons"]
        for look in each.get("looks", ())
    ]
    if not document["plan"].get("looks_kept", False):
        return None
    return looks_in(looks_of(found))


def _plan(document: Document) -> KeptPlan:
    """The plan as it was kept, but for the runs, which a report leaves out."""
    plan: KeptPlan = {**document["plan"], "cells": []}  # type: ignore[typeddict-item]
    return plan


def _not_kept(values: Values, cells: Iterable[Summary]) -> Lacking:
    """Where a cell has finished runs and the report lacks a value of them that claims ask for."""
    n = {cell.at: cell.n for cell in cells}
    return [key for key, found in values.items() if len(found) < n.get(key[0], 0)]


def _lines(lacking: Lacking) -> Iterable[str]:
    """What was not kept, a line for each metric."""
    for name in dict.fromkeys(metric for _, metric in lacking):
        places = sorted(at for at, metric in lacking if metric == name)
        what = f"{name} of" if name else "the seeds of"
        cells = listed([" · ".join(at) for at in places], SHOWN_CELLS)
        yield f"{what} {len(places)} cell{'s' * (len(places) != 1)} ({cells})"


def _judged(kept: Document, comparison: Comparison) -> Judged:
    """A comparison as it was judged at the time."""
    return Judged(
        comparison=comparison,
        seeds=tuple(kept["seeds"]),
        estimate=kept["estimate"],
        low=kept["low"],
        high=kept["high"],
        verdict=kept["verdict"],
        leans=kept.get("leans", "undecided"),
        more_seeds=kept["more_seeds"],
        tied=False,
        note=kept.get("note", ""),
        test=kept.get("test", "paired t"),
        df=kept.get("df", len(kept["seeds"]) - 1),
        p=kept.get("p"),
        margin=kept.get("margin"),
        paper=kept.get("paper"),
    )


def _tuned(layout: Layout, plan: KeptPlan, document: Document) -> Iterable[Tuned]:
    """The choices that are kept; those of earlier versions were made once, for all seeds."""
    of_cell = {cell.at: cell for cell in layout.cells if cell.candidates}
    for kept in document.get("tuned", ()):
        at = tuple(kept["at"])
        known = edges_of(of_cell[at], kept["chosen"], plan["base"]) if at in of_cell else {}
        yield Tuned(
            at=at,
            seed=kept.get("seed"),
            chosen=kept["chosen"],
            score=kept["validation"],
            candidates=kept["candidates"],
            diverged=kept["diverged"],
            edges=kept.get("edges", known),
        )
