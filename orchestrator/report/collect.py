"""The answer to an ablation as data: results in the paper's layout, verdicts on its claims,
likeness to its numbers.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from orchestrator.plan.kept import KeptPlan, workload_of_plan
from orchestrator.plan.rounds import choices, values_of, verdicts
from orchestrator.report.quantities import metric_quantity
from orchestrator.report.summary import History, Summary
from orchestrator.run_record import Machine, Records, RunRecord
from orchestrator.verdicts import ClaimVerdict
from orchestrator.verdicts.rank_correlation import Similarity, rank_correlation
from search_spaces import Ablation, Layout
from search_spaces.claims import Place
from workloads.spec import flatten

__all__ = ["Difference", "Report", "Tuned", "as_json", "collect", "verdict_json"]

Record = Mapping[str, Any]


@dataclass(frozen=True)
class Tuned:
    """What a tuned cell chose among how many candidates, by which validation score, and which of
    them diverged.
    """

    at: Place
    chosen: Mapping[str, object]
    score: float
    candidates: int
    diverged: int


@dataclass(frozen=True)
class Difference:
    """A field in which the recipe differs from the paper's own setting."""

    field: str
    ours: object
    paper: object


@dataclass(frozen=True)
class Report:
    """A sweep's results, cell by cell; `more` are the other quantities that the paper reports for
    the cell.

    `histories` are the training curves of the finished runs, those that do not count as well.
    """

    ablation: Ablation
    layout: Layout
    plan: KeptPlan
    cells: tuple[Summary, ...]
    more: Mapping[tuple[str, ...], Mapping[str, float]]
    reference: Summary | None
    machines: tuple[str, ...]
    problems: tuple[str, ...]
    verdicts: tuple[ClaimVerdict, ...]
    similarity: Similarity | None
    tuned: tuple[Tuned, ...]
    differences: tuple[Difference, ...]
    histories: Mapping[Place, Sequence[History]]

    @property
    def finished(self) -> int:
        """Runs that finished, the references left out."""
        return sum(cell.n + cell.uncounted for cell in self.cells)

    @property
    def has_paper(self) -> bool:
        """Whether the paper has a number for any of the cells."""
        return any(cell.paper is not None for cell in self.cells)


def collect(ablation: Ablation, plan: KeptPlan, records: Records) -> Report:
    """The report of a sweep from its plan (as `plan_tree` keeps it) and the records of its cells by
    fingerprint.
    """
    scale = plan["scale"]
    layout = ablation.layout(scale)
    runs: dict[Place, list[str]] = {}
    references: list[str] = []
    for cell in plan["cells"]:
        if cell["role"] != "candidate":
            (
                references
                if cell["role"] == "reference"
                else runs.setdefault(tuple(cell["at"]), [])
            ).append(cell["fingerprint"])
    found = {
        cell.at: [records.get(name) for name in runs.get(cell.at, [])] for cell in layout.cells
    }
    cells = tuple(
        _summary(cell.at, found[cell.at], ablation, ablation.metric_of(cell), cell.paper)
        for cell in layout.cells
    )
    more = {
        cell.at: _means(
            [record for record in found[cell.at] if record and record.counts_for(ablation)],
            cell.paper_more,
        )
        for cell in layout.cells
        if cell.paper_more
    }
    untrained = [records.get(name) for name in references]
    reference = (
        _summary(("untrained",), untrained, ablation, ablation.metric, None) if references else None
    )
    machines = {_machine_line(record.machine) for record in _finished(records.values())}
    problems = [
        f"{record.name}: {record.error_line or 'failed'} (log: {record.log})"
        for record in records.values()
        if record and record.has_failed
    ]
    values = values_of(ablation, scale, plan["cells"], records)
    paper = {cell.at: cell.paper for cell in cells if cell.paper is not None}
    return Report(
        ablation=ablation,
        layout=layout,
        plan=plan,
        cells=cells,
        more=more,
        reference=reference if reference and reference.values else None,
        machines=tuple(sorted(machines)),
        problems=tuple(problems),
        verdicts=tuple(verdicts(ablation, scale, values, plan.get("looks", []))),
        similarity=rank_correlation({cell.at: cell.values for cell in cells}, paper)
        if paper
        else None,
        tuned=tuple(_tuned(ablation, plan, records)),
        differences=tuple(_differences(ablation, plan)),
        histories={at: _histories(mine) for at, mine in found.items()},
    )


def _tuned(ablation: Ablation, plan: KeptPlan, records: Records) -> Iterable[Tuned]:
    of_cell = {cell.at: cell for cell in ablation.layout(plan["scale"]).cells}
    for at, index in choices(ablation, plan["scale"], plan["cells"], records).items():
        mine = [
            cell
            for cell in plan["cells"]
            if tuple(cell["at"]) == at and cell["role"] == "candidate"
        ]
        found = {cell["candidate"]: records[cell["fingerprint"]] for cell in mine}
        diverged = sum(1 for record in found.values() if record and record.diverged)
        best = found[index]
        assert best is not None, "a candidate is chosen once all have ended"
        spec = flatten(best.spec)
        chosen = {path: spec[path] for path in of_cell[at].candidates[index]}
        yield Tuned(
            at,
            chosen,
            best.result(ablation.tuning_metric_of(of_cell[at])) or 0.0,
            len(mine),
            diverged,
        )


def _differences(ablation: Ablation, plan: KeptPlan) -> Iterable[Difference]:
    """Where the recipe is not the paper's, but for what every cell sets itself and what is no part
    of a setting.
    """
    workload = workload_of_plan(plan)
    if ablation.setting not in workload.presets:
        return
    paper = workload.presets[ablation.setting]().flat()
    # as it was kept, perhaps by another version: not read as a specification
    ours = flatten(plan["base"])
    points = ablation.points(plan["scale"])
    set_by_all = {
        path
        for path in points[0]
        if all(not hasattr(point.get(path, 0), "resolve") for point in points)
    }
    own = set_by_all.intersection(*points)
    for field, value in ours.items():
        if (
            field in paper
            and field not in own
            and field not in workload.free_fields
            and value != paper[field]
        ):
            yield Difference(field, value, paper[field])


def _summary(
    at: tuple[str, ...],
    found: Sequence[RunRecord | None],
    ablation: Ablation,
    metric: str,
    paper: float | None,
) -> Summary:
    """The runs that count, like those that claims are judged by, and how many of the others there
    are.
    """
    finished = _finished(found)
    counted = [record for record in finished if record.counts_for(ablation)]
    named = [metric] if ablation.against is None else [metric, ablation.against]
    results = [[record.result(name) for name in named] for record in counted]
    known = [[value for value in row if value is not None] for row in results if None not in row]
    failed = sum(1 for record in found if record and record.has_failed)
    uncounted = len(finished) - len(counted)
    return Summary(
        at=at,
        values=tuple(row[0] for row in known),
        failed=failed,
        missing=len(found) - len(known) - uncounted - failed,
        paper=paper,
        uncounted=uncounted,
        against=tuple(row[1] for row in known) if ablation.against else (),
    )


def _means(records: Sequence[RunRecord], names: Iterable[str]) -> dict[str, float]:
    """Means over seeds of further results, or of what was logged in the last epoch."""
    means = {}
    for name in names:
        found = [record.result(name) for record in _finished(records)]
        values = [value for value in found if value is not None]
        if values:
            means[name] = sum(values) / len(values)
    return means


def _histories(records: Iterable[RunRecord | None]) -> list[History]:
    return [record.history for record in _finished(records) if record.history]


def _finished(records: Iterable[RunRecord | None]) -> list[RunRecord]:
    return [record for record in records if record is not None and record.has_finished]


def _machine_line(machine: Machine | None) -> str:
    if machine is None:
        return "a machine that is not known"
    place = (
        ""
        if machine["gpu"]
        else (f", {machine['threads']} thread{'s' * (machine['threads'] != 1)} a worker")
    )
    workers = f", {machine['workers']} workers" if machine["workers"] > 1 else ""
    return f"{machine['device']}{place}{workers}, {machine['precision']}, torch {machine['torch']}"


def as_json(report: Report) -> dict[str, Any]:
    """The report as plain data, fit to be shown to others: without the path of the images, which
    their digest pins.
    """
    base = dict(report.plan["base"])
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
        "cells": [
            _cell_json(cell) | {"more": dict(report.more.get(cell.at, {}))} for cell in report.cells
        ],
        "untrained": _cell_json(report.reference) if report.reference else None,
        "note": report.layout.note,
        "machines": list(report.machines),
        "failed": list(report.problems),
        "verdicts": [verdict_json(one) for one in report.verdicts],
        "rank_correlation": None if report.similarity is None else vars(report.similarity),
        "tuned": [
            {
                "at": list(one.at),
                "chosen": dict(one.chosen),
                "validation": one.score,
                "candidates": one.candidates,
            }
            | {"diverged": one.diverged}
            for one in report.tuned
        ],
        "differences": [vars(one) for one in report.differences],
        "plan": {
            name: value for name, value in report.plan.items() if name not in ("cells", "base")
        }
        | {"base": base},
    }


def _without(tree: dict[str, Any], path: list[str]) -> dict[str, Any]:
    """Return a copy without the field at a path; the same where there is none."""
    first, *rest = path
    if not rest:
        return {name: value for name, value in tree.items() if name != first}
    if not isinstance(tree.get(first), dict):
        return tree
    return tree | {first: _without(tree[first], rest)}


def verdict_json(one: ClaimVerdict) -> dict[str, Any]:
    """A verdict as plain data."""
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
            {
                "comparison": judged.comparison.label,
                "verdict": judged.verdict,
                "seeds": list(judged.seeds),
                "estimate": judged.estimate,
                "low": judged.low,
                "high": judged.high,
                "bound": judged.comparison.bound,
                "more_seeds": judged.more_seeds,
            }
            for judged in one.judged
        ],
    }


def _cell_json(cell: Summary) -> dict[str, Any]:
    return {
        "at": list(cell.at),
        "values": list(cell.values),
        "mean": cell.mean if cell.n else None,
        "spread": cell.spread,
        "n": cell.n,
        "failed": cell.failed,
        "missing": cell.missing,
        "uncounted": cell.uncounted,
        "against": list(cell.against),
        "paper": cell.paper,
    }
