"""The style of figures: fonts and frames, the style of each of several series, wrapped words.

Colours are those of Okabe and Ito, each with a marker and a dash of its own, so that a grey print
can be read.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, TypedDict

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import AbstractPathEffect

from orchestrator.report.figures.letters import filled

if TYPE_CHECKING:
    from matplotlib.typing import LineStyleType, RcKeyType

__all__ = [
    "COLORS",
    "DARK_GREY",
    "GREY",
    "MARKERS",
    "RC_PARAMETERS",
    "SMALLEST",
    "SeriesStyle",
    "add_grid",
    "hollow",
    "style_of",
    "wrapped",
]

SMALLEST = 8  # points, of the smallest text
RC_PARAMETERS: "dict[RcKeyType, object]" = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}
COLORS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*")
GREY = "#d9d9d9"
DARK_GREY = "#595959"
_DASHES: "tuple[LineStyleType, ...]" = ("-", "--", "-.", ":")


class SeriesStyle(TypedDict, total=False):
    """How a series is drawn, as keywords of matplotlib's lines; `gid` names what it marks."""

    color: str
    marker: str
    linestyle: "LineStyleType"
    linewidth: float
    markersize: float
    markerfacecolor: str
    markeredgecolor: str
    markeredgewidth: float
    path_effects: list[AbstractPathEffect]
    gid: str


def style_of(index: int) -> SeriesStyle:
    """Return colour, marker and dash of one of several series."""
    return {
        "color": COLORS[index % len(COLORS)],
        "marker": MARKERS[index % len(MARKERS)],
        "linestyle": _DASHES[index % len(_DASHES)],
        "linewidth": 1.4,
        "markersize": 5.5,
        "markeredgecolor": "white",
        "markeredgewidth": 0.6,
    }


def hollow(index: int) -> SeriesStyle:
    """Return what changes in the style of a point of which some runs do not count."""
    return {
        "markerfacecolor": "white",
        "markeredgecolor": COLORS[index % len(COLORS)],
        "markeredgewidth": 1.2,
        "gid": "partial",
    }


def add_grid(axes: Axes, along: Literal["both", "x", "y"] = "both") -> None:
    """Draw pale lines at the ticks, under everything else."""
    axes.grid(axis=along, color="#e5e5e5", linewidth=0.6)
    axes.set_axisbelow(True)


def wrapped(paragraphs: Sequence[str], figure: Figure, *, points: int) -> str:
    """Break each paragraph into lines that fit the figure's width, in a font of so many points."""
    # DejaVu Sans is about 0.55 em a character.
    width = int(figure.get_figwidth() * 0.97 * 72 / (0.55 * points))
    return "\n".join(filled(paragraph, width) for paragraph in paragraphs if paragraph)
