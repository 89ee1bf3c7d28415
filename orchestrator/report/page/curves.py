"""Training curves of a page: each cell's loss and online metrics by epoch, over its seeds."""

from collections.abc import Mapping, Sequence

import numpy as np

from orchestrator.report.figures.curves import chosen_cells, points_of
from orchestrator.report.page.charts import (
    BLUE,
    Chart,
    Trace,
    axis,
    layout,
    rounded,
    series_style,
    shown,
)
from orchestrator.report.quantities import quantity
from orchestrator.report.summary import History
from search_spaces import Ablation, Layout
from search_spaces.claims import Place
from workloads.catalog import workload_named
from workloads.quantity import Quantity

__all__ = ["curve_charts"]

HEIGHT = 360  # pixels
MOST_POINTS = 12_000  # of all curves together: more would not fit into a page
FEWEST = 20  # points of a curve, however many there are
UNSEEN = {"phase", "epoch", "step", "seconds"}  # what is logged beside metrics

Histories = Mapping[Place, Sequence[History]]


def curve_charts(ablation: Ablation, plan: Layout, histories: Histories) -> list[Chart]:
    """Return a chart for each quantity that runs have logged, and each phase of training.

    A line is the median over seeds, its band goes from the lowest to the highest. Of a large
    layout a few cells are drawn, and the others wait in the legend.
    """
    curves = workload_named(ablation.workload).curves
    cells = [cell.at for cell in plan.cells if histories.get(cell.at)]
    first = set(chosen_cells(plan))
    charts = []
    logged = _logged(histories, [*curves.quantities])
    for phase, name in enumerate(curves.phases):
        for key in logged:
            shown_as = curves.quantities.get(key) or quantity(key)
            many = max(FEWEST, MOST_POINTS // max(1, len(cells) * len(logged)))
            traces = [
                trace
                for index, at in enumerate(cells)
                for trace in _curve(histories[at], (key, phase), at, index, many, at in first)
            ]
            if not any(len(trace["x"]) > 1 for trace in traces):
                continue
            title = shown_as.label if len(curves.phases) == 1 else f"{shown_as.label}, {name}"
            drawn = layout(
                xaxis=axis(curves.unit_of_time, zeroline=False),
                yaxis=axis(shown_as.label, zeroline=False, **_scale(traces, shown_as)),
                showlegend=True,
                legend={"orientation": "h", "y": -0.2, "font": {"size": 11}},
            )
            alt = f"{title} over {curves.unit_of_time}s, a line for each of {len(cells)} cells"
            height = HEIGHT + 10 * len(cells)
            charts.append(Chart(title, alt, traces, drawn, height, wide=len(cells) > 12))
    return charts


def _logged(histories: Histories, first: Sequence[str]) -> list[str]:
    """What runs have logged: what figures draw, and the metrics of the online classifier."""
    found = {
        key for runs in histories.values() for history in runs for entry in history for key in entry
    }
    online = sorted(key for key in found - UNSEEN if key.startswith("online_"))
    return [*(key for key in first if key in found), *online]


def _curve(
    runs: Sequence[History],
    what: tuple[str, int],
    at: Place,
    index: int,
    many: int,
    is_shown: bool,
) -> list[Trace]:
    """A cell's median, and its band where there are several seeds."""
    known = [points for history in runs if (points := points_of(history, *what))[0]]
    if not known:
        return []
    times = np.unique(np.concatenate([when for when, _ in known]))
    times = times[np.unique(np.linspace(0, len(times) - 1, many).round().astype(int))]
    values = np.stack([np.interp(times, when, logged) for when, logged in known])
    middle, low, high = np.median(values, axis=0), values.min(axis=0), values.max(axis=0)
    style, group = series_style(index), str(index)
    more: Trace = {"legendgroup": group} | ({} if is_shown else {"visible": "legendonly"})
    name = shown(" · ".join(at))
    line: Trace = {
        "type": "scatter",
        "mode": "lines" if len(times) > 1 else "markers",
        "name": name,
        "x": rounded(times.tolist()),
        "y": rounded(middle.tolist()),
        "line": style["line"],
        "marker": style["marker"],
        "customdata": [
            f"n = {len(known)}" + (f", {lower:.4g} to {upper:.4g}" if len(known) > 1 else "")
            for lower, upper in zip(low, high, strict=True)
        ],
        "hovertemplate": f"<b>{name}</b><br>%{{x}}: %{{y}}<br>%{{customdata}}<extra></extra>",
        **more,
    }
    if len(known) < 2 or len(times) < 2:
        return [line]
    band: Trace = {
        "type": "scatter",
        "mode": "none",
        "x": rounded([*times, *times[::-1]]),
        "y": rounded([*high, *low[::-1]]),
        "fill": "toself",
        "fillcolor": _pale(style["line"]["color"]),
        "hoverinfo": "skip",
        "showlegend": False,
        **more,
    }
    return [band, line]


def _pale(color: str) -> str:
    if color == BLUE:
        return "var(--pale-blue)"
    if not color.startswith("#"):
        return "rgba(127,127,127,0.2)"
    return "rgba({},{},{},0.18)".format(*(int(color[at : at + 2], 16) for at in (1, 3, 5)))


def _scale(traces: Sequence[Trace], of: Quantity) -> dict[str, object]:
    """A logarithmic axis for what falls by more than a factor of ten, as in printed figures."""
    drawn = [value for trace in traces for value in trace["y"] if value is not None]
    if of.high is None and drawn and min(drawn) > 0 and max(drawn) > 10 * min(drawn):
        return {"type": "log"}
    return {}
