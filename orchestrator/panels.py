"""The panels of an ablation's figure: heat maps, lines or rows, this run on the left and the paper on the right.

Both sides have the same axes in the same order. Other data give other accuracies, so each side has its own scale (of
colour in heat maps), but in lines and rows a point of accuracy is equally long on both. Colours are those of Okabe and
Ito, each with a marker and a dash of its own, so that a grey print can be read. Values are in percent.
"""

import math
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from search_spaces import Axis, Layout

__all__ = ["AVERAGE", "SMALLEST", "Place", "Side", "heatmaps", "lines", "rows", "windows"]

Place = tuple[str, ...]

SMALLEST = 8  # points, of the smallest text
AVERAGE = "Average"
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_GREY = "#d9d9d9"
_DARK_GREY = "#595959"
_GRID: dict[str, Any] = {"color": "#e5e5e5", "linewidth": 0.6}


@dataclass(frozen=True)
class Side:
    """One half of the figure: a value for each place that has one, and a word for each cell that has none.

    `reference` is the untrained encoder's value. `marks_gaps`: lines mark their cells without a value.
    """

    title: str
    values: Mapping[Place, float]
    spreads: Mapping[Place, float]
    gaps: Mapping[Place, str]
    reference: float | None = None
    marks_gaps: bool = False

    def extent(self) -> tuple[float, float] | None:
        """Lowest and highest end of the bars, and the reference if that takes no more than half as much room again."""
        ends = [value + sign * self.spreads.get(at, 0) for at, value in self.values.items() for sign in (-1, 1)]
        if not ends:
            return None
        low, high = min(ends), max(ends)
        if self.reference is not None:
            wider = min(low, self.reference), max(high, self.reference)
            if wider[1] - wider[0] <= 1.5 * (high - low):
                return wider
        return low, high


def windows(sides: tuple[Side, Side]) -> tuple[tuple[float, float], tuple[float, float]]:
    """Limits for either side that hold its values and span equally many points of accuracy."""
    extents = [side.extent() for side in sides]
    known = [extent for extent in extents if extent is not None] or [(0.0, 100.0)]
    span = min(max(1.2 * max(high - low for low, high in known), 1.0), 104.0)
    left, right = (_window(extent or known[0], span) for extent in extents)
    return left, right


def _window(extent: tuple[float, float], span: float) -> tuple[float, float]:
    """The extent in the middle of the span, but no space far outside 0 to 100 %."""
    bottom = max(min((sum(extent) - span) / 2, 102 - span), -2.0)
    return bottom, bottom + span


# Heat maps ------------------------------------------------------------------------------------------------------------


def heatmaps(layout: Layout, sides: tuple[Side, Side], metric: str) -> Figure:
    """Two matrices: the first axis down, the second across, and the mean of each row in a last column."""
    down, across = layout.axes
    size = (1.3 * len(across.labels) + 4.2, 0.5 * len(down.labels) + 2.5)
    figure = Figure(figsize=size, layout="constrained")
    for axes, side in zip(figure.subplots(1, 2), sides, strict=True):
        _heatmap(figure, axes, down, across, side, metric)
    return figure


def _heatmap(figure: Figure, axes: Axes, down: Axis, across: Axis, side: Side, metric: str) -> None:
    matrix = np.full((len(down.labels), len(across.labels)), np.nan)
    for (first, second), value in side.values.items():
        matrix[down.labels.index(first), across.labels.index(second)] = value
    shown = np.column_stack([matrix, matrix.mean(axis=1)])
    known = [*shown[np.isfinite(shown)].tolist(), *([] if side.reference is None else [side.reference])]
    low, high = (min(known), max(known)) if known else (0.0, 100.0)
    high = max(high, low + 1)
    image = axes.imshow(np.ma.masked_invalid(shown), cmap="cividis", vmin=low, vmax=high, aspect="auto")
    for (row, column), value in np.ndenumerate(shown):
        if np.isfinite(value):
            shade = "black" if value > (low + high) / 2 else "white"
            axes.text(column, row, f"{value:.1f}", ha="center", va="center", color=shade)
        elif column == len(across.labels):
            _hatch(axes, (column - 0.5, row - 0.5, 1, 1), "n/a")
        elif gap := side.gaps.get((down.labels[row], across.labels[column])):
            _hatch(axes, (column - 0.5, row - 0.5, 1, 1), gap)
    axes.axvline(len(across.labels) - 0.5, color="white", linewidth=4)
    axes.set_xticks(range(shown.shape[1]), [*across.labels, AVERAGE])
    axes.set_yticks(range(shown.shape[0]), down.labels)
    axes.tick_params(length=0)
    axes.spines[:].set_visible(False)
    axes.set(xlabel=across.name, ylabel=down.name, title=side.title)
    bar = figure.colorbar(image, ax=axes, label=metric, pad=0.02)
    if side.reference is not None:
        bar.ax.axhline(side.reference, color="white", linewidth=3)
        bar.ax.axhline(side.reference, color="black", linewidth=1.5, linestyle="--")


def _hatch(axes: Axes, box: tuple[float, float, float, float], text: str) -> None:
    """A grey hatched box (left, bottom, width, height) that says why it holds no value."""
    left, bottom, width, height = box
    axes.add_patch(Rectangle((left, bottom), width, height, facecolor=_GREY, edgecolor="#8c8c8c", hatch="///"))
    plate = {"facecolor": _GREY, "edgecolor": "none", "pad": 1}
    axes.text(left + width / 2, bottom + height / 2, text, ha="center", va="center", fontsize=SMALLEST, bbox=plate)


# Lines ----------------------------------------------------------------------------------------------------------------


def lines(layout: Layout, sides: tuple[Side, Side], metric: str) -> Figure:
    """A line for each label of the first axis over the second, and a row of panels for each label of a third."""
    series, along = layout.axes[:2]
    panels: list[Place] = [(label,) for label in layout.axes[2].labels] if len(layout.axes) > 2 else [()]
    figure = Figure(figsize=(11, 1.7 + 2.8 * len(panels)), layout="constrained")
    grid = figure.subplots(len(panels), 2, squeeze=False)
    for column, (side, window) in enumerate(zip(sides, windows(sides), strict=True)):
        for row, panel in enumerate(panels):
            axes: Axes = grid[row, column]
            title = f"{side.title}\n{panel[0]} {layout.axes[2].name}" if panel else side.title
            _line_panel(axes, side, series, along, panel)
            _reference_line(axes, side, window)
            marked = _mark_gaps(axes, side, series, along, panel)
            axes.set_title(title, pad=6 + 8 * marked)
            axes.set(ylim=window, ylabel=metric)
            axes.set_xlabel(along.name if row == len(panels) - 1 else "")
    figure.legend(
        handles=_line_keys(series, sides),
        title=textwrap.fill(series.name, 18),
        loc="outside right upper",
        frameon=False,
        handlelength=3.5,
    )
    return figure


def _line_panel(axes: Axes, side: Side, series: Axis, along: Axis, panel: Place) -> None:
    """The lines of one panel. A cell without a value breaks its line; a place that has no cell does not."""
    for index, label in enumerate(series.labels):
        aside = 0.05 * (index - (len(series.labels) - 1) / 2) if side.spreads else 0.0
        points = [
            (position + aside, side.values.get(at, math.nan), side.spreads.get(at, math.nan))
            for position, place in zip(along.positions(), along.labels, strict=True)
            if (at := (label, place, *panel)) in side.values or at in side.gaps
        ]
        if any(math.isfinite(value) for _, value, _ in points):
            x, y, spread = zip(*points, strict=True)
            axes.errorbar(x, y, yerr=spread, capsize=2, elinewidth=1, label=label, **_look(index))
    axes.set_xticks(along.positions(), along.labels)
    axes.set_xlim(along.positions()[0] - 0.5, along.positions()[-1] + 0.5)
    axes.grid(axis="y", **_GRID)
    axes.set_axisbelow(True)


def _mark_gaps(axes: Axes, side: Side, series: Axis, along: Axis, panel: Place) -> int:
    """Mark the cells without a value above the panel, stacked; returns the height of the highest stack."""
    heights = [0]
    for position, place in zip(along.positions(), along.labels, strict=True):
        gaps = [
            (index, side.gaps[at])
            for index, label in enumerate(series.labels)
            if side.marks_gaps and (at := (label, place, *panel)) in side.gaps
        ]
        for height, (index, gap) in enumerate(gaps):
            for look in _gap_looks(gap, index):
                mark = Line2D([position], [1.03 + 0.05 * height], gid=gap, clip_on=False, **look)
                mark.set_transform(axes.get_xaxis_transform())
                axes.add_artist(mark)
        heights.append(len(gaps))
    return max(heights)


def _line_keys(series: Axis, sides: tuple[Side, Side]) -> list[Line2D]:
    keys = [Line2D([], [], label=label, **_look(index)) for index, label in enumerate(series.labels)]
    words = sorted({gap for side in sides if side.marks_gaps for gap in side.gaps.values()})
    marks = {"failed": "x", "missing": "o"}
    return keys + [Line2D([], [], label=f"{word} (above panel)", **_mark(marks[word], _DARK_GREY)) for word in words]


def _look(index: int) -> dict[str, Any]:
    return {
        "color": _COLORS[index % len(_COLORS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _DASHES[index % len(_DASHES)],
        "linewidth": 1.4,
        "markersize": 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }


def _gap_looks(gap: str, index: int) -> list[dict[str, Any]]:
    """The line's marker left hollow, and a cross over it for a failed cell."""
    hollow = _mark(_MARKERS[index % len(_MARKERS)], _COLORS[index % len(_COLORS)])
    return [hollow, _mark("x", "black")] if gap == "failed" else [hollow]


def _mark(marker: str, color: str) -> dict[str, Any]:
    return {
        "color": color,
        "marker": marker,
        "linestyle": "none",
        "markersize": 5,
        "markerfacecolor": "none",
        "markeredgecolor": color,
    }


def _reference_line(axes: Axes, side: Side, window: tuple[float, float], *, across: bool = True) -> None:
    if side.reference is not None and window[0] <= side.reference <= window[1]:
        line = axes.axhline if across else axes.axvline
        line(side.reference, color=_DARK_GREY, linestyle=(0, (5, 3)), linewidth=1.2, zorder=1.2, label="untrained")


# Rows -----------------------------------------------------------------------------------------------------------------


def rows(layout: Layout, sides: tuple[Side, Side], metric: str) -> Figure:
    """A row for each cell, from the top: a dot with its bar and its number."""
    (axis,) = layout.axes
    figure = Figure(figsize=(9.5, 1.9 + 0.45 * len(axis.labels)), layout="constrained")
    panels = figure.subplots(1, 2, sharey=True)
    for axes, side, window in zip(panels, sides, windows(sides), strict=True):
        _reference_line(axes, side, window, across=False)
        axes.grid(axis="x", **_GRID)
        axes.set_axisbelow(True)
        for row, label in enumerate(axis.labels):
            at = (label,)
            if at in side.values:
                value, spread = side.values[at], side.spreads.get(at, math.nan)
                axes.errorbar(value, row, xerr=spread, capsize=3, color=_COLORS[0], marker="o", markersize=6)
                axes.annotate(f"{value:.1f}", (value, row), (0, 6), textcoords="offset points", ha="center")
            elif at in side.gaps:
                _hatch(axes, (window[0], row - 0.35, window[1] - window[0], 0.7), side.gaps[at])
        axes.set(xlim=window, xlabel=metric, title=side.title)
    panels[0].set_yticks(range(len(axis.labels)), axis.labels)
    panels[0].set(ylim=(len(axis.labels) - 0.5, -0.7), ylabel=axis.name)
    return figure
