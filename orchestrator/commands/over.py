"""The question of `ablate --over`, on the workload that the recipe of the request is of."""

from collections.abc import Sequence
from dataclasses import replace

from orchestrator.commands.request import Request
from orchestrator.errors import PlanError
from orchestrator.plan.over import Over, over_question
from search_spaces import Ablation
from workloads.catalog import every_preset, every_workload, workload_of_preset, workload_of_tree
from workloads.catalog.results import OWN_METRICS
from workloads.spec import flatten
from workloads.spelling import did_you_mean
from workloads.workload import AnyWorkload
from workloads.written import read_yaml

__all__ = ["asked_over", "over_of"]


def over_of(
    axes: Sequence[str] | None,
    claims: Sequence[str] | None = None,
    metric: str | None = None,
    name: str | None = None,
) -> Over | None:
    """Return what `--over` and the options beside it ask; None without any axis."""
    return Over(tuple(axes), tuple(claims or ()), metric, name) if axes else None


def asked_over(request: Request) -> tuple[Ablation, ...]:
    """Return the question that the fields of a request make; none without any.

    Raises PlanError, or SpecError for a recipe that cannot be read.
    """
    if request.over is None:
        return ()
    if request.ablations:
        raise PlanError(
            [
                f"--over: makes a question of its own, and is not asked together with "
                f"{', '.join(request.ablations)}"
            ]
        )
    workload = _workload(request)
    return (over_question(replace(request.over, own_metrics=_has_own(request)), workload),)


def _has_own(request: Request) -> bool:
    """Whether the recipe asks for metrics of somebody's own."""
    if any(one.partition("=")[0].strip() == OWN_METRICS for one in request.assignments):
        return True
    return request.config is not None and bool(flatten(read_yaml(request.config)).get(OWN_METRICS))


def _workload(request: Request) -> AnyWorkload:
    if request.config is not None:
        return workload_of_tree(read_yaml(request.config))
    if request.preset is None:
        return next(every_workload())
    found = workload_of_preset(request.preset)
    if found is None:
        known, hint = ", ".join(every_preset()), did_you_mean(request.preset, every_preset())
        raise PlanError([f"--preset {request.preset}: no such preset; known are {known}{hint}"])
    return found
