"""Lines: a series for each label of an axis, this run on the left, the paper beside it.

Of a layout with one axis there is one line, over the numbers that its labels are.
"""

import math
import textwrap
from collections.abc import Mapping, Sequence
from itertools import pairwise

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from orchestrator.report.figures.marks import reference_line
from orchestrator.report.figures.sides import Side, windows
from orchestrator.report.figures.style import (
    COLORS,
    DARK_GREY,
    MARKERS,
    SeriesStyle,
    add_grid,
    hollow,
    style_of,
)
from orchestrator.report.summary import UNCOUNTED
from search_spaces import Axis, Layout
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = ["lines"]


def lines(layout: Layout, sides: Sequence[Side], quantity: Quantity) -> Figure:
    """Draw a line for each label of the first axis over the second.

    A third axis has a row of panels for each of its labels; a single axis is what the one line
    goes along.
    """
    alone = len(layout.axes) == 1
    series, along = (None, layout.axes[0]) if alone else layout.axes[:2]
    panels: list[Place] = [()]
    if len(layout.axes) > 2:
        panels = [(label,) for label in layout.axes[2].labels]
    figure = Figure(
        figsize=(11 if len(sides) > 1 else 9, 1.7 + 2.8 * len(panels)), layout="constrained"
    )
    room = 72 * ((figure.get_figwidth() - (0 if alone else 2)) / len(sides) - 0.9)
    positions = _positions(along, room, by_number=alone)
    grid = figure.subplots(len(panels), len(sides), squeeze=False)

    for column, (side, window) in enumerate(zip(sides, windows(sides, quantity), strict=True)):
        for row, panel in enumerate(panels):
            axes: Axes = grid[row, column]
            title = _panel_title(side, layout, panel)
            _line_panel(axes, side, series, positions, panel)
            reference_line(axes, side, window)
            marked = _mark_gaps(axes, side, series, positions, panel)
            axes.set_title(title, pad=6 + 8 * marked)
            axes.set(ylim=window, ylabel=quantity.label)
            axes.set_xlabel(along.name if row == len(panels) - 1 else "")

    keys = _line_keys(series, sides)
    if not keys:
        return figure
    figure.legend(
        handles=keys,
        title=textwrap.fill(series.name, 18, break_on_hyphens=False) if series else None,
        alignment="left",
        loc="outside right center",  # above, a long title would run into it
        frameon=False,
        handlelength=3.5,
    )
    return figure


def _panel_title(side: Side, layout: Layout, panel: Place) -> str:
    if not panel:
        return side.title
    name = layout.axes[2].name
    return f"{side.title}\n{panel[0]} {name}" if side.title else f"{name}: {panel[0]}"


def _positions(along: Axis, room: float, *, by_number: bool) -> dict[str, float]:
    """Where labels stand in a panel that is so many points wide.

    Evenly, if they would run into each other by their logarithms, or by their numbers.
    """
    places = _by_number(along.labels) if by_number and not along.log else None
    positions = dict(zip(along.labels, places or along.positions(), strict=True))
    a_letter = 0.6 * 9 * (1 + max(positions.values()) - min(positions.values())) / room
    for (label, position), (following, after) in pairwise(positions.items()):
        if after - position < a_letter * (len(label) + len(following) + 1) / 2:
            return {label: float(index) for index, label in enumerate(along.labels)}
    return positions


def _by_number(labels: Sequence[str]) -> list[float] | None:
    """Places that lie as the numbers do, a step apart on average; None where not all increase."""
    try:
        numbers = [float(label) for label in labels]
    except ValueError:
        return None
    if len(numbers) < 2 or any(b <= a for a, b in pairwise(numbers)):
        return None
    step = (numbers[-1] - numbers[0]) / (len(numbers) - 1)
    return [(number - numbers[0]) / step for number in numbers]


def _names(series: Axis | None) -> tuple[str | None, ...]:
    return (None,) if series is None else series.labels


def _place(name: str | None, along: str, panel: Place) -> Place:
    """The cell of a series at a label; without series there is one for each label."""
    return (along,) if name is None else (name, along, *panel)


def _line_panel(
    axes: Axes, side: Side, series: Axis | None, positions: Mapping[str, float], panel: Place
) -> None:
    """The lines of one panel.

    A cell without a value breaks its line; a label at which the layout has no cell does not.
    """
    for index, name in enumerate(_names(series)):
        aside = 0.05 * (index - (len(_names(series)) - 1) / 2) if side.spreads else 0.0
        x, y, spread = [], [], []
        for along, position in positions.items():
            at = _place(name, along, panel)
            if at in side.values or at in side.gaps:
                x.append(position + aside)
                y.append(side.values.get(at, math.nan))
                spread.append(side.spreads.get(at, math.nan))
        if not any(map(math.isfinite, y)):
            continue

        style = style_of(index)
        axes.errorbar(x, y, yerr=spread, capsize=2, elinewidth=1, label=name, **style)
        for along, position in positions.items():
            at = _place(name, along, panel)
            if at in side.partial:
                axes.plot(position + aside, side.values[at], zorder=4, **style | hollow(index))

    axes.set_xticks([*positions.values()], [*positions])
    axes.set_xlim(min(positions.values()) - 0.5, max(positions.values()) + 0.5)
    add_grid(axes, "y")


def _mark_gaps(
    axes: Axes, side: Side, series: Axis | None, positions: Mapping[str, float], panel: Place
) -> int:
    """Mark the cells without a value above the panel; the height of the highest stack of marks."""
    highest = 0
    for along, position in positions.items() if side.marks_gaps else ():
        height = 0
        for index, name in enumerate(_names(series)):
            gap = side.gaps.get(_place(name, along, panel))
            if gap is None:
                continue
            for style in _gap_styles(gap, index):
                mark = Line2D([position], [1.03 + 0.05 * height], gid=gap, clip_on=False, **style)
                mark.set_transform(axes.get_xaxis_transform())
                axes.add_artist(mark)
            height += 1
        highest = max(highest, height)
    return highest


def _line_keys(series: Axis | None, sides: Sequence[Side]) -> list[Line2D]:
    labels = () if series is None else series.labels
    keys = [Line2D([], [], label=label, **style_of(index)) for index, label in enumerate(labels)]
    words = sorted({gap for side in sides if side.marks_gaps for gap in side.gaps.values()})
    marks = {"failed": "x", "missing": "o", UNCOUNTED: "+"}
    for word in words:
        style = _mark_style(marks[word], DARK_GREY)
        keys.append(Line2D([], [], label=f"{word} (above panel)", **style))
    return keys


def _gap_styles(gap: str, index: int) -> list[SeriesStyle]:
    """The line's marker left hollow; over it a cross if the cell failed or no run of it counts."""
    empty = _mark_style(MARKERS[index % len(MARKERS)], COLORS[index % len(COLORS)])
    crosses = {"failed": "x", UNCOUNTED: "+"}
    return [empty, _mark_style(crosses[gap], "black")] if gap in crosses else [empty]


def _mark_style(marker: str, color: str) -> SeriesStyle:
    return {
        "color": color,
        "marker": marker,
        "linestyle": "none",
        "markersize": 5,
        "markerfacecolor": "none",
        "markeredgecolor": color,
    }
