"""What a sweep has found: cells, claims, report and figures; and the verdicts of all sweeps."""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from orchestrator.api.asked import Only, part_asked, refusing, storage_of
from workloads.plural import counted

if TYPE_CHECKING:
    from pandas import DataFrame, Index

    from orchestrator.report.collect import Report
    from orchestrator.report.document import ReportDocument
    from orchestrator.report.figures.both import Figure
    from orchestrator.report.summary import Summary
    from orchestrator.storage import Storage

__all__ = ["Sweep", "sweep", "verdicts"]

LEVEL = 0.95


@dataclass(frozen=True)
class Sweep:
    """The results of a question on one recipe, as far as its runs have ended.

    `failed` has a line for each run that failed, with where its log lies; `missing` counts those
    that have not ended. `metric` is what cells are compared by, in `unit`.
    """

    name: str
    id: str
    metric: str
    unit: str
    missing: int
    failed: tuple[str, ...]
    _report: "Report" = field(repr=False)
    _storage: "Storage" = field(repr=False)

    @property
    def complete(self) -> bool:
        """True where every cell has all of its runs finished."""
        return not self.missing and not any(cell.failed for cell in self._summaries())

    @property
    def cells(self) -> "DataFrame":
        """A row for each cell, by its place on the axes; the untrained encoder comes last.

        `n` finished seeds that count, with their `mean` and sample standard deviation `sd`; the
        95 % t-interval `low` to `high` of the mean, by the spread of the cell's own seeds; the
        number of the `paper`; how many runs `failed`, are `missing` or are `uncounted`; and the
        value of each seed, `seed 0` and so on. What is not known is NaN.
        """
        from pandas import DataFrame

        summaries = self._summaries()
        seeds = sorted({seed for cell in summaries for seed in cell.seeds})
        rows = [_row(cell, seeds) for cell in summaries]
        return DataFrame(rows, index=self._places([cell.at for cell in summaries]))

    @property
    def values(self) -> "DataFrame":
        """A row for each cell and seed, with every metric that the question or its claims name."""
        from pandas import DataFrame

        places, rows = [], []
        for cell in self._summaries():
            seeds = sorted({seed for of_seeds in cell.measured.values() for seed in of_seeds})
            for seed in seeds:
                places.append(cell.at)
                measured = {name: found.get(seed) for name, found in cell.measured.items()}
                rows.append({"seed": seed, **measured})
        return DataFrame(rows, index=self._places(places), columns=None if rows else ["seed"])

    @property
    def claims(self) -> "DataFrame":
        """A row for each claim, with its verdict; `comparisons` says how many it becomes."""
        from pandas import DataFrame

        return DataFrame(_claims(self._report), columns=list(CLAIM))

    @property
    def comparisons(self) -> "DataFrame":
        """A row for each comparison of each claim: verdict, estimate, interval, bound and p."""
        from pandas import DataFrame

        rows = [
            {"claim": claim["claim"]}
            | {name: one.get(name) for name in COMPARISON[1:]}
            | {"seeds": len(one["seeds"])}
            for claim in self.document["verdicts"]
            for one in claim["comparisons"]
        ]
        return DataFrame(rows, columns=list(COMPARISON))

    @property
    def runs(self) -> "DataFrame":
        """A row for each run of it that has begun, by its fingerprint.

        Its place on each axis, its `role` (cell, reference or candidate), and then the columns of
        `orchestrator.api.runs`.
        """
        from orchestrator.api.runs import table_of
        from orchestrator.storage.rows import run_rows

        plan, axes = self._report.plan, [axis.name for axis in self._report.layout.axes]
        cells = {cell["fingerprint"]: cell for cell in reversed(plan["cells"])}
        table = table_of([row for row in run_rows(self._storage) if row.fingerprint in cells])
        places = [_full(cells[name]["at"], len(axes)) for name in table.index]
        for number, axis in enumerate(axes):
            table.insert(number, axis, [place[number] for place in places])
        table.insert(len(axes), "role", [cells[name]["role"] for name in table.index])
        return table

    @property
    def document(self) -> "ReportDocument":
        """The report as plain data, as `report.json` has it."""
        from orchestrator.report.document import as_json

        return as_json(self._report)

    @property
    def markdown(self) -> str:
        """The report as `report.md` has it, without pictures."""
        from orchestrator.report.text import markdown

        return markdown(self._report, "report.png", None)

    def figure(self) -> "Figure":
        """Draw it in the paper's layout, beside the paper's numbers where there are some."""
        from orchestrator.report.figures.both import figures_of

        figure = figures_of(self._report)["report"]
        assert figure is not None, "there are none of training curves only"
        return figure

    def curves(self) -> "Figure | None":
        """Draw how its runs were trained; None where training has left nothing to draw."""
        from orchestrator.report.figures.both import figures_of

        return figures_of(self._report)["curves"]

    def __str__(self) -> str:
        said = f"{self.name} {self.id}: {counted(len(self._report.cells), 'cell')}"
        if self.failed:
            said += f", {counted(len(self.failed), 'run')} failed"
        if self.missing:
            said += f", {self.missing} runs missing"
        told = [f"{one.verdict}: {one.claim.statement}" for one in self._report.verdicts]
        return "\n".join([said, *told])

    def _repr_html_(self) -> str:
        from html import escape

        table: str = self.cells[["n", "mean", "sd", "paper"]].to_html(float_format="{:.1f}".format)
        lines = "<br>".join(escape(line) for line in str(self).splitlines())
        return f"<p>{lines}</p>{table}"

    def _summaries(self) -> "list[Summary]":
        reference = self._report.reference
        return [*self._report.cells, *([reference] if reference else [])]

    def _places(self, places: "Sequence[tuple[str, ...]]") -> "Index":
        """Return an index of places; of one that is on no axis the other labels are empty."""
        from pandas import Index, MultiIndex

        axes = [axis.name for axis in self._report.layout.axes]
        if len(axes) == 1:
            return Index([at[0] for at in places], name=axes[0], dtype="object")
        return MultiIndex.from_tuples([_full(at, len(axes)) for at in places], names=axes)


CLAIM = (
    *("claim", "source", "verdict", "seeds", "comparisons", "holding", "p", "q"),
    *("more_seeds", "sentence"),
)
COMPARISON = (
    *("claim", "comparison", "verdict", "estimate", "low", "high", "bound", "unit", "p"),
    *("margin", "paper", "seeds", "more_seeds", "note"),
)


def sweep(
    name: str,
    storage: str | Path | None = None,
    *,
    sweep: str | None = None,
    only: Only = (),
) -> Sweep:
    """Return what a sweep of a question has found, the latest one unless `sweep` begins its id.

    It is of the whole question, or of the part that `only` names as in `plan`. To look at claims
    counts, as with `simclr-orch report`: verdicts keep their level over all looks together. Raises
    PlanError when the storage has no such sweep.
    """
    from orchestrator.commands.report import collected
    from orchestrator.report.quantities import metric_quantity

    with refusing():
        kept = storage_of(storage)
        report = collected(name, kept, sweep, _warn, only=part_asked(only))
    summaries = [*report.cells, *([report.reference] if report.reference else [])]
    return Sweep(
        name=report.ablation.name,
        id=report.plan["sweep"],
        metric=report.ablation.metric,
        unit=metric_quantity(report.ablation).unit,
        missing=sum(cell.missing for cell in summaries),
        failed=report.problems,
        _report=report,
        _storage=kept,
    )


def verdicts(storage: str | Path | None = None, *, names: Sequence[str] = ()) -> "DataFrame":
    """Return a row for each claim of the latest sweep of each question, or of those named.

    Columns as those of `Sweep.claims`, after `question` and `sweep`; q is over all of them. To look
    counts, as with `simclr-orch verdicts`. Raises PlanError when a storage has no sweep.
    """
    from pandas import DataFrame

    from orchestrator.commands.report import judged

    with refusing():
        reports = judged(names, storage_of(storage), _warn)
    rows = [
        {"question": report.ablation.name, "sweep": report.plan["sweep"], **row}
        for report in reports
        for row in _claims(report)
    ]
    return DataFrame(rows, columns=["question", "sweep", *CLAIM])


def _full(at: Sequence[str], axes: int) -> tuple[str, ...]:
    """Return a place with a label for each axis; those of the untrained encoder are empty."""
    return (*at, *[""] * (axes - len(at)))


def _claims(report: "Report") -> list[dict[str, Any]]:
    from orchestrator.report.document import verdicts_json

    return [
        {name: one.get(name) for name in CLAIM} | {"comparisons": len(one["comparisons"])}
        for one in verdicts_json(report)
    ]


def _row(cell: "Summary", seeds: Sequence[int]) -> dict[str, Any]:
    """A cell's numbers; NaN stands for what it does not have."""
    from scipy.special import stdtrit

    mean, spread, half = cell.mean, cell.spread, math.nan
    if spread is not None:
        half = float(stdtrit(cell.n - 1, 0.5 + LEVEL / 2)) * spread / math.sqrt(cell.n)
    middle = math.nan if mean is None else mean
    of_seeds = dict(zip(cell.seeds, cell.values, strict=False))
    return {
        "n": cell.n,
        "mean": middle,
        "sd": math.nan if spread is None else spread,
        "low": middle - half,
        "high": middle + half,
        "paper": math.nan if cell.paper is None else cell.paper,
        "failed": cell.failed,
        "missing": cell.missing,
        "uncounted": cell.uncounted,
        **{f"seed {seed}": of_seeds.get(seed, math.nan) for seed in seeds},
    }


def _warn(problem: str) -> None:
    warnings.warn(problem, stacklevel=3)
