"""The panels of an ablation's figure: heat maps, lines or rows, this run on the left and the paper,
if asked, on the right.

Both sides have the same axes in the same order. Other data give other values, so each side has its
own scale (of colour in heat maps), but in lines and rows a difference is equally long on both.
Colours are those of Okabe and Ito, each with a marker and a dash of its own, so that a grey print
can be read.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Rectangle

from orchestrator.report.quantities import Quantity
from orchestrator.report.summary import UNCOUNTED
from search_spaces import Axis, Layout
from search_spaces.claims import Place

__all__ = [
    "AVERAGE",
    "GRID",
    "SMALLEST",
    "STYLE",
    "Side",
    "hatch",
    "heatmaps",
    "hollow",
    "lines",
    "look",
    "mark_partial",
    "mark_reference",
    "reference_line",
    "rows",
    "windows",
    "wrapped",
]


SMALLEST = 8  # points, of the smallest text
AVERAGE = "Average"
STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}
_COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
_MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
_DASHES = ("-", "--", "-.", ":")
_GREY = "#d9d9d9"
_DARK_GREY = "#595959"
GRID: dict[str, Any] = {"color": "#e5e5e5", "linewidth": 0.6}


@dataclass(frozen=True)
class Side:
    """One half of the figure: a value for each place that has one, and a word for each cell that
    has none.

    `reference` is the untrained encoder's value. `marks_gaps`: lines mark their cells without a
    value. `partial` has the cells of which some runs do not count.
    """

    title: str
    values: Mapping[Place, float]
    spreads: Mapping[Place, float]
    gaps: Mapping[Place, str]
    reference: float | None = None
    marks_gaps: bool = False
    partial: frozenset[Place] = frozenset()

    def extent(self) -> tuple[float, float] | None:
        """Lowest and highest end of the bars, and the reference if that takes no more than half as
        much room again.
        """
        ends = [
            value + sign * self.spreads.get(at, 0)
            for at, value in self.values.items()
            for sign in (-1, 1)
        ]
        if not ends:
            return None
        low, high = min(ends), max(ends)
        if self.reference is not None:
            wider = min(low, self.reference), max(high, self.reference)
            if wider[1] - wider[0] <= 1.5 * (high - low):
                return wider
        return low, high


def windows(sides: Sequence[Side], quantity: Quantity) -> list[tuple[float, float]]:
    """Limits for each side that hold its values and span equally much."""
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
    bottom = max(
        min((sum(extent) - span) / 2, quantity.high + margin - span), quantity.low - margin
    )
    return bottom, bottom + span


# Heat maps ----------------------------------------------------------------------------------------


def heatmaps(layout: Layout, sides: Sequence[Side], quantity: Quantity) -> Figure:
    """A matrix for each side: the first axis down, the second across, and the mean of each row in a
    last column.
    """
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
    known = [
        *shown[np.isfinite(shown)].tolist(),
        *([] if side.reference is None else [side.reference]),
    ]
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
    mark_reference(
        figure.colorbar(image, ax=axes, label=quantity.label, pad=0.02).ax, side.reference
    )


def mark_reference(bar: Axes, reference: float | None) -> None:
    """The untrained encoder on a colour bar."""
    if reference is not None:
        bar.axhline(reference, color="white", linewidth=3)
        bar.axhline(reference, color="black", linewidth=1.5, linestyle="--")


def mark_partial(axes: Axes, x: float, y: float) -> None:
    """The dot in a cell of which some runs do not count."""
    axes.plot(
        x,
        y,
        "o",
        markersize=4,
        color="white",
        markeredgecolor="black",
        markeredgewidth=0.7,
        gid="partial",
        zorder=4,
    )


def hatch(axes: Axes, box: tuple[float, float, float, float], text: str) -> None:
    """A grey hatched box (left, bottom, width, height) that says why it holds no value."""
    left, bottom, width, height = box
    axes.add_patch(
        Rectangle((left, bottom), width, height, facecolor=_GREY, edgecolor="#8c8c8c", hatch="///")
    )
    plate = {"facecolor": _GREY, "edgecolor": "none", "pad": 1}
    axes.text(
        left + width / 2,
        bottom + height / 2,
        text,
        ha="center",
        va="center",
        fontsize=SMALLEST,
        bbox=plate,
    )


# Lines --------------------------------------------------------------------------------------------


def lines(layout: Layout, sides: Sequence[Side], quantity: Quantity) -> Figure:
    """A line for each label of the first axis over the second, and a row of panels for each label
    of a third.
    """
    series, along = layout.axes[:2]
    panels: list[Place] = (
        [(label,) for label in layout.axes[2].labels] if len(layout.axes) > 2 else [()]
    )
    figure = Figure(
        figsize=(11 if len(sides) > 1 else 9, 1.7 + 2.8 * len(panels)), layout="constrained"
    )
    places = _places(along, 72 * ((figure.get_figwidth() - 2) / len(sides) - 0.9))
    grid = figure.subplots(len(panels), len(sides), squeeze=False)
    for column, (side, window) in enumerate(zip(sides, windows(sides, quantity), strict=True)):
        for row, panel in enumerate(panels):
            axes: Axes = grid[row, column]
            title = _panel_title(side, layout, panel)
            _line_panel(axes, side, series, places, panel)
            reference_line(axes, side, window)
            marked = _mark_gaps(axes, side, series, places, panel)
            axes.set_title(title, pad=6 + 8 * marked)
            axes.set(ylim=window, ylabel=quantity.label)
            axes.set_xlabel(along.name if row == len(panels) - 1 else "")
    figure.legend(
        handles=_line_keys(series, sides),
        title=textwrap.fill(series.name, 18, break_on_hyphens=False),
        alignment="left",
        loc="outside right upper" if len(sides) > 1 else "outside right center",
        frameon=False,
        handlelength=3.5,
    )
    return figure


def _panel_title(side: Side, layout: Layout, panel: Place) -> str:
    if not panel:
        return side.title
    name = layout.axes[2].name
    return f"{side.title}\n{panel[0]} {name}" if side.title else f"{name}: {panel[0]}"


def _places(along: Axis, room: float) -> dict[str, float]:
    """Where labels stand in a panel so many points wide; evenly if they would run into each other
    by their logarithms.
    """
    places = dict(zip(along.labels, along.positions(), strict=True))
    a_letter = 0.6 * 9 * (1 + max(places.values()) - min(places.values())) / room
    for (label, position), (following, after) in pairwise(places.items()):
        if after - position < a_letter * (len(label) + len(following) + 1) / 2:
            return {label: float(index) for index, label in enumerate(along.labels)}
    return places


def _line_panel(
    axes: Axes, side: Side, series: Axis, places: Mapping[str, float], panel: Place
) -> None:
    """The lines of one panel. A cell without a value breaks its line; a place that has no cell does
    not.
    """
    for index, label in enumerate(series.labels):
        aside = 0.05 * (index - (len(series.labels) - 1) / 2) if side.spreads else 0.0
        points = [
            (position + aside, side.values.get(at, math.nan), side.spreads.get(at, math.nan))
            for place, position in places.items()
            if (at := (label, place, *panel)) in side.values or at in side.gaps
        ]
        if any(math.isfinite(value) for _, value, _ in points):
            x, y, spread = zip(*points, strict=True)
            axes.errorbar(x, y, yerr=spread, capsize=2, elinewidth=1, label=label, **look(index))
            for place, position in places.items():
                if (at := (label, place, *panel)) in side.partial:
                    axes.plot(
                        position + aside, side.values[at], zorder=4, **look(index) | hollow(index)
                    )
    axes.set_xticks([*places.values()], [*places])
    axes.set_xlim(min(places.values()) - 0.5, max(places.values()) + 0.5)
    axes.grid(axis="y", **GRID)
    axes.set_axisbelow(True)


def _mark_gaps(
    axes: Axes, side: Side, series: Axis, places: Mapping[str, float], panel: Place
) -> int:
    """Mark the cells without a value above the panel, stacked; returns the height of the highest
    stack.
    """
    heights = [0]
    for place, position in places.items():
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


def _line_keys(series: Axis, sides: Sequence[Side]) -> list[Line2D]:
    keys = [Line2D([], [], label=label, **look(index)) for index, label in enumerate(series.labels)]
    words = sorted({gap for side in sides if side.marks_gaps for gap in side.gaps.values()})
    marks = {"failed": "x", "missing": "o", UNCOUNTED: "+"}
    return keys + [
        Line2D([], [], label=f"{word} (above panel)", **_mark(marks[word], _DARK_GREY))
        for word in words
    ]


def look(index: int) -> dict[str, Any]:
    """Colour, marker and dash of one of several lines."""
    return {
        "color": _COLORS[index % len(_COLORS)],
        "marker": _MARKERS[index % len(_MARKERS)],
        "linestyle": _DASHES[index % len(_DASHES)],
        "linewidth": 1.4,
        "markersize": 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }


def hollow(index: int) -> dict[str, Any]:
    """What changes in the look of a point of which some runs do not count."""
    return {
        "markerfacecolor": "white",
        "markeredgecolor": look(index)["color"],
        "markeredgewidth": 1.2,
        "gid": "partial",
    }


def _gap_looks(gap: str, index: int) -> list[dict[str, Any]]:
    """The line's marker left hollow, and a cross over it for a failed cell or one of which no run
    counts.
    """
    hollow = _mark(_MARKERS[index % len(_MARKERS)], _COLORS[index % len(_COLORS)])
    crosses = {"failed": "x", UNCOUNTED: "+"}
    return [hollow, _mark(crosses[gap], "black")] if gap in crosses else [hollow]


def _mark(marker: str, color: str) -> dict[str, Any]:
    return {
        "color": color,
        "marker": marker,
        "linestyle": "none",
        "markersize": 5,
        "markerfacecolor": "none",
        "markeredgecolor": color,
    }


def reference_line(
    axes: Axes, side: Side, window: tuple[float, float], *, across: bool = True
) -> None:
    """The untrained encoder, where it is in the window."""
    if side.reference is not None and window[0] <= side.reference <= window[1]:
        line = axes.axhline if across else axes.axvline
        line(
            side.reference,
            color=_DARK_GREY,
            linestyle=(0, (5, 3)),
            linewidth=1.2,
            zorder=1.2,
            label="untrained",
        )


# Rows ---------------------------------------------------------------------------------------------


def rows(layout: Layout, sides: Sequence[Side], quantity: Quantity) -> Figure:
    """A row for each cell, from the top: a dot with its bar and its number."""
    (axis,) = layout.axes
    figure = Figure(
        figsize=(1.5 + 4 * len(sides), 1.9 + 0.45 * len(axis.labels)), layout="constrained"
    )
    panels = figure.subplots(1, len(sides), sharey=True, squeeze=False)[0]
    for axes, side, window in zip(panels, sides, windows(sides, quantity), strict=True):
        reference_line(axes, side, window, across=False)
        axes.grid(axis="x", **GRID)
        axes.set_axisbelow(True)
        for row, label in enumerate(axis.labels):
            at = (label,)
            if at in side.values:
                value, spread = side.values[at], side.spreads.get(at, math.nan)
                shape = {"marker": "o", "markersize": 6} | (hollow(0) if at in side.partial else {})
                axes.errorbar(value, row, xerr=spread, capsize=3, color=_COLORS[0], **shape)
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


# Words --------------------------------------------------------------------------------------------


def wrapped(paragraphs: Sequence[str], figure: Figure, *, points: int) -> str:
    """Paragraphs, each broken into lines that fit the figure's width: DejaVu Sans is about 0.55 em
    a character.
    """
    width = int(figure.get_figwidth() * 0.97 * 72 / (0.55 * points))
    return "\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs if paragraph)
