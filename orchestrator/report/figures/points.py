"""Points: each cell's value over another metric of it, with what theory predicts drawn in."""

import math
import textwrap
from collections.abc import Mapping, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from orchestrator.report.figures.marks import reference_line
from orchestrator.report.figures.overlays import prediction_style
from orchestrator.report.figures.sides import Side, windows
from orchestrator.report.figures.style import SeriesStyle, add_grid, hollow, style_of
from search_spaces import Axis, Layout
from search_spaces.ablation import Overlay
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = ["points", "points_window"]


def points(
    layout: Layout,
    side: Side,
    against: Mapping[Place, Sequence[float]],
    quantities: tuple[Quantity, Quantity],
    overlays: Sequence[Overlay],
) -> Figure:
    """Draw each cell's value over its mean of another metric (`against`, one number a seed).

    A point is marked by its cell's label on the first axis; a hollow one has runs that do not
    count. `quantities`: what lies across, and what the cells are compared by.
    """
    series = layout.axes[0]
    figure = Figure(figsize=(8.5, 4.8), layout="constrained")
    axes: Axes = figure.subplots()
    where = {at: float(np.mean(values)) for at, values in against.items() if at in side.values}
    for index, label in enumerate(series.labels):
        for at in (cell for cell in where if cell[0] == label):
            style = _point_style(index)
            if at in side.partial:
                style |= hollow(index)
            axes.errorbar(
                where[at],
                side.values[at],
                yerr=side.spreads.get(at, math.nan),
                xerr=_sd(against[at]),
                capsize=2,
                elinewidth=1,
                label=label,
                **style,
            )
    if where and min(where.values()) > 0:
        axes.set_xscale("log")
        axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.set_xlim(min(where.values()) / 1.5, max(where.values()) * 1.5)

    limits = axes.get_xlim()
    for index, overlay in enumerate(overlays):
        x, y = zip(*overlay.points, strict=True)
        axes.plot(x, y, label=overlay.label, zorder=1.5, **prediction_style(index))
    window = points_window(side, quantities[1], overlays)
    reference_line(axes, side, window)
    add_grid(axes)
    axes.set(xlim=limits, ylim=window, xlabel=quantities[0].label, ylabel=quantities[1].label)
    _add_legend(figure, series, overlays)
    return figure


def points_window(
    side: Side, quantity: Quantity, overlays: Sequence[Overlay]
) -> tuple[float, float]:
    """Return limits upwards: the values with their bars, and as much of the predictions as fits."""
    low, high = windows([side], quantity)[0]
    predicted = [y for overlay in overlays for _, y in overlay.points]
    reach = 0.25 * (high - low)
    return max(low - reach, min([low, *predicted])), min(high + reach, max([high, *predicted]))


def _point_style(index: int) -> SeriesStyle:
    return style_of(index) | {"linestyle": "none", "markersize": 7}


def _add_legend(figure: Figure, series: Axis, overlays: Sequence[Overlay]) -> None:
    keys = [
        Line2D([], [], label=label, **_point_style(index))
        for index, label in enumerate(series.labels)
    ]
    for index, overlay in enumerate(overlays):
        label = textwrap.fill(overlay.label, 32, break_on_hyphens=False)
        keys.append(Line2D([], [], label=label, **prediction_style(index)))
    figure.legend(
        handles=keys,
        title=textwrap.fill(series.name, 20, break_on_hyphens=False),
        loc="outside right center",
        alignment="left",
        frameon=False,
        handlelength=2.5,
    )


def _sd(values: Sequence[float]) -> float:
    """Sample standard deviation; nan when there is none to draw."""
    found = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return found or math.nan
