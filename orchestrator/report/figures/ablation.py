"""An ablation drawn: this run, beside it the paper's numbers, and under them what they rest on.

matplotlib's object interface only: no window, no global state.
"""

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import assert_never

import matplotlib as mpl
from matplotlib.figure import Figure

from orchestrator.report.figures.caption import caption
from orchestrator.report.figures.heatmaps import heatmaps
from orchestrator.report.figures.letters import spell
from orchestrator.report.figures.lines import lines
from orchestrator.report.figures.maps import maps
from orchestrator.report.figures.points import points
from orchestrator.report.figures.rows import rows
from orchestrator.report.figures.sides import sides_of
from orchestrator.report.figures.style import RC_PARAMETERS, SMALLEST, wrapped
from orchestrator.report.quantities import metric_quantity, quantity
from orchestrator.report.summary import Summary
from search_spaces import Ablation, Layout
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = ["draw", "picture_files", "save"]


def draw(
    ablation: Ablation,
    layout: Layout,
    cells: Sequence[Summary],
    *,
    reference: Summary | None,
    subtitle: str,
) -> Figure:
    """Draw an ablation's figure. A cell of the layout without a summary is missing.

    `reference` is the untrained encoder, measured like the cells. `subtitle` says what was run:
    preset, data, hardware. Raises ValueError for a summary of no cell.
    """
    summaries = _of_every_cell(layout, cells)
    sides, metric = sides_of(ablation, summaries, reference), metric_quantity(ablation)
    run = sides[0]

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
                quantities = _against(ablation), metric
                figure = points(layout, run, against, quantities, ablation.overlays)
            case _:
                assert_never(ablation.figure)

        figure.suptitle(wrapped([ablation.title, subtitle], figure, points=10), fontsize=10)
        under = caption(ablation, layout, summaries, sides, reference)
        text = wrapped(under, figure, points=SMALLEST)
        figure.supxlabel(text, fontsize=SMALLEST, ha="left", x=0.01)
        spell(figure)
    return figure


def save(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.svg into `folder`, made if needed.

    Equal figures give equal files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    png, svg = folder / f"{stem}.png", folder / f"{stem}.svg"
    with mpl.rc_context({"svg.hashsalt": "simclr-orch"}):
        figure.savefig(png, dpi=150, metadata={"Software": None})
        figure.savefig(svg, metadata={"Date": None})
    return png, svg


def picture_files(figures: Mapping[str, Figure | None]) -> dict[str, bytes]:
    """Return the files of figures that `save` writes, by name; those that are None have none."""
    files = dict[str, bytes]()
    with tempfile.TemporaryDirectory() as folder:
        for stem, figure in figures.items():
            if figure is not None:
                files |= {path.name: path.read_bytes() for path in save(figure, Path(folder), stem)}
    return files


def _of_every_cell(layout: Layout, cells: Sequence[Summary]) -> dict[Place, Summary]:
    """A summary for every cell, in the layout's order."""
    found = {summary.at: summary for summary in cells}
    if unknown := found.keys() - {cell.at for cell in layout.cells}:
        raise ValueError(f"no such cell in the layout: {sorted(unknown)!r}")
    return {
        cell.at: found.get(cell.at) or Summary(cell.at, (), 0, 1, cell.paper)
        for cell in layout.cells
    }


def _against(ablation: Ablation) -> Quantity:
    assert ablation.against is not None, "an ablation drawn as points names it"
    return quantity(ablation.against)
