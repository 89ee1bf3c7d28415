"""What each seed of a cell gave: values of all metrics that claims may ask for, and what was lost.

Verdicts can be made again from this alone.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.rounds import Key
from orchestrator.report.summary import Summary
from orchestrator.run_record import Records, RunRecord
from orchestrator.verdicts import Values
from search_spaces import UNTRAINED, Ablation, Layout
from search_spaces.claims import Place

__all__ = ["SeedRun", "claimed_metrics", "runs_of_cells", "summary_of", "values_in"]


@dataclass(frozen=True)
class SeedRun:
    """One run of a cell: its seed, and its record if it has ended."""

    seed: int
    record: RunRecord | None


def runs_of_cells(layout: Layout, plan: KeptPlan, records: Records) -> dict[Place, list[SeedRun]]:
    """Return the runs of each cell, and at `UNTRAINED` those of the untrained encoder."""
    found: dict[Place, list[SeedRun]] = {cell.at: [] for cell in layout.cells}
    found[UNTRAINED] = []
    for run in plan["cells"]:
        at = UNTRAINED if run["role"] == "reference" else tuple(run["at"])
        if run["role"] != "candidate" and at in found:
            found[at].append(SeedRun(run["seed"], records.get(run["fingerprint"])))
    return found


def claimed_metrics(ablation: Ablation) -> tuple[str, ...]:
    """Return the metrics that claims name, at whatever scale, in the order of the claims."""
    terms = (
        term
        for claim in ablation.claims
        for comparison in (*claim.paper, *claim.small)
        for term in comparison.terms
    )
    return tuple(dict.fromkeys(term.metric for term in terms if term.metric))


def summary_of(
    at: Place,
    runs: Sequence[SeedRun],
    ablation: Ablation,
    metric: str,
    paper: float | None,
    lost: Mapping[int, str],
) -> Summary:
    """Summarise the runs that count, like those that claims are judged by, and what others lack.

    `metric` is the cell's own, `lost` are the seeds that ended without a value that counts.
    """
    counted = [
        (run.seed, run.record)
        for run in runs
        if run.record and run.record.has_finished and run.record.counts_for(ablation)
    ]
    values: dict[int, float] = {}
    against: dict[int, float] = {}
    for seed, record in counted:
        value, other = record.result(metric), record.result(ablation.against or metric)
        if value is not None and other is not None:
            values[seed], against[seed] = value, other

    metrics = dict.fromkeys((metric, *claimed_metrics(ablation)))
    failed = sum(1 for run in runs if run.record and run.record.has_failed)
    uncounted = sum(1 for run in runs if run.record and run.record.has_finished) - len(counted)
    return Summary(
        at=at,
        values=tuple(values.values()),
        failed=failed,
        missing=len(runs) - len(values) - uncounted - failed,
        paper=paper,
        uncounted=uncounted,
        against=tuple(against.values()) if ablation.against else (),
        seeds=tuple(values),
        measured={name: found for name in metrics if (found := _measured(counted, name))},
        lost=lost,
    )


def values_in(
    ablation: Ablation, layout: Layout, wanted: Iterable[Key], cells: Iterable[Summary]
) -> Values:
    """Return what claims are judged by from summaries alone, for the keys that are wanted."""
    own = {cell.at: ablation.metric_of(cell) for cell in layout.cells}
    summaries = list(cells)
    found = {cell.at: cell.measured for cell in summaries}
    lost = {cell.at: cell.lost for cell in summaries}
    return {
        (at, metric): {
            seed: value
            for seed, value in found.get(at, {})
            .get(metric or own.get(at, ablation.metric), {})
            .items()
            if seed not in lost.get(at, {})
        }
        for at, metric in wanted
    }


def _measured(counted: Sequence[tuple[int, RunRecord]], metric: str) -> dict[int, float]:
    results = {seed: record.result(metric) for seed, record in counted}
    return {seed: value for seed, value in results.items() if value is not None}
