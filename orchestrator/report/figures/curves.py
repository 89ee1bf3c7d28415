"""Training curves of an ablation's cells: the median over seeds, and the range around it."""

import textwrap
from collections.abc import Mapping, Sequence
from itertools import product

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from orchestrator.report.figures.letters import spell
from orchestrator.report.figures.style import RC_PARAMETERS, SMALLEST, add_grid, style_of, wrapped
from orchestrator.report.summary import History
from search_spaces import Ablation, Layout
from search_spaces.claims import Place
from workloads.catalog import workload_named
from workloads.quantity import Quantity

__all__ = ["chosen_cells", "draw_curves", "points_of"]

Numbers = NDArray[np.float64]

ALL_CELLS = 12  # so many are drawn, all of them; of more, six
_FEWER = 6


def draw_curves(
    ablation: Ablation,
    layout: Layout,
    histories: Mapping[Place, Sequence[History]],
    *,
    subtitle: str,
) -> Figure | None:
    """Draw a panel for each phase of training and each quantity that the runs have logged.

    `histories` has the finished runs of each cell. None where no run has logged more than one point
    in time. Tables of up to 12 cells are drawn whole; of
    larger ones a few cells are, if the workload's curves are drawn of those at all.
    """
    curves = workload_named(ablation.workload).curves
    if not curves.of_many_cells and len(layout.cells) > ALL_CELLS:
        return None

    cells = [at for at in chosen_cells(layout) if histories.get(at)]
    runs = [history for at in cells for history in histories[at]]
    shown = [key for key in curves.quantities if any(_has_logged(run, key) for run in runs)]
    phases = [
        (phase, name)
        for phase, name in enumerate(curves.phases)
        if any(len(points_of(run, key, phase)[0]) > 1 for run in runs for key in shown)
    ]
    if not phases:
        return None

    with mpl.rc_context(RC_PARAMETERS):
        figure = Figure(
            figsize=(2.6 + 3.9 * len(phases), 1.6 + 2.4 * len(shown)), layout="constrained"
        )
        grid = figure.subplots(len(shown), len(phases), squeeze=False, sharex="col")
        for (row, key), (column, (phase, name)) in product(enumerate(shown), enumerate(phases)):
            axes: Axes = grid[row, column]
            for index, at in enumerate(cells):
                _curve(axes, [points_of(history, key, phase) for history in histories[at]], index)
            _finish(axes, curves.quantities[key], column)
            axes.set(title=name.capitalize() if row == 0 else "")
            axes.set_xlabel(curves.unit_of_time if row == len(shown) - 1 else "")
        _add_legend(figure, layout, cells)

        title = [f"{ablation.title}: training curves", subtitle]
        figure.suptitle(wrapped(title, figure, points=10), fontsize=10)
        caption = _caption(ablation, layout, cells, histories)
        text = wrapped([caption], figure, points=SMALLEST)
        figure.supxlabel(text, fontsize=SMALLEST, ha="left", x=0.01)
        spell(figure)
    return figure


def chosen_cells(layout: Layout) -> tuple[Place, ...]:
    """Return the places of all cells of a small layout, and of six at most of a large one.

    Of three axes these are the middle of the first, and labels from end to end of the others.
    """
    cells = tuple(cell.at for cell in layout.cells)
    if len(cells) <= ALL_CELLS:
        return cells

    axes = [axis.labels for axis in layout.axes]
    match axes:
        case [labels]:
            picked = [_spread(labels, _FEWER)]
        case [first, second]:
            picked = [_spread(first, 3), _spread(second, 2)]
        case _:
            last = _spread(axes[2], 3)
            picked = [(axes[0][len(axes[0]) // 2],), _spread(axes[1], _FEWER // len(last)), last]
    wanted = set(product(*picked))
    return tuple(at for at in cells if at in wanted)


def points_of(history: History, key: str, phase: int) -> tuple[list[float], list[float]]:
    """Return when and what a run logged in one phase.

    Workloads with one phase need not say which. The time of phases after the first counts from 0.
    """
    found = [
        (entry["epoch"], entry[key])
        for entry in history
        if entry.get("phase", 0) == phase and key in entry
    ]
    first = found[0][0] if phase and found else 0.0
    return [epoch - first for epoch, _ in found], [value for _, value in found]


def _spread(labels: Sequence[str], count: int) -> tuple[str, ...]:
    """So many labels from the first to the last, as evenly as can be."""
    positions = np.linspace(0, len(labels) - 1, min(count, len(labels))).round().astype(int)
    return tuple(labels[position] for position in positions)


def _has_logged(history: History, key: str) -> bool:
    return any(key in entry for entry in history)


def _curve(axes: Axes, runs: Sequence[tuple[list[float], list[float]]], index: int) -> None:
    """Median and range of runs that may have stopped at different times.

    One that has stopped keeps its last value.
    """
    known = [run for run in runs if run[0]]
    if not known:
        return

    times: Numbers = np.unique(np.concatenate([epochs for epochs, _ in known]))
    values = np.stack([np.interp(times, epochs, logged) for epochs, logged in known])
    style = style_of(index)
    if len(times) > 1:
        style["marker"] = "none"
    axes.plot(times, np.median(values, axis=0), **style)
    if len(known) > 1:
        axes.fill_between(
            times,
            values.min(axis=0),
            values.max(axis=0),
            color=style["color"],
            alpha=0.18,
            linewidth=0,
        )


def _finish(axes: Axes, shown: Quantity, column: int) -> None:
    """Grid, label, and a logarithmic axis for what falls by more than a factor of ten."""
    drawn = np.concatenate(
        [np.asarray(line.get_ydata(), dtype=float) for line in axes.lines] or [np.ones(1)]
    )
    if shown.high is None and drawn.min() > 0 and drawn.max() > 10 * drawn.min():
        axes.set_yscale("log")
    elif shown.high is not None:
        margin = 0.02 * (shown.high - shown.low)
        axes.set_ylim(shown.low - margin, shown.high + margin)
    axes.set_ylabel(textwrap.fill(shown.label, 28) if column == 0 else "")
    add_grid(axes)


def _add_legend(figure: Figure, layout: Layout, cells: Sequence[Place]) -> None:
    names = " · ".join(axis.name for axis in layout.axes)
    keys = []
    for index, at in enumerate(cells):
        label = textwrap.fill(" · ".join(at), 30, break_on_hyphens=False)
        keys.append(Line2D([], [], label=label, **style_of(index) | {"marker": "none"}))
    figure.legend(
        handles=keys,
        title=textwrap.fill(names, 30, break_on_hyphens=False),
        loc="outside right center",
        alignment="left",
        frameon=False,
        handlelength=3.2,
    )


def _caption(
    ablation: Ablation,
    layout: Layout,
    cells: Sequence[Place],
    histories: Mapping[Place, Sequence[History]],
) -> str:
    counts = sorted({len(histories[at]) for at in cells})
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    spread = ": line, median; band, lowest to highest" if counts[-1] > 1 else ""
    sentences = [f"n = {count} seed{'s' if counts[-1] > 1 else ''} a cell{spread}."]
    if workload_named(ablation.workload).curves.stop_early:
        sentences.append(
            "A run that has stopped keeps its last value; of equal curves the last one is seen."
        )
    if len(cells) < len(layout.cells):
        sentences.append(f"{len(cells)} of {len(layout.cells)} cells shown.")
    if ablation.counts_if:
        sentences.append("Runs that do not count are shown as well.")
    return " ".join(sentences)
