"""Heat maps: two axes as rows and columns, this run on the left, the paper beside it.

Both have one scale of colour: a small spread beside a large one looks small.
"""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage

from orchestrator.report.figures.marks import hatch, mark_no_gain, mark_partial, mark_reference
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
    norm = _norm(sides, quantity)
    grid = figure.subplots(1, len(sides), squeeze=False)[0]
    for axes, side in zip(grid, sides, strict=True):
        image = _heatmap(axes, (down, across), side, quantity, norm)
    bar = figure.colorbar(image, ax=list(grid), label=quantity.label, pad=0.02)
    mark_reference(bar.ax, sides[0].reference)
    return figure


def _norm(sides: Sequence[Side], quantity: Quantity) -> Normalize:
    known = [value for side in sides for value in side.values.values()]
    known += [side.reference for side in sides if side.reference is not None]
    low, high = (min(known), max(known)) if known else (0.0, 100.0)
    return Normalize(low, max(high, low + quantity.resolution))


def _heatmap(
    axes: Axes, plane: tuple[Axis, Axis], side: Side, quantity: Quantity, norm: Normalize
) -> AxesImage:
    down, across = plane
    matrix = np.full((len(down.labels), len(across.labels)), np.nan)
    for (first, second), value in side.values.items():
        matrix[down.labels.index(first), across.labels.index(second)] = value
    shown = np.column_stack([matrix, matrix.mean(axis=1)])

    image = axes.imshow(np.ma.masked_invalid(shown), cmap="cividis", norm=norm, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            shade = "black" if norm(value) > 0.5 else "white"
            axes.text(column, row, quantity.text(value), ha="center", va="center", color=shade)
            untrained = -np.inf if side.reference is None else side.reference
            if column < len(across.labels) and value <= untrained:
                mark_no_gain(axes, column, row + 0.32, shade)
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
    return image
