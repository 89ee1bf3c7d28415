"""Charts as plain data for plotly.js, and the words under the pointer.

What plotly takes for text it reads as a small HTML, so every label goes through `shown`. Colours
that depend on light and dark are written as `var(--name)`, which the page replaces.
"""

import html
import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from scipy.special import stdtrit

from orchestrator.report.figures.sides import Side
from orchestrator.report.figures.style import COLORS
from orchestrator.report.summary import Summary
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = [
    "BLUE",
    "GRID",
    "INK",
    "MUTED",
    "Chart",
    "ChartGroup",
    "Trace",
    "alt_of",
    "axis",
    "cell_words",
    "errors",
    "interval_of",
    "layout",
    "rounded",
    "series_style",
    "shown",
    "side_words",
]

INK, MUTED, GRID = "var(--ink)", "var(--muted)", "var(--rule)"
BLUE = "var(--blue)"
_BY_GROUND = {"#000000": INK, "#0072B2": BLUE}  # too dark for a dark page
FEWEST_SEEDS = 3  # below which an interval says nothing
LEVEL = 0.95
DIGITS = 6

Trace = dict[str, Any]
_SYMBOLS = ("circle", "square", "triangle-up", "diamond", "triangle-down", "cross", "x", "star")
_DASHES = ("solid", "dash", "dashdot", "dot")


@dataclass(frozen=True)
class Chart:
    """A panel: its title, what it says to those who cannot see it, and what plotly draws.

    `wide` takes the page's whole width. `scale` names the charts that can share one scale of
    colours.
    """

    title: str
    alt: str
    traces: Sequence[Trace]
    layout: Mapping[str, Any]
    height: int
    wide: bool = False
    scale: str = ""

    def tree(self) -> dict[str, Any]:
        """Return what the page's script reads."""
        tree = {"data": list(self.traces), "layout": dict(self.layout) | {"height": self.height}}
        return tree | {"scale": self.scale}


@dataclass(frozen=True)
class ChartGroup:
    """Charts beside each other under one heading, with what is to be said of them."""

    title: str
    charts: Sequence[Chart]
    notes: Sequence[str] = field(default=())


def shown(text: object) -> str:
    """Return a text that plotly shows as it is, whatever it contains."""
    return html.escape(str(text), quote=False)


def rounded(values: Iterable[float | None]) -> list[float | None]:
    """Return numbers of few digits, None for those that are none."""
    return [
        None if value is None or not math.isfinite(value) else float(f"{value:.{DIGITS}g}")
        for value in values
    ]


def interval_of(cell: Summary, metric: Quantity) -> tuple[float, float] | None:
    """Return the 95 % interval of a cell's mean by the t of its own seeds.

    None with fewer than three seeds. It keeps within what the metric can be.
    """
    if cell.n < FEWEST_SEEDS or cell.mean is None or cell.spread is None:
        return None
    reach = float(stdtrit(cell.n - 1, (1 + LEVEL) / 2)) * cell.spread / math.sqrt(cell.n)
    low, high = metric.ends
    return max(low, cell.mean - reach), min(high, cell.mean + reach)


def cell_words(cell: Summary, metric: Quantity, where: str = "") -> str:
    """Return what stands under the pointer: cell, mean, spread, n, interval, the paper's, lost."""
    lines = [f"<b>{shown(where or ' · '.join(cell.at))}</b>"]
    if cell.mean is not None:
        lines.append(f"{shown(metric.name)}: {shown(metric.told(cell.mean, None))}")
        spread = "no spread" if cell.spread is None else f"sd {metric.text(cell.spread)}"
        lines.append(f"n = {cell.n} seed{'s' * (cell.n != 1)}, {spread}")
        interval = interval_of(cell, metric)
        if interval is not None:
            low, high = (metric.text(end) for end in interval)
            lines.append(f"95 % interval of the mean: [{low}, {high}]")
        elif cell.n:
            lines.append(f"no interval: fewer than {FEWEST_SEEDS} seeds")
    if cell.paper is not None:
        lines.append(f"the paper: {shown(metric.told(cell.paper, None))}")
    lines += [f"{runs} {shown(why)}" for why, runs in cell.lacking.items()]
    return "<br>".join(lines)


def side_words(cell: Summary, side: Side, metric: Quantity) -> str:
    """Return what stands under the pointer on one side: of the paper its number alone."""
    if side.marks_gaps:
        return cell_words(cell, metric)
    value = "" if cell.paper is None else shown(metric.told(cell.paper, None))
    return f"<b>{shown(' · '.join(cell.at))}</b><br>the paper: {value}"


def alt_of(title: str, side: Side, metric: Quantity) -> str:
    """Return what a chart says in a sentence, for those who do not see it."""
    if not side.values:
        return f"{title}: no values yet"
    best, worst = (pick(side.values, key=side.values.__getitem__) for pick in (max, min))
    told = [f"{' · '.join(at)} {metric.text(side.values[at])}" for at in (best, worst)]
    return f"{title}, {metric.label}: highest {told[0]}, lowest {told[1]}"


def series_style(index: int, *, hollow: bool = False) -> Trace:
    """Return colour, marker and dash of one of several series, as in the printed figures."""
    color = COLORS[index % len(COLORS)]
    color = _BY_GROUND.get(color, color)
    marker: Trace = {"symbol": _SYMBOLS[index % len(_SYMBOLS)], "size": 8, "color": color}
    if hollow:
        marker["symbol"] = f"{marker['symbol']}-open"
    line = {"color": color, "width": 2, "dash": _DASHES[index % len(_DASHES)]}
    return {"marker": marker, "line": line}


def errors(spreads: Mapping[Place, float], places: Sequence[Place]) -> Trace:
    """Return the bars of a series: the sample standard deviation, none where there is none."""
    found = rounded(spreads.get(at) for at in places)
    return {"type": "data", "array": found, "thickness": 1.2, "width": 3, "visible": any(found)}


def axis(title: str = "", **more: object) -> dict[str, Any]:
    """Return an axis with pale lines that makes room for its labels."""
    lines = {"gridcolor": GRID, "linecolor": GRID, "zerolinecolor": GRID, "automargin": True}
    return {"title": {"text": shown(title), "standoff": 8}, **lines, **more}


def layout(**more: object) -> dict[str, Any]:
    """Return what all charts share: no background, a narrow margin, the pointer's box."""
    return {
        "paper_bgcolor": "rgba(0,0,0,0)",
        "plot_bgcolor": "rgba(0,0,0,0)",
        "margin": {"l": 8, "r": 8, "t": 8, "b": 8},
        "font": {"color": INK, "size": 12, "family": "system-ui, sans-serif"},
        "hoverlabel": {"bgcolor": "var(--paper)", "bordercolor": MUTED, "font": {"color": INK}},
        "hovermode": "closest",
        "dragmode": False,
        "legend": {"orientation": "h", "yref": "container", "y": 0, "yanchor": "bottom"},
        **more,
    }
