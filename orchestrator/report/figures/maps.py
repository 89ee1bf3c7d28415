"""Figures of theory: a heat map for each label of a third axis, or a point for each cell, with what
is predicted drawn in.

Both show this run only. A prediction is drawn where its numbers are among the axes' labels: for
maps between the centres of rows and columns, by their logarithms where all are positive.
"""

import math
import textwrap
from collections.abc import Callable, Mapping, Sequence
from fractions import Fraction
from itertools import product
from typing import Any

import numpy as np
from matplotlib import colormaps, patheffects
from matplotlib.axes import Axes
from matplotlib.colors import Normalize
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter
from matplotlib.transforms import ScaledTranslation
from numpy.typing import NDArray

from orchestrator.report.figures.panels import (
    GRID,
    SMALLEST,
    Side,
    hatch,
    hollow,
    look,
    mark_partial,
    mark_reference,
    reference_line,
    windows,
)
from orchestrator.report.quantities import Quantity
from orchestrator.report.summary import UNCOUNTED
from search_spaces import Axis, Layout
from search_spaces.ablation import Overlay
from search_spaces.claims import Place

__all__ = ["maps", "points", "points_window"]

Numbers = NDArray[np.float64]

WIDEST = 13.0  # inches, of maps side by side
_CELL = (0.48, 0.42)  # inches
_THEORY: dict[str, Any] = {"color": "black", "linewidth": 1.6}
_THEORY_DASHES: tuple[Any, ...] = ((0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), "-")


# Maps ---------------------------------------------------------------------------------------------


def maps(layout: Layout, side: Side, quantity: Quantity, overlays: Sequence[Overlay]) -> Figure:
    """A heat map for each label of the third axis, the first axis upwards and the second across;
    one scale of colour.
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
        _theory(
            axes,
            (up, across),
            [(i, one) for i, one in enumerate(overlays) if not one.only or label in one.only],
        )
        axes.set(title=f"{third.name}: {label}", ylabel=up.name if index % columns == 0 else "")
        axes.set_xlabel(across.name if index + columns >= len(third.labels) else "")
    for axes in grid.flat[len(third.labels) :]:
        axes.remove()
    mark_reference(
        figure.colorbar(image, ax=grid, label=quantity.label, pad=0.02).ax, side.reference
    )
    return figure


def _norm(side: Side, quantity: Quantity) -> Normalize:
    known = [*side.values.values(), *([] if side.reference is None else [side.reference])] or [
        quantity.low
    ]
    return Normalize(min(known), max(*known, min(known) + quantity.resolution))


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
            look_of: dict[str, Any] = {
                "color": "black" if norm(value) > 0.5 else "white",
                "path_effects": [outline],
            }
            axes.text(
                column,
                row,
                quantity.text(value),
                ha="center",
                va="center",
                fontsize=SMALLEST,
                zorder=3,
                **look_of,
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


def _theory(axes: Axes, plane: tuple[Axis, Axis], overlays: Sequence[tuple[int, Overlay]]) -> None:
    """Predictions as lines between the centres of cells, which keep the limits of the map."""
    limits = axes.get_xlim(), axes.get_ylim()
    up, across = plane
    for index, overlay in overlays:
        x, y = _path(overlay, across, up)
        axes.plot(x, y, label=textwrap.fill(overlay.label, 70), **_theory_look(index))
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


def _path(overlay: Overlay, across: Axis, up: Axis) -> tuple[Numbers, Numbers]:
    """An overlay in places of labels, straight between its points as the labels are spaced; nan
    outside of the cells.
    """
    rulers = _ruler(across), _ruler(up)
    known = [
        scale(np.array(values))
        for (scale, _), values in zip(rulers, zip(*overlay.points, strict=True), strict=True)
    ]
    fine = np.linspace(0, len(overlay.points) - 1, 200 * (len(overlay.points) - 1) + 1)
    x, y = (
        place(np.interp(fine, np.arange(len(values)), values))
        for (_, place), values in zip(rulers, known, strict=True)
    )
    outside = np.isnan(x) | np.isnan(y)
    return np.where(outside, np.nan, x), np.where(outside, np.nan, y)


def _ruler(axis: Axis) -> tuple[Callable[[Numbers], Numbers], Callable[[Numbers], Numbers]]:
    """From numbers to the scale that labels are compared on, and from there to places: 0 is the
    first label's centre.
    """
    numbers = [number for label in axis.labels if (number := _number(label)) is not None]
    if not numbers:
        raise ValueError(
            f"axis {axis.name!r}: a prediction cannot be drawn along labels that are no numbers, "
            f"{axis.labels!r}"
        )
    scale: Callable[[Numbers], Numbers] = np.log if min(numbers) > 0 else np.asarray
    centres = scale(np.array(numbers))
    first, last = (
        (centres[1] - centres[0], centres[-1] - centres[-2]) if len(centres) > 1 else (1.0, 1.0)
    )
    # A cell more at either end, so that lines go on to the border of the map.
    centres = np.array([centres[0] - first, *centres, centres[-1] + last])
    places = np.arange(-1.0, len(numbers) + 1)
    order = np.argsort(centres)

    def place(scaled: Numbers) -> Numbers:
        found = np.interp(scaled, centres[order], places[order])
        return np.where((found < -0.5) | (found > len(numbers) - 0.5), np.nan, found)

    return scale, place


def _number(label: str) -> float | None:
    try:
        return float(Fraction(label.removeprefix("x ")))
    except (ValueError, ZeroDivisionError):
        return None


def _theory_look(index: int) -> dict[str, Any]:
    """Black on a white band, so that it is seen on every colour."""
    band = [patheffects.Stroke(linewidth=4, foreground="white"), patheffects.Normal()]
    return {
        **_THEORY,
        "linestyle": _THEORY_DASHES[index % len(_THEORY_DASHES)],
        "path_effects": band,
    }


# Points -------------------------------------------------------------------------------------------


def points(
    layout: Layout,
    side: Side,
    against: Mapping[Place, Sequence[float]],
    quantities: tuple[Quantity, Quantity],
    overlays: Sequence[Overlay],
) -> Figure:
    """Each cell's value over that of another metric (`against`, one a seed), marked by its label on
    the first axis.

    `quantities`: what lies across, and what the cells are compared by. A hollow point has runs that
    do not count.
    """
    series = layout.axes[0]
    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes: Axes = figure.subplots()
    where = {at: float(np.mean(values)) for at, values in against.items() if at in side.values}
    for index, label in enumerate(series.labels):
        for at in (place for place in where if place[0] == label):
            shape = look(index) | {"linestyle": "none", "markersize": 7}
            if at in side.partial:
                shape |= hollow(index)
            up, across = side.spreads.get(at, math.nan), _sd(against[at])
            axes.errorbar(
                where[at],
                side.values[at],
                yerr=up,
                xerr=across,
                capsize=2,
                elinewidth=1,
                label=label,
                **shape,
            )
    if where and min(where.values()) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(min(where.values()) / 1.5, max(where.values()) * 1.5)
    limits = axes.get_xlim()
    for index, overlay in enumerate(overlays):
        axes.plot(
            *zip(*overlay.points, strict=True),
            label=overlay.label,
            zorder=1.5,
            **_theory_look(index),
        )
    window = points_window(side, quantities[1], overlays)
    reference_line(axes, side, window)
    axes.grid(**GRID)
    axes.set_axisbelow(True)
    axes.set(xlim=limits, ylim=window, xlabel=quantities[0].label, ylabel=quantities[1].label)
    _points_legend(figure, series, overlays)
    return figure


def points_window(
    side: Side, quantity: Quantity, overlays: Sequence[Overlay]
) -> tuple[float, float]:
    """Limits upwards: the values with their bars, and as much of the predictions as fits."""
    low, high = windows([side], quantity)[0]
    predicted = [y for overlay in overlays for _, y in overlay.points]
    reach = 0.25 * (high - low)
    return max(low - reach, min([low, *predicted])), min(high + reach, max([high, *predicted]))


def _points_legend(figure: Figure, series: Axis, overlays: Sequence[Overlay]) -> None:
    title = textwrap.fill(series.name, 20, break_on_hyphens=False)
    keys = [
        Line2D([], [], label=label, **look(index) | {"linestyle": "none", "markersize": 7})
        for index, label in enumerate(series.labels)
    ]
    keys += [
        Line2D(
            [], [], label=textwrap.fill(one.label, 32, break_on_hyphens=False), **_theory_look(i)
        )
        for i, one in enumerate(overlays)
    ]
    figure.legend(
        handles=keys,
        title=title,
        loc="outside right center",
        alignment="left",
        frameon=False,
        handlelength=2.5,
    )


def _sd(values: Sequence[float]) -> float:
    """Sample standard deviation; nan when there is none to draw."""
    found = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return found or math.nan
