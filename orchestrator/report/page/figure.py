"""The figure of an ablation as charts: this run and, beside it, the paper."""

from collections.abc import Sequence

from orchestrator.report.collect import Report
from orchestrator.report.figures.sides import sides_of
from orchestrator.report.page.charts import Chart
from orchestrator.report.page.heatmaps import heatmap_charts, map_charts
from orchestrator.report.page.series import line_charts, paper_chart, point_charts, row_charts
from orchestrator.report.quantities import metric_quantity, quantity

__all__ = ["figure_charts"]


def figure_charts(report: Report) -> Sequence[Chart]:
    """Return the charts of a report's figure, in the order in which they are read."""
    ablation, layout = report.ablation, report.layout
    cells = {cell.at: cell for cell in report.cells}
    metric = metric_quantity(ablation)
    sides = sides_of(ablation, cells, report.reference)
    match ablation.figure:
        case "heatmap":
            charts = heatmap_charts(layout, cells, sides, metric)
        case "lines" if len(layout.axes) == 1:
            charts = row_charts(layout, cells, sides, metric)
        case "lines":
            charts = line_charts(layout, cells, sides, metric)
        case "table":
            charts = row_charts(layout, cells, sides, metric)
        case "maps":
            charts = map_charts(layout, cells, sides[0], metric, ablation.overlays)
        case "points":
            assert ablation.against is not None, "an ablation drawn as points names it"
            quantities = quantity(ablation.against), metric
            charts = point_charts(layout, cells, sides[0], quantities, ablation.overlays)
    against = paper_chart(cells, metric)
    return [*charts, against] if against else charts
