"""An ablation drawn: this run, beside it the paper's numbers if there are any, and under them what
they rest on.

The caption gives the number of seeds and their spread, the untrained encoder, every cell without a
value, runs that do not count, and how the cells differ from the paper's. matplotlib's object
interface only: no window, no global state.
"""

import statistics
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import assert_never

import matplotlib as mpl
from matplotlib.figure import Figure

from orchestrator.report.figures.heatmaps import AVERAGE, heatmaps
from orchestrator.report.figures.lines import lines
from orchestrator.report.figures.maps import maps
from orchestrator.report.figures.points import points, points_window
from orchestrator.report.figures.rows import rows
from orchestrator.report.figures.sides import Side, windows
from orchestrator.report.figures.style import RC_PARAMETERS, SMALLEST, wrapped
from orchestrator.report.quantities import Quantity, metric_quantity, quantity
from orchestrator.report.summary import Summary, listed
from search_spaces import Ablation, Layout
from search_spaces.claims import Place
from workloads.catalog import workload_named

__all__ = ["draw", "save"]

_LISTED_CELLS = 6


def draw(
    ablation: Ablation,
    layout: Layout,
    cells: Sequence[Summary],
    *,
    reference: Summary | None,
    subtitle: str,
) -> Figure:
    """The ablation's figure. A cell of the layout without a summary is missing; a summary without a
    cell is an error.

    `reference` is the untrained encoder, measured like the cells. `subtitle` says what was run:
    preset, data, hardware.
    """
    summaries = _of_every_cell(layout, cells)
    paper, metric = _paper(summaries, ablation), metric_quantity(ablation)
    run = _this_run(summaries, reference, title="This run" if paper else "")
    sides = [run, *paper]
    with mpl.rc_context(RC_PARAMETERS):
        match ablation.figure:
            case "heatmap":
                figure = heatmaps(layout, sides, metric)
            case "lines":
                figure = lines(layout, sides, metric)
            case "table":
                figure = rows(layout, sides, metric)
            case "maps":
                figure = maps(layout, run, metric, ablation.overlays)
            case "points":
                against = {at: cell.against for at, cell in summaries.items() if cell.against}
                figure = points(
                    layout, run, against, (_against(ablation), metric), ablation.overlays
                )
            case _:
                assert_never(ablation.figure)
        figure.suptitle(wrapped([ablation.title, subtitle], figure, points=10), fontsize=10)
        caption = [
            *_results(ablation, summaries),
            *_untrained(ablation, sides, reference),
            layout.note,
        ]
        figure.supxlabel(
            wrapped(caption, figure, points=SMALLEST), fontsize=SMALLEST, ha="left", x=0.01
        )
    return figure


def save(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.svg into `folder`, made if needed. Equal figures give equal
    files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    with mpl.rc_context({"svg.hashsalt": "simclr-orch"}):
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def _of_every_cell(layout: Layout, cells: Sequence[Summary]) -> dict[Place, Summary]:
    """A summary for every cell, in the layout's order."""
    found = {summary.at: summary for summary in cells}
    if unknown := found.keys() - {cell.at for cell in layout.cells}:
        raise ValueError(f"no such cell in the layout: {sorted(unknown)!r}")
    return {
        cell.at: found.get(cell.at) or Summary(cell.at, (), 0, 1, cell.paper)
        for cell in layout.cells
    }


def _this_run(summaries: Mapping[Place, Summary], reference: Summary | None, *, title: str) -> Side:
    return Side(
        title=title,
        values={at: cell.mean for at, cell in summaries.items() if cell.mean is not None},
        spreads={at: cell.spread for at, cell in summaries.items() if cell.spread is not None},
        gaps={at: cell.gap for at, cell in summaries.items() if cell.gap is not None},
        reference=reference.mean if reference else None,
        marks_gaps=True,
        partial=frozenset(at for at, cell in summaries.items() if cell.n and cell.uncounted),
    )


def _paper(summaries: Mapping[Place, Summary], ablation: Ablation) -> list[Side]:
    """The paper's side, if the paper has a number for any of the cells."""
    values = {at: cell.paper for at, cell in summaries.items() if cell.paper is not None}
    if not values:
        return []
    known = workload_named(ablation.workload).paper.data_of_setting.get(ablation.setting)
    data = f" ({known})" if known else ""
    gaps = {at: "not in paper" for at, cell in summaries.items() if cell.paper is None}
    return [Side(title=f"Paper: {ablation.source}{data}", values=values, spreads={}, gaps=gaps)]


def _against(ablation: Ablation) -> Quantity:
    assert ablation.against is not None, "an ablation drawn as points names it"
    return quantity(ablation.against)


def _results(ablation: Ablation, summaries: Mapping[Place, Summary]) -> list[str]:
    """Seeds and spread of the cells that have a value, and the names of those that have none."""
    colored = ablation.figure in ("heatmap", "maps")
    sentences = [
        _seeds(summaries.values()) + _spread(summaries, metric_quantity(ablation), colored=colored)
    ]
    if ablation.figure == "heatmap":
        sentences[0] += f" {AVERAGE}: of the row's values as shown."
    for word, gap in (("Failed", "failed"), ("Missing", "missing")):
        if places := [at for at, cell in summaries.items() if cell.gap == gap]:
            names = listed([f"({', '.join(at)})" for at in places], _LISTED_CELLS)
            sentences.append(f"{word}: {len(places)} of {len(summaries)} cells, {names}.")
    return sentences + _uncounted(ablation, summaries)


def _uncounted(ablation: Ablation, summaries: Mapping[Place, Summary]) -> list[str]:
    """How many runs are left out of which cells, and how the figure marks these."""
    left_out = {at: cell for at, cell in summaries.items() if cell.uncounted}
    if not left_out:
        return []
    runs = sum(cell.uncounted for cell in left_out.values())
    finished = runs + sum(cell.n for cell in summaries.values())
    marked = "dot; hatched: none is left" if ablation.figure in ("heatmap", "maps") else "hollow"
    names = [
        f"({', '.join(at)}) {cell.uncounted} of {cell.uncounted + cell.n}"
        for at, cell in left_out.items()
    ]
    return [
        f"Left out, as {ablation.counts_if} is not 1: {runs} of {finished} runs, "
        f"in {len(left_out)} of {len(summaries)} cells ({marked}): {listed(names, _LISTED_CELLS)}."
    ]


def _seeds(cells: Collection[Summary]) -> str:
    counts = sorted({cell.n for cell in cells if cell.n})
    if not counts:
        return "No cell has a result yet."
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    partial = sum(1 for cell in cells if cell.n and cell.failed + cell.missing + cell.uncounted)
    lost = f" (fewer than asked in {partial} of {len(cells)} cells)" if partial else ""
    return f"n = {count} seed{'s' if counts[-1] > 1 else ''} a cell{lost}"


def _spread(summaries: Mapping[Place, Summary], metric: Quantity, *, colored: bool) -> str:
    """How far apart the seeds are, to follow their number."""
    spreads = {at: cell.spread for at, cell in summaries.items() if cell.spread is not None}
    singles = any(cell.n == 1 for cell in summaries.values())
    if not spreads:
        return ", hence no spread." if singles else ""
    if colored:
        worst = max(spreads, key=lambda at: spreads[at])
        median = statistics.median(spreads.values())
        found = (
            f"median {metric.text(median)}, largest {metric.text(spreads[worst])} "
            f"{metric.differences}"
        ).rstrip()
        return f", sample sd: {found} ({', '.join(worst)})."
    return ", bars: sample sd, none where n = 1." if singles else ", bars: sample sd."


def _untrained(ablation: Ablation, sides: Sequence[Side], reference: Summary | None) -> list[str]:
    if reference is None or reference.mean is None:
        return []
    metric = quantity(ablation.metric)
    match ablation.figure:
        case "heatmap" | "maps":
            where = "dashed on the colour bar"
        case "points":
            low, high = points_window(sides[0], metric, ablation.overlays)
            where = "dashed line" if low <= reference.mean <= high else "out of the panel's range"
        case _:
            low, high = windows(sides, metric_quantity(ablation))[0]
            where = "dashed line" if low <= reference.mean <= high else "out of the panel's range"
    return [
        f"Untrained encoder: {metric.told(reference.mean, reference.spread)} (n = {reference.n}; "
        f"{where})."
    ]
