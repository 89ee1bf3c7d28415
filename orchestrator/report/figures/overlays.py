"""Predictions drawn over what was measured: their lines in a map, and their style.

A prediction is drawn where its numbers are among the axes' labels: in maps between the centres of
rows and columns, by their logarithms where all are positive.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np
from matplotlib import patheffects
from numpy.typing import NDArray

from orchestrator.report.figures.style import SeriesStyle
from search_spaces import Axis
from search_spaces.ablation import Overlay

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType

__all__ = ["Numbers", "path_between_cells", "prediction_style"]

Numbers = NDArray[np.float64]

_DASHES: "tuple[LineStyleType, ...]" = ((0, (4, 1.5)), (0, (1, 1)), (0, (6, 1.5, 1, 1.5)), "-")


def prediction_style(index: int) -> SeriesStyle:
    """Return black on a white band, so that the line is seen on every colour."""
    return {
        "color": "black",
        "linewidth": 1.6,
        "linestyle": _DASHES[index % len(_DASHES)],
        "path_effects": [
            patheffects.Stroke(linewidth=4, foreground="white"),
            patheffects.Normal(),
        ],
    }


def path_between_cells(overlay: Overlay, across: Axis, up: Axis) -> tuple[Numbers, Numbers]:
    """Return a prediction's x and y counted in cells, 0 at the first label's centre.

    It is straight between its points, as the labels are spaced, and nan outside of the cells.
    Raises ValueError for an axis whose labels are no numbers.
    """
    values_x, values_y = zip(*overlay.points, strict=True)
    x = _along(across, np.array(values_x))
    y = _along(up, np.array(values_y))
    outside = np.isnan(x) | np.isnan(y)
    return np.where(outside, np.nan, x), np.where(outside, np.nan, y)


def _along(axis: Axis, values: Numbers) -> Numbers:
    """Where a line through these values of an axis runs, in many steps from each to the next."""
    scale, position = _ruler(axis)
    steps = np.linspace(0, len(values) - 1, 200 * (len(values) - 1) + 1)
    return position(np.interp(steps, np.arange(len(values)), scale(values)))


def _ruler(axis: Axis) -> tuple[Callable[[Numbers], Numbers], Callable[[Numbers], Numbers]]:
    """From numbers to the scale that labels are compared on, and from there to positions.

    Position 0 is the first label's centre.
    """
    numbers = [number for label in axis.labels if (number := _number(label)) is not None]
    if not numbers:
        raise ValueError(
            f"axis {axis.name!r}: a prediction cannot be drawn along labels that are no numbers, "
            f"{axis.labels!r}"
        )
    scale: Callable[[Numbers], Numbers] = np.log if min(numbers) > 0 else np.asarray
    centres = scale(np.array(numbers))
    first, last = 1.0, 1.0
    if len(centres) > 1:
        first, last = centres[1] - centres[0], centres[-1] - centres[-2]
    # A cell more at either end, so that lines go on to the border of the map.
    centres = np.array([centres[0] - first, *centres, centres[-1] + last])
    positions = np.arange(-1.0, len(numbers) + 1)
    order = np.argsort(centres)

    def position(scaled: Numbers) -> Numbers:
        found = np.interp(scaled, centres[order], positions[order])
        return np.where((found < -0.5) | (found > len(numbers) - 0.5), np.nan, found)

    return scale, position


def _number(label: str) -> float | None:
    try:
        return float(Fraction(label.removeprefix("x ")))
    except (ValueError, ZeroDivisionError):
        return None
