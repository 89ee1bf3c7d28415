"""What the metrics of an ablation are called in figures and tables, as its workload says."""

from search_spaces import Ablation
from workloads.catalog import every_workload
from workloads.quantity import Quantity, percent, quantity_by_name

__all__ = ["metric_quantity", "quantity"]


def quantity(metric: str) -> Quantity:
    """Return what a metric of that name is, by the first workload that knows it.

    A name that none knows, such as an own metric's, says its unit by its end.
    """
    for workload in every_workload():
        if metric in workload.quantities:
            return workload.quantities[metric]
    return quantity_by_name(metric)


def metric_quantity(ablation: Ablation) -> Quantity:
    """Return what the cells are compared by; of cells with metrics of their own, what these share.

    Metrics that are all in percent share their unit, others nothing but that they are values.
    """
    metrics = {ablation.metric_of(cell) for cell in (*ablation.paper.cells, *ablation.small.cells)}
    found = {quantity(metric) for metric in metrics}
    if len(found) == 1:
        return found.pop()
    if {one.unit for one in found} == {"%"}:
        return percent("value" if any("error" in one.name for one in found) else "accuracy")
    return Quantity("value")
