"""A report as plain data: what `report.json` holds and `--json` prints."""

import math
from collections.abc import Sequence
from typing import Any, NotRequired, TypedDict

from orchestrator.plan.kept import workload_of_plan
from orchestrator.report.cell_document import CellDocument, cell_json
from orchestrator.report.collapsed import collapsed_lines
from orchestrator.report.collect import Report
from orchestrator.report.likeness import likeness_by_seed
from orchestrator.report.measured import values_in
from orchestrator.report.quantities import metric_quantity, quantity
from orchestrator.report.sensitivity import own_p
from orchestrator.report.tuned import Tuned, edge_note
from orchestrator.verdicts import ClaimVerdict, Judged, Lost, Pooled
from search_spaces import Comparison

__all__ = [
    "RULES",
    "AxisDocument",
    "ComparisonDocument",
    "LookDocument",
    "LostDocument",
    "ReportDocument",
    "SpreadDocument",
    "TunedDocument",
    "VerdictDocument",
    "as_json",
    "verdicts_json",
]

# By which verdicts are made. 1: each comparison by a t-test of its own seeds, two or more. 2: with
# the spread that all cells share, three seeds or more; rates by counting; lost runs weigh in.
RULES = 2


class AxisDocument(TypedDict):
    """An axis of the layout."""

    name: str
    labels: list[str]


class LostDocument(TypedDict):
    """The seeds that a cell has lost for one reason."""

    at: list[str]
    why: str
    seeds: list[int]


class LookDocument(TypedDict):
    """A look at a comparison, with the part of the level that it had, of the plan that it was."""

    seeds: int
    share: float
    plan: list[int]


class ComparisonDocument(TypedDict):
    """A comparison with its verdict, and the interval from which this can be read.

    `of_paper` is the effect as a part of the paper's, `own_p` that of a paired t-test of the
    comparison's own seeds alone. `negated`: of one cell, which is to lie below
    a bound; number and bound have the other sign. What
    is not required older reports do not have.
    """

    comparison: str
    verdict: str
    seeds: list[int]
    estimate: float | None
    low: float | None
    high: float | None
    bound: float
    more_seeds: int | None
    relation: NotRequired[str]
    negated: NotRequired[bool]
    leans: NotRequired[str]
    unit: NotRequired[str]
    test: NotRequired[str]
    df: NotRequired[float | None]
    p: NotRequired[float | None]
    own_p: NotRequired[float | None]
    margin: NotRequired[float | None]
    paper: NotRequired[float | None]
    of_paper: NotRequired[float | None]
    note: NotRequired[str]
    lost: NotRequired[list[LostDocument]]
    looks: NotRequired[list[LookDocument]]


class SpreadDocument(TypedDict):
    """What all cells say of the spread of a run; `equal_p` is of their variances being equal."""

    cells: int
    sd: float
    df: float
    prior_df: float | None
    equal_p: float


class VerdictDocument(TypedDict):
    """A claim with its verdict, and the comparisons behind it.

    `rules` tells how it was judged (`RULES`); reports without it are of rules 1. `q` is adjusted
    over the claims of the report. `at_edge` names cells under it that chose at the edge of a grid.
    """

    claim: str
    source: str
    verdict: str
    level: float
    seeds: int
    more_seeds: int | None
    looks: list[int]
    sentence: str
    comparisons: list[ComparisonDocument]
    holding: NotRequired[int]
    p: NotRequired[float | None]
    q: NotRequired[float | None]
    rules: NotRequired[int]
    at_edge: NotRequired[str]
    spread: NotRequired[SpreadDocument | None]


class TunedDocument(TypedDict):
    """What a tuned cell has chosen for one seed, or for all; `edges` by field."""

    at: list[str]
    seed: int | None
    chosen: dict[str, object]
    validation: float
    candidates: int
    diverged: int
    edges: dict[str, str]


class ReportDocument(TypedDict):
    """A whole report.

    `not_kept` is what the claims of one that was made again ask for and its file did not have.
    `collapsed` names runs that are no better than the untrained encoder though the rest of their
    cell is. It and `cost` older reports do not have.
    """

    ablation: str
    source: str
    metric: str
    unit: str
    against: str | None
    counts_if: str | None
    axes: list[AxisDocument]
    cells: list[CellDocument]
    untrained: CellDocument | None
    note: str
    machines: list[str]
    data_read: list[dict[str, Any]]
    failed: list[str]
    collapsed: NotRequired[list[str]]
    verdicts: list[VerdictDocument]
    rank_correlation: dict[str, object] | None
    rank_correlation_by_seed: dict[str, float]
    tuned: list[TunedDocument]
    differences: list[dict[str, object]]
    not_kept: list[str]
    plan: dict[str, object]
    cost: NotRequired[dict[str, Any] | None]


def as_json(report: Report) -> ReportDocument:
    """Return the report as plain data that is fit to be shown to others.

    It is without the paths of data, which a digest of its content pins.
    """
    cells: list[CellDocument] = []
    for cell in report.cells:
        document = cell_json(cell)
        document["more"] = dict(report.more.get(cell.at, {}))
        cells.append(document)

    plan = {name: value for name, value in report.plan.items() if name not in ("cells", "base")}
    base = report.plan["base"]
    for path in workload_of_plan(report.plan).paths:
        base = _without(base, path.split("."))

    return {
        "ablation": report.ablation.name,
        "source": report.ablation.source,
        "metric": report.ablation.metric,
        "unit": metric_quantity(report.ablation).unit,
        "against": report.ablation.against,
        "counts_if": report.ablation.counts_if,
        "axes": [{"name": axis.name, "labels": list(axis.labels)} for axis in report.layout.axes],
        "cells": cells,
        "untrained": cell_json(report.reference) if report.reference else None,
        "note": report.layout.note,
        "machines": list(report.machines),
        "data_read": [dict(one) for one in report.data_read],
        "failed": list(report.problems),
        "collapsed": collapsed_lines(report),
        "verdicts": verdicts_json(report),
        "rank_correlation": None if report.similarity is None else vars(report.similarity),
        "rank_correlation_by_seed": {
            str(seed): rho for seed, rho in likeness_by_seed(report).items()
        },
        "tuned": [_tuned_json(one) for one in report.tuned],
        "differences": [vars(one) for one in report.differences],
        "not_kept": list(report.not_kept or ()),
        "plan": plan | {"base": base},
        "cost": None if report.cost is None else vars(report.cost),
    }


def verdicts_json(report: Report) -> list[VerdictDocument]:
    """Return the verdicts on a report's claims as plain data."""
    summaries = [*report.cells, *([report.reference] if report.reference else [])]
    asked = {
        (term.at, term.metric)
        for one in report.verdicts
        for judged in one.judged
        for term in judged.comparison.terms
    }
    values = values_in(report.ablation, report.layout, asked, summaries)
    documents = []
    for one in report.verdicts:
        document = _verdict_json(
            one,
            report.ablation.metric,
            report.judged_before.get(one.claim.statement, RULES),
            [own_p(judged.comparison, values) for judged in one.judged],
        )
        if note := edge_note(one.claim, report.plan, report.tuned):
            document["at_edge"] = note
        documents.append(document)
    return documents


def _verdict_json(
    one: ClaimVerdict, metric: str, rules: int, own: Sequence[float | None]
) -> VerdictDocument:
    """A verdict; `metric` is what cells are compared by, `own` the p of comparisons alone."""
    return {
        "claim": one.claim.statement,
        "source": one.claim.source,
        "verdict": one.verdict,
        "level": one.level,
        "seeds": one.seeds,
        "more_seeds": one.more_seeds,
        "looks": list(one.looks),
        "sentence": one.sentence,
        "comparisons": [
            {**_comparison_json(judged, metric), "own_p": p}
            for judged, p in zip(one.judged, own, strict=True)
        ],
        "holding": one.holding,
        "p": one.p,
        "q": one.q,
        "rules": rules,
        "spread": None if one.spread is None else _spread_json(one.spread),
    }


def _without(tree: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """A copy without the field at a path; the same where there is none."""
    first, *rest = path
    if not rest:
        return {name: value for name, value in tree.items() if name != first}
    if not isinstance(tree.get(first), dict):
        return tree
    return tree | {first: _without(tree[first], rest)}


def _comparison_json(judged: Judged, metric: str) -> ComparisonDocument:
    comparison = judged.comparison
    return {
        "comparison": comparison.label,
        "verdict": judged.verdict,
        "seeds": list(judged.seeds),
        "estimate": judged.estimate,
        "low": judged.low,
        "high": judged.high,
        "bound": comparison.bound,
        "more_seeds": judged.more_seeds,
        "relation": comparison.relation,
        "negated": len(comparison.terms) == 1 and comparison.terms[0].weight < 0,
        "leans": judged.leans,
        "unit": _unit(comparison, metric),
        "test": judged.test,
        "df": judged.df,
        "p": judged.p,
        "margin": judged.margin,
        "paper": judged.paper,
        "of_paper": judged.of_paper,
        "note": judged.note,
        "lost": _lost_json(judged.lost),
        "looks": [
            {"seeds": look.seeds, "share": look.share, "plan": list(look.plan)}
            for look in judged.looks
        ],
    }


def _spread_json(spread: Pooled) -> SpreadDocument:
    return {
        "cells": spread.cells,
        "sd": spread.sd,
        "df": spread.df,
        # infinite where cells differ by no more than chance, which JSON has no number for
        "prior_df": spread.prior_df if math.isfinite(spread.prior_df) else None,
        "equal_p": spread.equal_p,
    }


def _unit(comparison: Comparison, metric: str) -> str:
    """What a comparison's number is in: points of percent where two values are compared."""
    if comparison.event is not None:
        return "of the runs"
    measured = quantity(comparison.terms[0].metric or metric)
    return measured.unit if len(comparison.terms) == 1 else measured.differences


def _lost_json(lost: Lost) -> list[LostDocument]:
    found: list[LostDocument] = []
    for at, of_seeds in lost.items():
        for why in dict.fromkeys(of_seeds.values()):
            seeds = [seed for seed, word in of_seeds.items() if word == why]
            found.append({"at": list(at), "why": why, "seeds": seeds})
    return found


def _tuned_json(one: Tuned) -> TunedDocument:
    return {
        "at": list(one.at),
        "seed": one.seed,
        "chosen": dict(one.chosen),
        "validation": one.score,
        "candidates": one.candidates,
        "diverged": one.diverged,
        "edges": dict(one.edges),
    }
