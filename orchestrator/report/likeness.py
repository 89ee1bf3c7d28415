"""The rank correlation with the paper's cells, seed by seed: how far seeds alone move it."""

from orchestrator.report.collect import Report
from orchestrator.verdicts.rank_correlation import rank_correlation

__all__ = ["likeness_by_seed"]


def likeness_by_seed(report: Report) -> dict[int, float]:
    """Return the correlation of each seed's values with the paper's cells.

    Of seeds that have a value of every cell which the paper has a number for, so that all are over
    the same cells; none where seeds are not known.
    """
    cells = [cell for cell in report.cells if cell.paper is not None]
    if not cells:
        return {}
    paper = {cell.at: cell.paper for cell in cells if cell.paper is not None}
    found = {}
    for seed in sorted(set.intersection(*(set(cell.seeds) for cell in cells))):
        ours = {cell.at: [cell.values[cell.seeds.index(seed)]] for cell in cells}
        rho = rank_correlation(ours, paper).rho
        if rho is not None:
            found[seed] = rho
    return found
