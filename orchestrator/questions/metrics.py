"""Whether the results that a question names are some that a run may have."""

from collections.abc import Iterator

from search_spaces import Ablation
from search_spaces.trees.question import Base
from workloads.catalog.results import OWN_METRICS, unknown_result
from workloads.workload import AnyWorkload

__all__ = ["unknown_metrics"]


def unknown_metrics(
    ablation: Ablation, base: Base, workload: AnyWorkload
) -> Iterator[tuple[str, str]]:
    """Yield results that no run of the workload has, each with what may have been meant.

    A question that asks for own metrics, or is asked on a recipe that does, may name any.
    """
    cells = (*ablation.paper.cells, *ablation.small.cells)
    asked = {*ablation.fixed, *(base.values or {})}.union(*(cell.values for cell in cells))
    if OWN_METRICS in asked:
        return
    for name in dict.fromkeys([ablation.metric, *(cell.metric for cell in cells if cell.metric)]):
        if (problem := unknown_result(name, workload)) is not None:
            yield name, problem
