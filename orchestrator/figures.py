"""An ablation drawn: this run on the left, the paper's numbers on the right, and under them what they rest on.

The caption gives the number of seeds and their spread, the untrained encoder, every cell without a value, and how the
cells differ from the paper's. Values are in percent. matplotlib's object interface only: no window, no global state.
"""

import math
import statistics
import textwrap
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, assert_never

import matplotlib as mpl
from matplotlib.figure import Figure

from orchestrator.panels import AVERAGE, SMALLEST, Place, Side, heatmaps, lines, rows, windows
from search_spaces import Ablation, Layout

__all__ = ["Summary", "draw", "metric_name", "save"]

_STYLE: dict[Any, Any] = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans"],
    "font.size": 9,
    "axes.titlesize": 10,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "hatch.linewidth": 0.6,
}
_METRICS = {
    "linear_top1": "linear evaluation top-1 (%)",
    "linear_top1_z": "linear evaluation top-1 (%)",
    "classifier_top1": "supervised top-1 (%)",
}
_DATA_OF_SETTING = {"imagenet-paper": "ImageNet", "cifar10-paper": "CIFAR-10"}
_LISTED_CELLS = 6


@dataclass(frozen=True)
class Summary:
    """What is known about one cell: a value in percent for each finished seed, and how many seeds have none."""

    at: Place
    values: tuple[float, ...]
    failed: int
    missing: int
    paper: float | None

    def __post_init__(self) -> None:
        if not all(math.isfinite(value) for value in self.values):
            raise ValueError(f"cell {self.at!r}: {self.values!r} are not all finite")

    @property
    def n(self) -> int:
        """Finished seeds."""
        return len(self.values)

    @property
    def mean(self) -> float | None:
        """Mean over finished seeds, None without any."""
        return statistics.fmean(self.values) if self.values else None

    @property
    def spread(self) -> float | None:
        """Sample standard deviation over finished seeds, None with fewer than two."""
        return statistics.stdev(self.values) if self.n > 1 else None


def metric_name(ablation: Ablation) -> str:
    """What the cells are judged by, with its unit; cells that are judged apart share only the unit."""
    metrics = {ablation.metric_of(cell) for cell in (*ablation.paper.cells, *ablation.small.cells)}
    names = {_METRICS.get(metric, f"{metric.replace('_', ' ')} (%)") for metric in metrics}
    return names.pop() if len(names) == 1 else "accuracy (%)"


def draw(ablation: Ablation, layout: Layout, cells: Sequence[Summary], *, reference: Summary | None, subtitle: str) -> Figure:
    """The ablation's figure. A cell of the layout without a summary is missing; a summary without a cell is an error.

    `reference` is the untrained encoder, judged like the cells. `subtitle` says what was run: preset, data, hardware.
    """
    summaries = _of_every_cell(layout, cells)
    sides = _this_run(summaries, reference), _paper(summaries, ablation)
    metric = metric_name(ablation)
    with mpl.rc_context(_STYLE):
        match ablation.figure:
            case "heatmap":
                figure = heatmaps(layout, sides, metric)
            case "lines":
                figure = lines(layout, sides, metric)
            case "table":
                figure = rows(layout, sides, metric)
            case _:
                assert_never(ablation.figure)
        figure.suptitle(_wrap([ablation.title, subtitle], figure, points=10), fontsize=10)
        caption = [*_results(ablation, summaries), *_untrained(ablation, sides, reference), layout.note]
        figure.supxlabel(_wrap(caption, figure, points=SMALLEST), fontsize=SMALLEST, ha="left", x=0.01)
    return figure


def save(figure: Figure, folder: Path, stem: str) -> tuple[Path, Path]:
    """Write `stem`.png and `stem`.svg into `folder`, made if needed. Equal figures give equal files."""
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
    return {cell.at: found.get(cell.at) or Summary(cell.at, (), 0, 1, cell.paper) for cell in layout.cells}


def _this_run(summaries: Mapping[Place, Summary], reference: Summary | None) -> Side:
    return Side(
        title="This run",
        values={at: cell.mean for at, cell in summaries.items() if cell.mean is not None},
        spreads={at: cell.spread for at, cell in summaries.items() if cell.spread is not None},
        gaps={at: "failed" if cell.failed else "missing" for at, cell in summaries.items() if not cell.n},
        reference=reference.mean if reference else None,
        marks_gaps=True,
    )


def _paper(summaries: Mapping[Place, Summary], ablation: Ablation) -> Side:
    return Side(
        title=f"Paper: {ablation.source} ({_DATA_OF_SETTING[ablation.setting]})",
        values={at: cell.paper for at, cell in summaries.items() if cell.paper is not None},
        spreads={},
        gaps={at: "not in paper" for at, cell in summaries.items() if cell.paper is None},
    )


def _results(ablation: Ablation, summaries: Mapping[Place, Summary]) -> list[str]:
    """Seeds and spread of the cells that have a value, and the names of those that have none."""
    heatmap = ablation.figure == "heatmap"
    sentences = [_seeds(summaries.values()) + _spread(summaries, heatmap=heatmap)]
    if heatmap:
        sentences[0] += f" {AVERAGE}: of the row's values as shown."
    failed = [at for at, cell in summaries.items() if not cell.n and cell.failed]
    missing = [at for at, cell in summaries.items() if not cell.n and not cell.failed]
    for word, places in (("Failed", failed), ("Missing", missing)):
        if places:
            listed = ", ".join(f"({', '.join(at)})" for at in places[:_LISTED_CELLS])
            more = f" and {len(places) - _LISTED_CELLS} more" if len(places) > _LISTED_CELLS else ""
            sentences.append(f"{word}: {len(places)} of {len(summaries)} cells, {listed}{more}.")
    return sentences


def _seeds(cells: Collection[Summary]) -> str:
    counts = sorted({cell.n for cell in cells if cell.n})
    if not counts:
        return "No cell has a result yet."
    count = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    partial = sum(1 for cell in cells if cell.n and cell.failed + cell.missing)
    lost = f" (fewer than asked in {partial} of {len(cells)} cells)" if partial else ""
    return f"n = {count} seed{'s' if counts[-1] > 1 else ''} a cell{lost}"


def _spread(summaries: Mapping[Place, Summary], *, heatmap: bool) -> str:
    """How far apart the seeds are, to follow their number."""
    spreads = {at: cell.spread for at, cell in summaries.items() if cell.spread is not None}
    singles = any(cell.n == 1 for cell in summaries.values())
    if not spreads:
        return ", hence no spread." if singles else ""
    if heatmap:
        worst = max(spreads, key=lambda at: spreads[at])
        median = statistics.median(spreads.values())
        return f", sample sd: median {median:.1f}, largest {spreads[worst]:.1f} points ({', '.join(worst)})."
    return ", bars: sample sd, none where n = 1." if singles else ", bars: sample sd."


def _untrained(ablation: Ablation, sides: tuple[Side, Side], reference: Summary | None) -> list[str]:
    if reference is None or reference.mean is None:
        return []
    low, high = windows(sides)[0]
    if ablation.figure == "heatmap":
        where = "dashed on the colour bar"
    elif low <= reference.mean <= high:
        where = "dashed line"
    else:
        where = "out of the panel's range"
    spread = "" if reference.spread is None else f" ± {reference.spread:.1f}"
    return [f"Untrained encoder: {reference.mean:.1f}{spread} % (n = {reference.n}; {where})."]


def _wrap(paragraphs: Sequence[str], figure: Figure, *, points: int) -> str:
    """Paragraphs, each broken into lines that fit the figure's width: DejaVu Sans is about 0.55 em a character."""
    width = int(figure.get_figwidth() * 0.97 * 72 / (0.55 * points))
    return "\n".join(textwrap.fill(paragraph, width) for paragraph in paragraphs if paragraph)
