"""The caption of an ablation's figure: what the numbers rest on.

It gives the number of seeds and their spread, the untrained encoder, every cell without a value,
runs that do not count, and how the cells differ from the paper's.
"""

import statistics
from collections import Counter
from collections.abc import Collection, Mapping, Sequence

from orchestrator.report.figures.heatmaps import AVERAGE
from orchestrator.report.figures.points import points_window
from orchestrator.report.figures.sides import Side, windows
from orchestrator.report.quantities import metric_quantity, quantity
from orchestrator.report.summary import Summary, listed
from search_spaces import Ablation, Layout
from search_spaces.claims import Place
from workloads.quantity import Quantity

__all__ = ["caption"]

_COLORED = ("heatmap", "maps")
_LISTED_CELLS = 6


def caption(
    ablation: Ablation,
    layout: Layout,
    summaries: Mapping[Place, Summary],
    sides: Sequence[Side],
    reference: Summary | None,
) -> list[str]:
    """Return the caption of a figure with these sides, this run's first, in paragraphs."""
    return [
        *_results(ablation, summaries, sides),
        *_untrained(ablation, sides, reference),
        layout.note,
    ]


def _results(
    ablation: Ablation, summaries: Mapping[Place, Summary], sides: Sequence[Side]
) -> list[str]:
    """Seeds and spread of the cells that have a value, and the names of those that have none."""
    spread = _spread(summaries, metric_quantity(ablation), colored=ablation.figure in _COLORED)
    first = _seeds(summaries.values()) + spread
    if ablation.figure == "heatmap":
        first += f" {AVERAGE}: of the row's values as shown."
        if len(sides) > 1:
            first += " Both maps have one scale of colour."

    sentences = [first]
    for word, gap in (("Failed", "failed"), ("Missing", "missing")):
        if places := [at for at, cell in summaries.items() if cell.gap == gap]:
            names = listed([f"({', '.join(at)})" for at in places], _LISTED_CELLS)
            sentences.append(f"{word}: {len(places)} of {len(summaries)} cells, {names}.")
    return sentences + _uncounted(ablation, summaries) + _failed(ablation, summaries)


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
        median, worst = statistics.median(spreads.values()), max(spreads, key=spreads.__getitem__)
        found = f"median {metric.text(median)}, largest {metric.text(spreads[worst])}"
        found = f"{found} {metric.differences}".rstrip()
        return f", sample sd: {found} ({', '.join(worst)})."
    return ", bars: sample sd, none where n = 1." if singles else ", bars: sample sd."


def _uncounted(ablation: Ablation, summaries: Mapping[Place, Summary]) -> list[str]:
    """How many runs are left out of which cells, and how the figure marks these."""
    left_out = {at: cell for at, cell in summaries.items() if cell.uncounted}
    if not left_out:
        return []

    runs = sum(cell.uncounted for cell in left_out.values())
    finished = runs + sum(cell.n for cell in summaries.values())
    marked = "dot; hatched: none is left" if ablation.figure in _COLORED else "hollow"
    names = [
        f"({', '.join(at)}) {cell.uncounted} of {cell.uncounted + cell.n}"
        for at, cell in left_out.items()
    ]
    return [
        f"Left out, as {ablation.counts_if} is not 1: {runs} of {finished} runs, "
        f"in {len(left_out)} of {len(summaries)} cells ({marked}): {listed(names, _LISTED_CELLS)}."
    ]


def _failed(ablation: Ablation, summaries: Mapping[Place, Summary]) -> list[str]:
    """How many runs failed, and how, in cells that have others; the figure marks these."""
    cells = {at: cell for at, cell in summaries.items() if cell.n and cell.failed}
    if not cells:
        return []

    marked = "dot" if ablation.figure in _COLORED else "hollow"
    names = [
        f"({', '.join(at)}) {_words(cell)} of {cell.n + cell.ended_without}"
        for at, cell in cells.items()
    ]
    return [
        f"Lost runs, in {len(cells)} of {len(summaries)} cells ({marked}): "
        f"{listed(names, _LISTED_CELLS)}."
    ]


def _words(cell: Summary) -> str:
    """How many runs a cell has lost by failing, by the word how: "1 diverged and 1 failed"."""
    found = Counter(word for word in cell.lost.values() if word in ("diverged", "failed"))
    return " and ".join(
        f"{runs} {word}" for word, runs in (found or {"failed": cell.failed}).items()
    )


def _untrained(ablation: Ablation, sides: Sequence[Side], reference: Summary | None) -> list[str]:
    if reference is None or reference.mean is None:
        return []

    metric = quantity(ablation.metric)
    if ablation.figure in _COLORED:
        where = "dashed on the colour bar"
    else:
        if ablation.figure == "points":
            low, high = points_window(sides[0], metric, ablation.overlays)
        else:
            low, high = windows(sides, metric_quantity(ablation))[0]
        where = "dashed line" if low <= reference.mean <= high else "out of the panel's range"
    told = metric.told(reference.mean, reference.spread)
    sentence = f"Untrained encoder: {told} (n = {reference.n}; {where})."
    if ablation.figure == "heatmap" and (none := _without_gain(sides[0], reference.mean)):
        cells = "1 cell is" if none == 1 else f"{none} cells are"
        sentence += f" Underlined: {cells} on average not above it."
    return [sentence]


def _without_gain(side: Side, untrained: float) -> int:
    return sum(value <= untrained for value in side.values.values())
