"""The answer to an ablation: results in the paper's layout, verdicts, likeness to its numbers."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from orchestrator.plan.kept import KeptPlan
from orchestrator.plan.rounds import TakenLooks, lost_of, verdicts_of
from orchestrator.report.cost import Cost, cost_of
from orchestrator.report.differences import Difference, differences
from orchestrator.report.measured import runs_of_cells, summary_of
from orchestrator.report.summary import History, Summary
from orchestrator.report.tuned import Tuned, tuned_cells
from orchestrator.run_record import Machine, Records, RunRecord
from orchestrator.verdicts import ClaimVerdict, with_q_values
from orchestrator.verdicts.rank_correlation import Similarity, rank_correlation
from search_spaces import UNTRAINED, Ablation, Layout
from search_spaces.claims import Place
from workloads.spec import flatten

__all__ = ["Report", "collect"]


@dataclass(frozen=True)
class Report:
    """A sweep's results, cell by cell, and what they say.

    `data_read` are the data sets that runs have read, with what is left out of each. `more` are the
    other quantities that the paper reports for a cell. `histories` are the training
    curves of the finished runs, those that do not count as well. `not_kept` says what claims ask
    for and the `report.json` from which this one was made again does not have; None for a report
    from records. `judged_before` are the claims whose verdicts are those of that file, with the
    rules that they were made by. `cost` is None where nothing has ended, or was not kept.
    """

    ablation: Ablation
    layout: Layout
    plan: KeptPlan
    cells: tuple[Summary, ...]
    more: Mapping[Place, Mapping[str, float]]
    reference: Summary | None
    machines: tuple[str, ...]
    data_read: tuple[Mapping[str, Any], ...]
    problems: tuple[str, ...]
    verdicts: tuple[ClaimVerdict, ...]
    similarity: Similarity | None
    tuned: tuple[Tuned, ...]
    differences: tuple[Difference, ...]
    histories: Mapping[Place, Sequence[History]]
    not_kept: tuple[str, ...] | None = None
    judged_before: Mapping[str, int] = field(default_factory=dict)
    cost: Cost | None = None

    @property
    def finished(self) -> int:
        """Runs that finished, the references left out."""
        return sum(cell.n + cell.uncounted for cell in self.cells)

    @property
    def has_paper(self) -> bool:
        """Whether the paper has a number for any of the cells."""
        return any(cell.paper is not None for cell in self.cells)


def collect(
    ablation: Ablation, plan: KeptPlan, records: Records, taken: TakenLooks | None = None
) -> Report:
    """Put a sweep's results together, from its plan as kept and the records by fingerprint.

    `taken` are the looks that were taken at its claims; None for looks that nobody keeps.
    """
    scale, ablation = plan["scale"], ablation.asked_of(flatten(plan["base"]))
    layout = ablation.layout(scale)
    runs = runs_of_cells(layout, plan, records)
    lost = lost_of(ablation, plan["cells"], records)

    cells: list[Summary] = []
    more: dict[Place, dict[str, float]] = {}
    for cell in layout.cells:
        mine = runs[cell.at]
        metric = ablation.metric_of(cell)
        of_cell = lost.get(cell.at, {})
        cells.append(summary_of(cell.at, mine, ablation, metric, cell.paper, of_cell))
        if cell.paper_more:
            ended = [run.record for run in mine if run.record]
            counted = [record for record in ended if record.counts_for(ablation)]
            more[cell.at] = _means(counted, cell.paper_more)
    untrained, of_untrained = runs.pop(UNTRAINED), lost.get(UNTRAINED, {})
    reference = summary_of(UNTRAINED, untrained, ablation, ablation.metric, None, of_untrained)

    machines = {_machine_line(record.machine) for record in _finished(records.values())}
    failed = [record for record in records.values() if record and record.has_failed]
    looks = plan.get("looks", [])
    judged = verdicts_of(ablation, scale, plan["cells"], records, looks, taken=taken)
    paper = {cell.at: cell.paper for cell in cells if cell.paper is not None}
    ours = {cell.at: cell.values for cell in cells}
    return Report(
        ablation=ablation,
        layout=layout,
        plan=plan,
        cells=tuple(cells),
        more=more,
        reference=reference if reference.values else None,
        machines=tuple(sorted(machines)),
        data_read=_data_read(records),
        problems=tuple(_problem_line(record) for record in failed),
        verdicts=tuple(with_q_values(judged)),
        similarity=rank_correlation(ours, paper) if paper else None,
        tuned=tuple(tuned_cells(ablation, plan, records)),
        differences=differences(ablation, plan),
        histories={at: _histories(run.record for run in mine) for at, mine in runs.items()},
        cost=cost_of(records.values()),
    )


def _data_read(records: Records) -> tuple[Mapping[str, Any], ...]:
    """Each data set once that a run has read, with the latest word on what is left out of it."""
    found: dict[tuple[str, str], Mapping[str, Any]] = {}
    for record in records.values():
        for read in (record.data_read or ()) if record else ():
            found[read["data"], read["content"]] = read
    return tuple(found.values())


def _means(records: Iterable[RunRecord], names: Iterable[str]) -> dict[str, float]:
    """Means over seeds of further results, or of what was logged in the last epoch."""
    finished = _finished(records)
    means: dict[str, float] = {}
    for name in names:
        results = [record.result(name) for record in finished]
        known = [value for value in results if value is not None]
        if known:
            means[name] = sum(known) / len(known)
    return means


def _histories(records: Iterable[RunRecord | None]) -> list[History]:
    return [record.history for record in _finished(records) if record.history]


def _finished(records: Iterable[RunRecord | None]) -> list[RunRecord]:
    return [record for record in records if record is not None and record.has_finished]


def _problem_line(record: RunRecord) -> str:
    return f"{record.name}: {record.error_line or 'failed'} (log: {record.log})"


def _machine_line(machine: Machine | None) -> str:
    if machine is None:
        return "a machine that is not known"
    parts = [machine["device"]]
    if not machine["gpu"]:
        parts.append(f"{machine['threads']} thread{'s' * (machine['threads'] != 1)} a worker")
    if machine["workers"] > 1:
        parts.append(f"{machine['workers']} workers")
    return ", ".join([*parts, machine["precision"], f"torch {machine['torch']}"])
