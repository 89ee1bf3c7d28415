"""Maps: a heat map of this run for each label of a third axis, with predictions drawn in."""

import math
import textwrap
from collections.abc import Sequence
from itertools import product

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.transforms import ScaledTranslation

from orchestrator.report.figures.marks import hatch, mark_partial, mark_reference
from orchestrator.report.figures.overlays import path_between_cells, prediction_style
from orchestrator.report.figures.sides import Side
from orchestrator.report.figures.style import SMALLEST
from orchestrator.report.summary import UNCOUNTED
from search_spaces import Axis, Layout
from search_spaces.ablation import Overlay
from workloads.quantity import Quantity

__all__ = ["maps"]

WIDEST = 13.0  # inches, of maps side by side
_CELL = (0.48, 0.42)  # inches


def maps(layout: Layout, side: Side, quantity: Quantity, overlays: Sequence[Overlay]) -> Figure:
    """Draw a heat map for each label of the third axis, all by one scale of colour.

    The first axis is upwards and the second across.
    """
    up, across, third = layout.axes
    width = _CELL[0] * len(across.labels) + 0.5
    columns = max(1, min(len(third.labels), int(WIDEST / width)))
    rows = math.ceil(len(third.labels) / columns)
    size = max(columns * width + 1.8, 6.0), rows * (_CELL[1] * len(up.labels) + 0.8) + 1.8
    figure = Figure(figsize=size, layout="constrained")
    grid = figure.subplots(rows, columns, sharex=True, sharey=True, squeeze=False)
    norm = _norm(side, quantity)

    for index, (axes, label) in enumerate(zip(grid.flat, third.labels, strict=False)):
        image = _map(axes, (up, across), side, label, quantity, norm)
        drawn_in = [(i, one) for i, one in enumerate(overlays) if not one.only or label in one.only]
        _predictions(axes, (up, across), drawn_in)
        axes.set(title=f"{third.name}: {label}", ylabel=up.name if index % columns == 0 else "")
        axes.set_xlabel(across.name if index + columns >= len(third.labels) else "")
    for axes in grid.flat[len(third.labels) :]:
        axes.remove()

    bar = figure.colorbar(image, ax=grid, label=quantity.label, pad=0.02)
    mark_reference(bar.ax, side.reference)
    return figure


def _norm(side: Side, quantity: Quantity) -> Normalize:
    known = [*side.values.values()]
    if side.reference is not None:
        known.append(side.reference)
    low = min(known, default=quantity.low)
    return Normalize(low, max([*known, low + quantity.resolution]))


def _map(
    axes: Axes,
    plane: tuple[Axis, Axis],
    side: Side,
    label: str,
    quantity: Quantity,
    norm: Normalize,
) -> AxesImage:
    up, across = plane
    matrix = np.full((len(up.labels), len(across.labels)), np.nan)
    for (row, first), (column, second) in product(enumerate(up.labels), enumerate(across.labels)):
        at = (first, second, label)
        if (value := side.values.get(at)) is not None:
            matrix[row, column] = value
            # The outline keeps a prediction's line out of the digits.
            outline = patheffects.withStroke(
                linewidth=2.5, foreground=colormaps["cividis"](norm(value))
            )
            axes.text(
                column,
                row,
                quantity.text(value),
                ha="center",
                va="center",
                fontsize=SMALLEST,
                zorder=3,
                color="black" if norm(value) > 0.5 else "white",
                path_effects=[outline],
            )
        elif gap := side.gaps.get(at):
            # A box is too narrow for these two words.
            hatch(axes, (column - 0.5, row - 0.5, 1, 1), "none" if gap == UNCOUNTED else gap)
        if at in side.partial:
            mark_partial(axes, column + 0.36, row + 0.34)

    image = axes.imshow(
        np.ma.masked_invalid(matrix), cmap="cividis", norm=norm, aspect="auto", origin="lower"
    )
    axes.set_xticks(range(len(across.labels)), across.labels)
    axes.set_yticks(range(len(up.labels)), up.labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    return image


def _predictions(
    axes: Axes, plane: tuple[Axis, Axis], overlays: Sequence[tuple[int, Overlay]]
) -> None:
    """Lines between the centres of cells, which keep the limits of the map."""
    limits = axes.get_xlim(), axes.get_ylim()
    up, across = plane
    for index, overlay in overlays:
        x, y = path_between_cells(overlay, across, up)
        axes.plot(x, y, label=textwrap.fill(overlay.label, 70), **prediction_style(index))
    axes.set(xlim=limits[0], ylim=limits[1])

    if overlays:
        figure = axes.get_figure(root=True)
        assert figure is not None, "axes are drawn in one"
        # inches: under the axis' name
        below = axes.transAxes + ScaledTranslation(0, -0.36, figure.dpi_scale_trans)
        axes.legend(
            loc="upper center",
            bbox_to_anchor=(0.5, 0),
            bbox_transform=below,
            frameon=False,
            handlelength=3.5,
        )
