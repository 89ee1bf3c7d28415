"""The two figures of a report: what it answers, and how its runs were trained."""

from matplotlib.figure import Figure

from orchestrator.report.collect import Report
from orchestrator.report.figures.ablation import draw
from orchestrator.report.figures.curves import draw_curves
from orchestrator.report.text import subtitle

__all__ = ["Figure", "figures_of"]


def figures_of(report: Report) -> dict[str, Figure | None]:
    """Draw the figure of a report, and its training curves where training has left some."""
    return {
        "report": draw(
            report.ablation,
            report.layout,
            report.cells,
            reference=report.reference,
            subtitle=subtitle(report),
        ),
        "curves": draw_curves(
            report.ablation, report.layout, report.histories, subtitle=subtitle(report)
        ),
    }
