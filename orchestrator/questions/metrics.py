"""Whether the results that a question names are some that a run may have."""

import re
from collections.abc import Iterator
from importlib.metadata import entry_points

from search_spaces import Ablation
from search_spaces.trees.reading import unknown
from workloads.parts import METRICS
from workloads.workload import AnyWorkload

__all__ = ["unknown_metrics"]

ENDS = ("_mean_per_class", "_percent", "_nats")
OWN = "eval.metrics.names"


def unknown_metrics(ablation: Ablation, workload: AnyWorkload) -> Iterator[tuple[str, str]]:
    """Yield results that no run of the workload has, each with what may have been meant.

    Numbers in a name may be others, such as the share of labels in `finetune_10_top1`. What an own
    evaluation metric is called, its part says: a question that asks for own metrics may have any
    name, and every question those that end as own ones with a unit do.
    """
    cells = (*ablation.paper.cells, *ablation.small.cells)
    if OWN in {*ablation.fixed}.union(*(cell.values for cell in cells)):
        return
    known = {*workload.quantities, *workload.logged, *workload.headline}
    shapes = {re.sub(r"\d+", "0", name) for name in known}
    own = tuple(entry_points(group=METRICS.group).names)
    named = {ablation.metric: None}
    for cell in cells:
        named |= {cell.metric: None} if cell.metric else {}
    for name in named:
        if name in known or ":" in name or name.startswith(own) or name.endswith(ENDS):
            continue
        if re.sub(r"\d+", "0", name) not in shapes:
            yield name, unknown(name, sorted(known), "result")
