"""Heat maps of a page: two axes as rows and columns, or a map for each label of a third axis."""

from collections.abc import Mapping, Sequence
from statistics import fmean

from orchestrator.report.figures.overlays import path_between_cells
from orchestrator.report.figures.sides import Side
from orchestrator.report.page.charts import (
    Chart,
    Trace,
    alt_of,
    axis,
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

__all__ = ["heatmap_charts", "map_charts"]

AVERAGE = "Average"
SCALE = "map"  # the charts that can share a scale of colours
_ROW = 34  # pixels

Cells = Mapping[Place, Summary]


def heatmap_charts(
    plan: Layout, cells: Cells, sides: Sequence[Side], metric: Quantity
) -> list[Chart]:
    """Return a matrix for each side: the first axis down, the second across, and rows' means."""
    down, across = plan.axes
    charts = []
    for side in sides:
        places = [[(row, column) for column in across.labels] for row in down.labels]
        traces = [_matrix(places, cells, side, metric, averaged=True)]
        drawn = layout(
            xaxis=_labels(across.name, (*across.labels, AVERAGE), side="bottom"),
            yaxis=_labels(down.name, down.labels, autorange="reversed"),
            annotations=_gaps(places, side),
            shapes=[_before_average(len(across.labels))],
        )
        height = _ROW * len(down.labels) + 150
        title = side.title or metric.label
        charts.append(Chart(title, alt_of(title, side, metric), traces, drawn, height, scale=SCALE))
    return charts


def map_charts(
    plan: Layout, cells: Cells, side: Side, metric: Quantity, overlays: Sequence[Overlay]
) -> list[Chart]:
    """Return a map for each label of the third axis: the first upwards, the second across.

    All have one scale of colours; predictions are drawn in as lines.
    """
    up, across, third = plan.axes
    known = [*side.values.values()]
    low, high = (min(known), max(known)) if known else (0.0, 1.0)
    charts = []
    for label in third.labels:
        places = [[(row, column, label) for column in across.labels] for row in up.labels]
        trace = _matrix(places, cells, side, metric, averaged=False)
        trace |= {"zmin": low, "zmax": max(high, low + metric.resolution)}
        lines = [
            _prediction(index, overlay, across, up)
            for index, overlay in enumerate(overlays)
            if not overlay.only or label in overlay.only
        ]
        drawn = layout(
            xaxis=_labels(across.name, across.labels, range=[-0.5, len(across.labels) - 0.5]),
            yaxis=_labels(up.name, up.labels, range=[-0.5, len(up.labels) - 0.5]),
            annotations=_gaps(places, side),
        )
        title = f"{third.name}: {label}"
        height = _ROW * len(up.labels) + 150 + 22 * len(lines)
        charts.append(Chart(title, alt_of(title, side, metric), [trace, *lines], drawn, height))
    return charts


def _matrix(
    places: Sequence[Sequence[Place]], cells: Cells, side: Side, metric: Quantity, *, averaged: bool
) -> Trace:
    """A matrix of values, their digits, and under the pointer what stands behind each."""
    values, words = [], []
    for row in places:
        found: list[float | None] = [side.values.get(at) for at in row]
        told = [side_words(cells[at], side, metric) if at in cells else "" for at in row]
        if averaged:
            known = [value for value in found if value is not None]
            found.append(fmean(known) if len(known) == len(found) else None)
            told.append(f"<b>{shown(row[0][0])}</b><br>mean of the row's values as shown")
        values.append(rounded(found))
        words.append(told)
    numbers = [value for row in values for value in row if value is not None]
    low = min([*numbers, *([side.reference] if side.reference is not None else [])], default=0.0)
    high = max([*numbers, low + metric.resolution])
    return {
        "type": "heatmap",
        "x": list(range(len(values[0]))),
        "y": list(range(len(values))),
        "z": values,
        "zmin": low,
        "zmax": high,
        "text": [["" if v is None else metric.text(v) for v in row] for row in values],
        "texttemplate": "%{text}",
        "customdata": words,
        "hovertemplate": "%{customdata}<extra></extra>",
        "hoverongaps": False,
        "colorscale": "Cividis",
        "xgap": 1,
        "ygap": 1,
        "colorbar": {"thickness": 10, "outlinewidth": 0, "title": {"text": shown(metric.unit)}},
    }


def _labels(name: str, labels: Sequence[str], **more: object) -> dict[str, object]:
    ticks = {"tickvals": list(range(len(labels))), "ticktext": [shown(label) for label in labels]}
    return axis(name, **ticks, showgrid=False, zeroline=False, **more)


def _gaps(places: Sequence[Sequence[Place]], side: Side) -> list[dict[str, object]]:
    """A word in each cell that has no value."""
    font = {"size": 9, "color": "var(--muted)"}
    return [
        {"x": x, "y": y, "text": shown(side.gaps[at]), "showarrow": False, "font": font}
        for y, row in enumerate(places)
        for x, at in enumerate(row)
        if at in side.gaps
    ]


def _before_average(columns: int) -> dict[str, object]:
    line = {"color": "var(--paper)", "width": 4}
    ends = {"x0": columns - 0.5, "x1": columns - 0.5, "y0": 0, "y1": 1, "yref": "paper"}
    return {"type": "line", **ends, "line": line}


def _prediction(index: int, overlay: Overlay, across: Axis, up: Axis) -> Trace:
    x, y = path_between_cells(overlay, across, up)
    style = series_style(index)
    return {
        "type": "scatter",
        "mode": "lines",
        "x": rounded(x.tolist()),
        "y": rounded(y.tolist()),
        "name": shown(overlay.label),
        "hoverinfo": "name",
        "line": style["line"] | {"color": "#ffffff", "width": 3},
    }
