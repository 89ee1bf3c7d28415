"""Runs that have collapsed: no better than the untrained encoder, where the rest of the cell is.

Such a run has finished and has a value, which counts in every claim as it is. But a mean with one
of them among it is nobody's accuracy, and its spread is no noise, so a report names them. A cell
that is bad with every seed has not collapsed: that is its answer.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from orchestrator.report.collect import Report
from orchestrator.report.quantities import quantity
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = ["Collapsed", "Column", "collapsed", "collapsed_lines"]

FEWEST_RUNS = 3  # of a cell, so that one of them does not make its median
FAR = 5.0  # standard deviations of a run, the median over cells, from the median of its cell


@dataclass(frozen=True)
class Column:
    """The values of a cell's runs; `seeds` are theirs, or none where they are not known."""

    at: Place
    values: Sequence[float]
    seeds: Sequence[int]


@dataclass(frozen=True)
class Collapsed:
    """A run that has collapsed: its value, and the median of its cell. `seed` may be unknown."""

    at: Place
    seed: int | None
    value: float
    median: float


def collapsed(
    columns: Iterable[Column], untrained: Sequence[float], metric: Quantity
) -> list[Collapsed]:
    """Return the runs among these that have collapsed, in the order of cells and runs.

    That is a run which is no better than the best of the `untrained` encoders though the median of
    its cell is, and farther from that than `FAR` standard deviations of a run. Cells of fewer than
    `FEWEST_RUNS` runs tell nothing.
    """
    columns = list(columns)
    spreads = [statistics.stdev(column.values) for column in columns if len(column.values) > 1]
    if not untrained or not spreads:
        return []
    sign = -1 if metric.better == "lower" else 1
    trivial = max(sign * value for value in untrained)
    far = FAR * statistics.median(spreads)
    found = []
    for column in columns:
        if len(column.values) < FEWEST_RUNS:
            continue
        median = statistics.median(column.values)
        for number, value in enumerate(column.values):
            if sign * value <= trivial < sign * median and abs(median - value) > far:
                seed = column.seeds[number] if column.seeds else None
                found.append(Collapsed(column.at, seed, value, median))
    return found


def collapsed_lines(report: Report) -> list[str]:
    """Return each collapsed run of a report in words, with its value and the median of its cell.

    Looked at are the cells that have the metric of the untrained encoder.
    """
    if report.reference is None:
        return []
    name = report.ablation.metric
    alike = {cell.at for cell in report.layout.cells if report.ablation.metric_of(cell) == name}
    columns = [Column(one.at, one.values, one.seeds) for one in report.cells if one.at in alike]
    metric = quantity(name)
    return [
        f"{' · '.join(one.at)}{'' if one.seed is None else f', seed {one.seed}'}: "
        f"{f'{metric.text(one.value)} {metric.unit}'.rstrip()}, the cell's median "
        f"{metric.text(one.median)}"
        for one in collapsed(columns, report.reference.values, metric)
    ]
