"""Which results a run of a workload may have: the one rule for whoever names a metric."""

import re
from importlib.metadata import entry_points

from workloads.parts import METRICS
from workloads.spelling import did_you_mean
from workloads.workload import AnyWorkload

__all__ = ["OWN_METRICS", "unknown_result"]

OWN_METRICS = "eval.metrics.names"  # the field by which a recipe asks for own metrics
_ENDS = ("_mean_per_class", "_percent", "_nats")  # of own metrics' results
_NUMBER = re.compile(r"_\d+(\.\d+)?_")


def unknown_result(name: str, workload: AnyWorkload) -> str | None:
    """Say that no run has a result, and what may have been meant; None where one may have it.

    A number between two words may be another one, such as the share of labels in
    `finetune_5_top1`. What an own metric gives, its part says: whatever begins as an offered one
    is named, has a colon, or ends with an own one's unit may be a result.
    """
    known = {*workload.quantities, *workload.logged, *workload.headline}
    offered = tuple(entry_points(group=METRICS.group).names)
    if name in known or ":" in name or name.startswith(offered) or name.endswith(_ENDS):
        return None
    if _NUMBER.sub("_1_", name) in {_NUMBER.sub("_1_", one) for one in known}:
        return None
    hint = did_you_mean(name, known)
    return f"{name}: no such result{hint} (known are {', '.join(sorted(known))})"
