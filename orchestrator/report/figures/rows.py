"""Rows: a cell in each, this run on the left, the paper beside it."""

import math
from collections.abc import Sequence

from matplotlib.figure import Figure

from orchestrator.report.figures.marks import hatch, reference_line
from orchestrator.report.figures.sides import Side, windows
from orchestrator.report.figures.style import COLORS, SeriesStyle, add_grid, hollow
from search_spaces import Layout
from workloads.quantity import Quantity

__all__ = ["rows"]

_POINT: SeriesStyle = {"marker": "o", "markersize": 6}


def rows(layout: Layout, sides: Sequence[Side], quantity: Quantity) -> Figure:
    """Draw a row for each cell, from the top: a dot with its bar and its number."""
    (axis,) = layout.axes
    figure = Figure(
        figsize=(1.5 + 4 * len(sides), 1.9 + 0.45 * len(axis.labels)), layout="constrained"
    )
    panels = figure.subplots(1, len(sides), sharey=True, squeeze=False)[0]
    for axes, side, window in zip(panels, sides, windows(sides, quantity), strict=True):
        reference_line(axes, side, window, across=False)
        add_grid(axes, "x")
        for row, label in enumerate(axis.labels):
            at = (label,)
            if at in side.values:
                value, spread = side.values[at], side.spreads.get(at, math.nan)
                style = _POINT | hollow(0) if at in side.partial else _POINT
                axes.errorbar(value, row, xerr=spread, capsize=3, color=COLORS[0], **style)
                axes.annotate(
                    quantity.text(value),
                    (value, row),
                    (0, 6),
                    textcoords="offset points",
                    ha="center",
                )
            elif at in side.gaps:
                hatch(axes, (window[0], row - 0.35, window[1] - window[0], 0.7), side.gaps[at])
        axes.set(xlim=window, xlabel=quantity.label, title=side.title)
    panels[0].set_yticks(range(len(axis.labels)), axis.labels)
    panels[0].set(ylim=(len(axis.labels) - 0.5, -0.7), ylabel=axis.name)
    return figure
