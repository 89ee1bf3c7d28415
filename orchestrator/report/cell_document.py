"""A cell of a report as plain data."""

from typing import NotRequired, TypedDict

from orchestrator.report.summary import Summary

__all__ = ["CellDocument", "cell_json"]


class CellDocument(TypedDict):
    """A cell's results, a value for each of its `seeds`.

    `measured` has every seed's value of every metric that claims name, by metric and seed, and
    `lost` the seeds that ended without one, with the word why. `more` has the means of what else
    the paper reports for the cell.
    """

    at: list[str]
    values: list[float]
    seeds: list[int]
    measured: dict[str, dict[str, float]]
    lost: dict[str, str]
    mean: float | None
    spread: float | None
    n: int
    failed: int
    missing: int
    uncounted: int
    against: list[float]
    paper: float | None
    more: NotRequired[dict[str, float]]


def cell_json(cell: Summary) -> CellDocument:
    """Return a cell's results as plain data."""
    return {
        "at": list(cell.at),
        "values": list(cell.values),
        "seeds": list(cell.seeds),
        "measured": {
            metric: {str(seed): value for seed, value in of_seeds.items()}
            for metric, of_seeds in cell.measured.items()
        },
        "lost": {str(seed): why for seed, why in cell.lost.items()},
        "mean": cell.mean if cell.n else None,
        "spread": cell.spread,
        "n": cell.n,
        "failed": cell.failed,
        "missing": cell.missing,
        "uncounted": cell.uncounted,
        "against": list(cell.against),
        "paper": cell.paper,
    }
