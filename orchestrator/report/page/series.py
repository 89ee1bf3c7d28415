"""Charts of a page with axes of numbers: lines, a row for each cell, points, against the paper."""

import math
from collections.abc import Mapping, Sequence
from itertools import pairwise
from statistics import fmean, stdev

from orchestrator.report.figures.points import points_window
from orchestrator.report.figures.sides import Side, windows
from orchestrator.report.page.charts import (
    INK,
    MUTED,
    Chart,
    Trace,
    alt_of,
    axis,
    cell_words,
    errors,
    layout,
    rounded,
    series_style,
    shown,
    side_words,
)
from orchestrator.report.summary import Summary
from search_spaces import Axis, Layout
from search_spaces.ablation import Overlay
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = ["line_charts", "paper_chart", "point_charts", "row_charts"]

CLOSEST = 0.06  # of an axis: labels that are nearer to each other stand evenly instead
HEIGHT = 340  # pixels

Cells = Mapping[Place, Summary]


def line_charts(plan: Layout, cells: Cells, sides: Sequence[Side], metric: Quantity) -> list[Chart]:
    """Return a chart for each side, and for each label of a third axis: a line a label."""
    series, along = plan.axes[:2]
    panels: list[Place] = [()]
    if len(plan.axes) > 2:
        panels = [(label,) for label in plan.axes[2].labels]
    positions = _positions(along)
    ticks = {"tickvals": list(positions.values()), "ticktext": [shown(one) for one in positions]}
    limits = windows(sides, metric)
    charts = []
    for panel in panels:
        for side, window in zip(sides, limits, strict=True):
            traces = [
                trace
                for index, label in enumerate(series.labels)
                if (trace := _line(index, label, positions, panel, cells, side, metric))
            ]
            drawn = layout(
                xaxis=axis(along.name, **ticks, zeroline=False),
                yaxis=axis(metric.label, range=[*window], zeroline=False),
                shapes=_reference(side, window),
                showlegend=True,
                legend={
                    "title": {"text": shown(f"{series.name} ")},
                    "orientation": "h",
                    "y": -0.25,
                    "yanchor": "top",
                },
            )
            words = [*panel, plan.axes[2].name] if panel else []
            title = " · ".join(filter(None, [side.title, " ".join(words)])) or metric.label
            height = HEIGHT + 22 * math.ceil(len(traces) / 3)
            charts.append(Chart(title, alt_of(title, side, metric), traces, drawn, height))
    return charts


def row_charts(plan: Layout, cells: Cells, sides: Sequence[Side], metric: Quantity) -> list[Chart]:
    """Return a chart for each side with a row for each cell, from the top."""
    (down,) = plan.axes
    charts = []
    for side, window in zip(sides, windows(sides, metric), strict=True):
        places = [(label,) for label in down.labels]
        values = [side.values.get(at) for at in places]
        known = [at for at in places if at in side.values]
        style = series_style(0)
        trace: Trace = {
            "type": "scatter",
            "mode": "markers+text",
            "x": rounded(side.values[at] for at in known),
            "y": [places.index(at) for at in known],
            "error_x": errors(side.spreads, known),
            "text": [metric.text(side.values[at]) for at in known],
            "textposition": "top center",
            "marker": style["marker"] | {"size": 9},
            "customdata": [side_words(cells[at], side, metric) for at in known],
            "hovertemplate": "%{customdata}<extra></extra>",
            "cliponaxis": False,
        }
        ticks = {
            "tickvals": list(range(len(places))),
            "ticktext": [shown(label) for label in down.labels],
        }
        gaps = [
            {
                "x": sum(window) / 2,
                "y": row,
                "text": shown(side.gaps[at]),
                "showarrow": False,
                "font": {"color": MUTED},
            }
            for row, at in enumerate(places)
            if values[row] is None and at in side.gaps
        ]
        drawn = layout(
            xaxis=axis(metric.label, range=[*window], zeroline=False),
            yaxis=axis(
                down.name, **ticks, range=[len(places) - 0.5, -0.8], zeroline=False, showgrid=False
            ),
            shapes=_reference(side, window, across=False),
            annotations=gaps,
            showlegend=False,
        )
        title = side.title or metric.label
        charts.append(
            Chart(title, alt_of(title, side, metric), [trace], drawn, 46 * len(places) + 120)
        )
    return charts


def point_charts(
    plan: Layout,
    cells: Cells,
    side: Side,
    quantities: tuple[Quantity, Quantity],
    overlays: Sequence[Overlay],
) -> list[Chart]:
    """Return each cell's value over its mean of another metric, with what theory predicts."""
    series, (across, metric) = plan.axes[0], quantities
    where = {at: fmean(cell.against) for at, cell in cells.items() if cell.against and cell.n}
    traces: list[Trace] = []
    for index, label in enumerate(series.labels):
        places = [at for at in where if at[0] == label]
        if not places:
            continue
        apart = {at: stdev(cells[at].against) for at in places if len(cells[at].against) > 1}
        traces.append(
            {
                "type": "scatter",
                "mode": "markers",
                "name": shown(label),
                "x": rounded(where[at] for at in places),
                "y": rounded(side.values[at] for at in places),
                "error_y": errors(side.spreads, places),
                "error_x": errors(apart, places),
                "marker": series_style(index)["marker"],
                "customdata": [
                    f"{cell_words(cells[at], metric)}<br>{shown(across.name)}: "
                    f"{shown(across.told(where[at], apart.get(at)))}"
                    for at in places
                ],
                "hovertemplate": "%{customdata}<extra></extra>",
            }
        )
    for index, overlay in enumerate(overlays):
        x, y = zip(*overlay.points, strict=True)
        line = {"color": INK, "dash": series_style(index + 1)["line"]["dash"], "width": 1.6}
        name = shown(overlay.label)
        traces.append(
            {"type": "scatter", "mode": "lines", "x": [*x], "y": [*y], "name": name, "line": line}
        )
    is_log = bool(where) and min(where.values()) > 0
    limits: dict[str, object] = {"type": "log"} if is_log else {}
    if where:
        low, high = min(where.values()), max(where.values())
        if is_log:
            limits["range"] = [math.log10(low / 1.5), math.log10(high * 1.5)]
    window = points_window(side, metric, overlays)
    drawn = layout(
        xaxis=axis(across.label, **limits),
        yaxis=axis(metric.label, range=[*window], zeroline=False),
        shapes=_reference(side, window),
        showlegend=True,
        legend={"title": {"text": shown(f"{series.name} ")}, "orientation": "h", "y": -0.2},
    )
    title = side.title or metric.label
    return [Chart(title, alt_of(title, side, metric), traces, drawn, 480, wide=True)]


def paper_chart(cells: Cells, metric: Quantity) -> Chart | None:
    """Return our cells over the paper's, which their rank correlation is of; None below three."""
    places = [at for at, cell in cells.items() if cell.paper is not None and cell.mean is not None]
    if len(places) < 3:
        return None
    trace: Trace = {
        "type": "scatter",
        "mode": "markers",
        "x": rounded(cells[at].paper for at in places),
        "y": rounded(cells[at].mean for at in places),
        "error_y": errors(
            {at: spread for at in places if (spread := cells[at].spread) is not None}, places
        ),
        "marker": series_style(0)["marker"],
        "customdata": [cell_words(cells[at], metric) for at in places],
        "hovertemplate": "%{customdata}<extra></extra>",
    }
    drawn = layout(
        xaxis=axis(f"the paper, {metric.label}", zeroline=False),
        yaxis=axis(f"this run, {metric.label}", zeroline=False),
        showlegend=False,
    )
    alt = f"{len(places)} cells, each by the paper's value across and this run's upwards"
    return Chart("Cell by cell against the paper", alt, [trace], drawn, HEIGHT + 40)


def _line(
    index: int,
    label: str,
    positions: Mapping[str, float],
    panel: Place,
    cells: Cells,
    side: Side,
    metric: Quantity,
) -> Trace | None:
    """A line, which a cell without a value breaks and a label without a cell does not."""
    places = [
        (label, along, *panel)
        for along in positions
        if (label, along, *panel) in side.values or (label, along, *panel) in side.gaps
    ]
    if not any(at in side.values for at in places):
        return None
    style = series_style(index)
    symbols = [
        f"{style['marker']['symbol']}-open" if at in side.partial else style["marker"]["symbol"]
        for at in places
    ]
    return {
        "type": "scatter",
        "mode": "lines+markers",
        "name": shown(label),
        "x": [positions[at[1]] for at in places],
        "y": rounded(side.values.get(at) for at in places),
        "error_y": errors(side.spreads, places),
        "line": style["line"],
        "marker": style["marker"] | {"symbol": symbols},
        "customdata": [side_words(cells[at], side, metric) for at in places],
        "hovertemplate": "%{customdata}<extra></extra>",
    }


def _positions(along: Axis) -> dict[str, float]:
    """Where labels stand: evenly, if they would run into each other by their logarithms."""
    positions = dict(zip(along.labels, along.positions(), strict=True))
    reach = max(positions.values()) - min(positions.values())
    if any(after - before < CLOSEST * reach for before, after in pairwise(positions.values())):
        return {label: float(index) for index, label in enumerate(along.labels)}
    return positions


def _reference(
    side: Side, window: tuple[float, float], *, across: bool = True
) -> list[dict[str, object]]:
    """The untrained encoder as a dashed line, where it is in the window."""
    value = side.reference
    if value is None or not window[0] <= value <= window[1]:
        return []
    line = {"color": MUTED, "width": 1.5, "dash": "dash"}
    ends: dict[str, object] = (
        {"xref": "paper", "x0": 0, "x1": 1, "y0": value, "y1": value}
        if across
        else {"yref": "paper", "y0": 0, "y1": 1, "x0": value, "x1": value}
    )
    label = {"text": "untrained", "font": {"size": 10, "color": MUTED}, "textposition": "end"}
    return [{"type": "line", **ends, "line": line, "label": label}]
