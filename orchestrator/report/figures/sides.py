"""What a figure shows of this run and, beside it, of the paper; and the limits that suit both.

Both sides have the same axes in the same order. Other data give other values, so in lines and rows
each side has its own scale, on which a difference is equally long; heat maps share one of colour.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from orchestrator.report.summary import Summary
from search_spaces import Ablation
from search_spaces.claims import Place
from workloads.catalog import workload_named
from workloads.quantity import Quantity

__all__ = ["Side", "sides_of", "windows"]


@dataclass(frozen=True)
class Side:
    """One half of a figure: a value for each place that has one, and a word for each that has none.

    `reference` is the untrained encoder's value. `marks_gaps`: lines mark their cells without a
    value. `partial` has the cells of which some runs were lost.
    """

    title: str
    values: Mapping[Place, float]
    spreads: Mapping[Place, float]
    gaps: Mapping[Place, str]
    reference: float | None = None
    marks_gaps: bool = False
    partial: frozenset[Place] = frozenset()

    def extent(self) -> tuple[float, float] | None:
        """Return the lowest and the highest end of the bars; None where there is no value.

        The reference is taken in if that takes no more than half as much room again.
        """
        ends: list[float] = []
        for at, value in self.values.items():
            spread = self.spreads.get(at, 0)
            ends += [value - spread, value + spread]
        if not ends:
            return None

        low, high = min(ends), max(ends)
        if self.reference is not None:
            wider = min(low, self.reference), max(high, self.reference)
            if wider[1] - wider[0] <= 1.5 * (high - low):
                return wider
        return low, high


def sides_of(
    ablation: Ablation, summaries: Mapping[Place, Summary], reference: Summary | None
) -> list[Side]:
    """Return this run, and the paper's side if the paper has a number for any of the cells.

    `summaries` has every cell of the layout, `reference` is the untrained encoder.
    """
    paper = _paper(summaries, ablation)
    return [_this_run(summaries, reference, title="This run" if paper else ""), *paper]


def windows(sides: Sequence[Side], quantity: Quantity) -> list[tuple[float, float]]:
    """Return limits for each side that hold its values and span equally much."""
    extents = [side.extent() for side in sides]
    everything = (quantity.low, quantity.low + 1 if quantity.high is None else quantity.high)
    known = [extent for extent in extents if extent is not None] or [everything]
    span = max(1.2 * max(high - low for low, high in known), quantity.resolution)
    return [_window(extent or known[0], span, quantity) for extent in extents]


def _window(extent: tuple[float, float], span: float, quantity: Quantity) -> tuple[float, float]:
    """The extent in the middle of the span, but no space far outside what values can be."""
    if quantity.high is None:
        bottom = max((sum(extent) - span) / 2, quantity.low - 0.02 * span)
        return bottom, bottom + span

    margin = 0.02 * (quantity.high - quantity.low)
    span = min(span, quantity.high - quantity.low + 2 * margin)
    highest, lowest = quantity.high + margin - span, quantity.low - margin
    bottom = max(min((sum(extent) - span) / 2, highest), lowest)
    return bottom, bottom + span


def _this_run(summaries: Mapping[Place, Summary], reference: Summary | None, *, title: str) -> Side:
    return Side(
        title=title,
        values={at: cell.mean for at, cell in summaries.items() if cell.mean is not None},
        spreads={at: cell.spread for at, cell in summaries.items() if cell.spread is not None},
        gaps={at: cell.gap for at, cell in summaries.items() if cell.gap is not None},
        reference=reference.mean if reference else None,
        marks_gaps=True,
        partial=frozenset(at for at, cell in summaries.items() if cell.n and cell.ended_without),
    )


def _paper(summaries: Mapping[Place, Summary], ablation: Ablation) -> list[Side]:
    """The paper's side, if the paper has a number for any of the cells."""
    values = {at: cell.paper for at, cell in summaries.items() if cell.paper is not None}
    if not values:
        return []

    known = workload_named(ablation.workload).paper.data_of_setting.get(ablation.setting)
    data = f" ({known})" if known else ""
    gaps = {at: "not in paper" for at, cell in summaries.items() if cell.paper is None}
    return [Side(title=f"Paper: {ablation.source}{data}", values=values, spreads={}, gaps=gaps)]
