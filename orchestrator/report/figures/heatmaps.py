"""Heat maps: two axes as rows and columns, this run on the left, the paper beside it."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from orchestrator.report.figures.marks import hatch, mark_partial, mark_reference
from orchestrator.report.figures.sides import Side
from search_spaces import Axis, Layout
from workloads.quantity import Quantity

__all__ = ["AVERAGE", "heatmaps"]

AVERAGE = "Average"


def heatmaps(layout: Layout, sides: Sequence[Side], quantity: Quantity) -> Figure:
    """Draw a matrix for each side: the first axis down, the second across, and the rows' means."""
    down, across = layout.axes
    size = ((0.65 * len(across.labels) + 2.1) * len(sides), 0.5 * len(down.labels) + 2.5)
    figure = Figure(figsize=size, layout="constrained")
    for axes, side in zip(figure.subplots(1, len(sides), squeeze=False)[0], sides, strict=True):
        _heatmap(figure, axes, down, across, side, quantity)
    return figure


def _heatmap(
    figure: Figure, axes: Axes, down: Axis, across: Axis, side: Side, quantity: Quantity
) -> None:
    matrix = np.full((len(down.labels), len(across.labels)), np.nan)
    for (first, second), value in side.values.items():
        matrix[down.labels.index(first), across.labels.index(second)] = value
    shown = np.column_stack([matrix, matrix.mean(axis=1)])

    known = shown[np.isfinite(shown)].tolist()
    if side.reference is not None:
        known.append(side.reference)
    low, high = (min(known), max(known)) if known else (0.0, 100.0)
    high = max(high, low + quantity.resolution)
    image = axes.imshow(
        np.ma.masked_invalid(shown), cmap="cividis", vmin=low, vmax=high, aspect="auto"
    )

    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            shade = "black" if value > (low + high) / 2 else "white"
            axes.text(column, row, quantity.text(value), ha="center", va="center", color=shade)
        elif column == len(across.labels):
            hatch(axes, (column - 0.5, row - 0.5, 1, 1), "n/a")
        elif gap := side.gaps.get((down.labels[row], across.labels[column])):
            hatch(axes, (column - 0.5, row - 0.5, 1, 1), gap)
    for first, second in side.partial:
        mark_partial(axes, across.labels.index(second) + 0.4, down.labels.index(first) - 0.35)

    axes.axvline(len(across.labels) - 0.5, color="white", linewidth=4)
    axes.set_xticks(range(shown.shape[1]), [*across.labels, AVERAGE])
    axes.set_yticks(range(shown.shape[0]), down.labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=across.name, ylabel=down.name, title=side.title)
    bar = figure.colorbar(image, ax=axes, label=quantity.label, pad=0.02)
    mark_reference(bar.ax, side.reference)
